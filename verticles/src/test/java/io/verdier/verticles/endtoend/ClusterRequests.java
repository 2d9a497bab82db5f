package io.verdier.verticles.endtoend;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Streamed requests by number, of every kind whose state must move with it: greedy, sampled,
 * guided, several choices, penalties, log probabilities, a schema, a tool, a stop string, an
 * adapter. Stateless.
 */
final class ClusterRequests {
  static final int KINDS = 10;

  /** What an engine must have for all of them. */
  static final List<String> FLAGS =
      List.of(
          "--enable-lora",
          "--lora-modules=pirate=../engine/src/main/resources/demo-model/lora/pirate");

  /** Until here no stop string counts, so that there is a stream to be moved. */
  private static final int STOPPED_AFTER = 60;

  private static final Map<String, Object> WORDS =
      Map.of(
          "type",
          "array",
          "minItems",
          25,
          "maxItems",
          30,
          "items",
          Map.of("type", "string", "pattern", "^[a-z]{4,9}$"));
  private static final Map<String, Object> OBJECT =
      Map.of(
          "type",
          "object",
          "properties",
          Map.of("words", WORDS),
          "required",
          List.of("words"),
          "additionalProperties",
          false);
  private static final Map<String, Object> TOOL =
      Map.of(
          "type",
          "function",
          "function",
          Map.of("name", "note", "description", "Keep words.", "parameters", OBJECT));

  private ClusterRequests() {}

  static String path(int number) {
    return isChat(number) ? "/v1/chat/completions" : "/v1/completions";
  }

  private static boolean isChat(int number) {
    return number % KINDS == 6 || number % KINDS == 7;
  }

  /**
   * @param tokens of the longest
   */
  static Map<String, Object> body(int number, int tokens) {
    Map<String, Object> body = new LinkedHashMap<>();
    String prompt = "Story number " + number + ": a small bird";
    body.put("stream", true);
    body.put("stream_options", Map.of("include_usage", true));
    body.put("max_tokens", tokens);
    body.put("ignore_eos", true);
    body.put("seed", number);
    body.put("temperature", 1);
    if (isChat(number)) {
      body.put("messages", List.of(Map.of("role", "user", "content", prompt)));
    } else {
      body.put("prompt", prompt);
    }
    switch (number % KINDS) {
      case 0 -> body.put("temperature", 0);
      case 1 -> body.put("top_p", 0.9);
      case 2 -> body.put("structured_outputs", Map.of("regex", "([a-z]{3,9} ){30}end"));
      case 3 -> {
        body.put("n", 2);
        body.put("max_tokens", tokens / 2);
      }
      case 4 -> {
        body.put("presence_penalty", 1.5);
        body.put("stop", List.of("zzzz", "never said"));
      }
      case 5 -> {
        body.put("logprobs", 2);
        body.put("max_tokens", tokens / 2);
      }
      case 6 ->
          body.put(
              "response_format",
              Map.of("type", "json_schema", "json_schema", Map.of("name", "w", "schema", OBJECT)));
      case 7 -> {
        body.put("tools", List.of(TOOL));
        body.put("tool_choice", Map.of("type", "function", "function", Map.of("name", "note")));
      }
      case 8 -> {
        body.put("stop", List.of(" a", "the", "o"));
        body.put("min_tokens", STOPPED_AFTER);
      }
      default -> body.put("model", "pirate");
    }
    return body;
  }
}
