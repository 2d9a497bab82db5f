package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Reads how the model reasons. Owned by the thread that loads. */
final class ReasoningFlags {
  private static final String PARSER = "--reasoning-parser";
  private static final String CONFIG = "--reasoning-config";
  private static final String PARSER_KEY = "reasoning_parser";
  private static final String START_KEY = "reasoning_start_str";
  private static final String END_KEY = "reasoning_end_str";
  private static final List<String> KEYS = List.of(PARSER_KEY, START_KEY, END_KEY);

  private final Settings settings;
  private final Findings findings;
  private final Optional<JsonNode> given;
  private final Optional<String> flag;
  private final Optional<String> key;

  ReasoningFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
    this.given = settings.json(CONFIG).filter(this::isObject);
    given.ifPresent(this::notice);
    this.flag = settings.optionalText(PARSER);
    this.key = text(PARSER_KEY);
  }

  /** The format of its reasoning; empty: there is none. */
  Optional<String> parser() {
    if (flag.isPresent() && key.isPresent() && !flag.equals(key)) {
      problem(PARSER_KEY + " is " + Shown.text(key.get()) + ", " + PARSER + " " + flag.get());
    }
    List<String> known = Flags.named(PARSER).type().words();
    if (key.isPresent() && !known.contains(key.get())) {
      String hint = Nearest.hint(key.get(), known);
      problem(PARSER_KEY + " '" + Shown.text(key.get()) + "' is not known" + hint);
      return flag;
    }
    return flag.or(() -> key);
  }

  /** What is said where a request's reasoning is too long; empty: the parser's own mark. */
  String end() {
    Optional<String> end = text(END_KEY);
    if (end.isPresent() && flag.isEmpty() && key.isEmpty()) {
      problem(END_KEY + " has no effect without " + PARSER);
    }
    return end.orElse("");
  }

  private boolean isObject(JsonNode config) {
    if (!config.isObject()) {
      problem("must be a JSON object, as {\"reasoning_end_str\": \"I have to answer.</think>\"}");
    }
    return config.isObject();
  }

  private void notice(JsonNode config) {
    for (Map.Entry<String, JsonNode> entry : config.properties()) {
      String key = entry.getKey();
      if (key.equals(START_KEY)) {
        findings.notice(CONFIG + ": key " + key + " has no effect: the parser knows the marks");
      } else if (!KEYS.contains(key)) {
        String hint = Nearest.hint(key, KEYS);
        findings.notice(CONFIG + ": key " + Shown.text(key) + " has no effect" + hint);
      }
    }
  }

  private Optional<String> text(String key) {
    JsonNode value = given.map(config -> config.path(key)).orElse(null);
    if (value == null || value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    if (!value.isTextual()) {
      problem(key + " must be a text, not " + Shown.text(value.toString()));
      return Optional.empty();
    }
    return Optional.of(value.textValue()).filter(text -> !text.isEmpty());
  }

  private void problem(String text) {
    findings.problem(settings.origin(CONFIG), CONFIG + ": " + text);
  }
}
