package io.verdier.conf;

import java.util.Map;

/** How the server logs. Immutable. */
public record LoggingConfig(Level level, Format format) {
  /** Least severe line that is logged. */
  public enum Level {
    TRACE,
    DEBUG,
    INFO,
    WARN,
    ERROR
  }

  /** Lines for people, or one JSON object a line with Cloud Logging's {@code severity}. */
  public enum Format {
    TEXT,
    JSON
  }

  /**
   * System properties that choose this logging, set before the first logger is made, except one
   * that the operator set: logback reads its file once, and looks it up by one of them.
   */
  public Map<String, String> systemProperties() {
    String file = format == Format.JSON ? "logback-json.xml" : "logback.xml";
    return Map.of("logback.configurationFile", file, "verdier.log.level", level.name());
  }
}
