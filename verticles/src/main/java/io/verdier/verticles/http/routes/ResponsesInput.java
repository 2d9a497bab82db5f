package io.verdier.verticles.http.routes;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: the items of a Responses request as messages of a chat. What the
 * assistant has thought, said and called in a row is one message, as it was one answer.
 */
final class ResponsesInput {
  private final List<Map<String, @Nullable Object>> messages = new ArrayList<>();
  private @Nullable Map<String, @Nullable Object> answer; // of the assistant, may go on
  private List<Object> calls = new ArrayList<>();

  private ResponsesInput() {}

  /** The messages of the field {@code input}. */
  static List<Map<String, @Nullable Object>> read(Fields fields) {
    ResponsesInput input = new ResponsesInput();
    if (fields.value("input") instanceof String text) {
      return List.of(message("user", text));
    }
    List<?> items = fields.list("input");
    if (items == null || items.isEmpty()) {
      throw fields.wrong("input", "a text or a list of items");
    }
    for (int i = 0; i < items.size(); i++) {
      input.item(fields.element("input", i, items.get(i)));
    }
    return input.messages;
  }

  static Map<String, @Nullable Object> message(String role, @Nullable Object content) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", content);
    return message;
  }

  /** A call as chats have it. */
  static Map<String, @Nullable Object> call(String id, String name, String arguments) {
    Map<String, @Nullable Object> function = new LinkedHashMap<>();
    function.put("name", name);
    function.put("arguments", arguments);
    Map<String, @Nullable Object> call = new LinkedHashMap<>();
    call.put("id", id);
    call.put("type", "function");
    call.put("function", function);
    return call;
  }

  private void item(Fields item) {
    String type = item.string("type");
    switch (type == null && item.has("role") ? "message" : type) {
      case "message" -> said(item);
      case "reasoning" -> thought(item);
      case "function_call" -> called(item);
      case "function_call_output" -> {
        Map<String, @Nullable Object> result =
            message("tool", ChatMessages.content(item, "output", item.value("output")));
        result.put("tool_call_id", required(item, "call_id"));
        add(result);
      }
      case null, default ->
          throw item.unsupported(
              "type",
              "items are message, reasoning, function_call and function_call_output; others are"
                  + " not supported.");
    }
  }

  private void add(Map<String, @Nullable Object> message) {
    messages.add(message);
    answer = null;
  }

  private void said(Fields item) {
    Object content = ChatMessages.content(item, "content", item.value("content"));
    String role = required(item, "role");
    switch (role) {
      case "assistant" -> answerWithout("content").put("content", content);
      case "user", "system", "developer" -> add(message(role, content));
      default -> throw item.wrong("role", "user, assistant, system or developer");
    }
  }

  /** The texts of the reasoning itself, else of its summary. */
  private void thought(Fields item) {
    String text = texts(item, "content");
    if (text.isEmpty()) {
      text = texts(item, "summary");
    }
    if (!text.isEmpty()) {
      answerWithout("reasoning_content").put("reasoning_content", text);
    }
  }

  private static String texts(Fields item, String name) {
    List<?> parts = item.list(name);
    List<String> texts = new ArrayList<>();
    for (Object part : parts == null ? List.of() : parts) {
      texts.add(required(item.element(name, texts.size(), part), "text"));
    }
    return String.join("\n", texts);
  }

  private void called(Fields item) {
    Map<String, @Nullable Object> message = answer == null ? answerWithout("") : answer;
    if (!message.containsKey("tool_calls")) {
      calls = new ArrayList<>();
      message.put("tool_calls", calls);
    }
    String arguments = item.string("arguments");
    calls.add(
        call(
            required(item, "call_id"), required(item, "name"), arguments == null ? "" : arguments));
  }

  /** The assistant's message that goes on; a new one where it has got past {@code name}. */
  private Map<String, @Nullable Object> answerWithout(String name) {
    Map<String, @Nullable Object> message = answer;
    if (message == null
        || message.containsKey("tool_calls")
        || message.get(name) != null
        || (name.equals("reasoning_content") && message.get("content") != null)) {
      message = message("assistant", null);
      messages.add(message);
      answer = message;
    }
    return message;
  }

  private static String required(Fields item, String name) {
    String value = item.string(name);
    if (value == null) {
      throw item.wrong(name, "a string");
    }
    return value;
  }
}
