package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.conf.ChatConfig.ContentFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Reads how conversations become prompts. Owned by the thread that loads. */
final class ChatFlags {
  private static final String VARIABLES = "--default-chat-template-kwargs";

  /** What the server or each request says, so that a default would have no effect or break it. */
  private static final List<String> RESERVED =
      List.of(
          "messages",
          "add_generation_prompt",
          "continue_final_message",
          "chat_template",
          "tokenize");

  private final Settings settings;
  private final Findings findings;

  ChatFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  ChatConfig chat() {
    return new ChatConfig(settings.optionalText("--chat-template"), contentFormat(), variables());
  }

  private Optional<ContentFormat> contentFormat() {
    String word = settings.text("--chat-template-content-format");
    return word.equals("auto")
        ? Optional.empty()
        : Optional.of(ContentFormat.valueOf(word.toUpperCase(Locale.ROOT)));
  }

  private Map<String, @Nullable Object> variables() {
    Optional<JsonNode> given = settings.json(VARIABLES);
    if (given.isEmpty()) {
      return Map.of();
    }
    if (!given.get().isObject()) {
      problem("must be a JSON object, as {\"enable_thinking\": false}");
      return Map.of();
    }
    Map<String, @Nullable Object> variables = Json.values(given.get());
    for (String name : RESERVED) {
      if (variables.containsKey(name)) {
        problem("may not hold " + name + ", which is not the template's alone; leave it out");
      }
    }
    for (String name : List.of("tools", "documents")) {
      if (variables.get(name) != null && !isListOfObjects(variables.get(name))) {
        problem(name + " must be a list of objects");
      }
    }
    return variables;
  }

  private static boolean isListOfObjects(@Nullable Object value) {
    return value instanceof List<?> list && list.stream().allMatch(Map.class::isInstance);
  }

  private void problem(String text) {
    findings.problem(settings.origin(VARIABLES), VARIABLES + ": " + text);
  }
}
