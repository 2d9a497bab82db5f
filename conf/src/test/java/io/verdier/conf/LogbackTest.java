package io.verdier.conf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.joran.JoranConfigurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.net.URL;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class LogbackTest {
  private static final String HOSTILE =
      "a \"quoted\" back\\slash \\n $1 \\$2 tab\there\r\nforged {} é 🐦 \u001b[31m end\\";

  @Test
  void json_hostileMessage_isOneParseableLine() throws Exception {
    JsonNode line = json(Level.WARN, HOSTILE, null);
    assertThat(line.get("severity").asText()).isEqualTo("WARNING");
    assertThat(line.get("message").asText())
        .isEqualTo("a \"quoted\" back\\slash \\n $1 \\$2 tab\there \nforged {} é 🐦  [31m end\\");
    assertThat(line.get("logger").asText()).isEqualTo("io.verdier.Test");
    assertThat(line.get("time").asText()).matches("\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z");
  }

  @Test
  void json_plainMessage_hasNoTail() throws Exception {
    assertThat(json(Level.INFO, "ready", null).get("message").asText()).isEqualTo("ready");
  }

  @Test
  void json_exception_staysInsideTheMessage() throws Exception {
    String message =
        json(Level.ERROR, "broke", new IllegalStateException("a \"b\"")).get("message").asText();
    assertThat(message)
        .startsWith("broke\njava.lang.IllegalStateException: a \"b\"\n\tat ")
        .doesNotEndWith("\n");
  }

  @Test
  void text_hostileMessage_isOneLine() throws Exception {
    String line = encoded("logback.xml", Level.INFO, HOSTILE, null);
    assertThat(line.lines()).hasSize(1);
    assertThat(line)
        .matches("(?s)\\d\\d:\\d\\d:\\d\\d\\.\\d{3} INFO  Test +a \"quoted\".*\n")
        .doesNotContain("\u001b");
  }

  private static JsonNode json(Level level, String message, @Nullable Throwable thrown)
      throws Exception {
    String line = encoded("logback-json.xml", level, message, thrown);
    assertThat(line).endsWith("\n");
    assertThat(line.strip()).doesNotContain("\n", "\r", "\u001b");
    return new JsonMapper().readTree(line);
  }

  /** What the console appender of a configuration writes for one event. */
  private static String encoded(
      String file, Level level, String message, @Nullable Throwable thrown) throws Exception {
    LoggerContext context = new LoggerContext();
    JoranConfigurator configurator = new JoranConfigurator();
    configurator.setContext(context);
    URL resource = Objects.requireNonNull(LogbackTest.class.getResource("/" + file));
    configurator.doConfigure(resource);
    assertThat(context.getLogger("ROOT").getLevel()).isEqualTo(Level.INFO);
    ConsoleAppender<?> console =
        (ConsoleAppender<?>) context.getLogger("ROOT").getAppender("CONSOLE");
    assertThat(console.getTarget()).isEqualTo("System.out");
    LoggingEvent event =
        new LoggingEvent(
            "fqcn", context.getLogger("io.verdier.Test"), level, message, thrown, new Object[0]);
    @SuppressWarnings("unchecked") // the configuration's appenders are for logging events
    ConsoleAppender<ILoggingEvent> appender = (ConsoleAppender<ILoggingEvent>) console;
    return new String(appender.getEncoder().encode(event), UTF_8);
  }
}
