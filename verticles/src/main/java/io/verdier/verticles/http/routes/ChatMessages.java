package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.JsonBody;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: checks a conversation and brings it into the form that chat templates expect: content
 * is a string or a list of text parts, arguments of tool calls are objects. Whether the template
 * walks such a list or gets the texts as lines, its reader decides: an ingress may have none.
 */
record ChatMessages(JsonBody.Texts texts, int messagesMax) {
  /** Far above what any chat template knows. */
  private static final int ROLE_CHARS_MAX = 64;

  /** Roles of the API that say something in each of their messages. */
  private static final Set<String> SPEAKERS = Set.of("system", "developer", "user", "tool");

  private static final List<String> REASONING = List.of("reasoning", "reasoning_content");

  private static final Set<String> TEXT_PARTS =
      Set.of("text", "input_text", "output_text", "refusal", "thinking");

  /**
   * @throws RejectedException if a message is not what a text model can take
   */
  List<Map<String, @Nullable Object>> read(Fields fields) {
    List<?> given = fields.list("messages");
    if (given == null || given.isEmpty() || given.size() > messagesMax) {
      throw fields.wrong("messages", "a list of 1 to " + messagesMax + " messages");
    }
    List<Map<String, @Nullable Object>> messages = new ArrayList<>(given.size());
    for (int i = 0; i < given.size(); i++) {
      messages.add(message(fields.element("messages", i, given.get(i))));
    }
    return messages;
  }

  private Map<String, @Nullable Object> message(Fields message) {
    String role = message.string("role");
    if (role == null || role.isEmpty() || role.length() > ROLE_CHARS_MAX) {
      throw message.wrong("role", "a string of 1 to " + ROLE_CHARS_MAX + " characters");
    }
    // Clients send answers back with all their nulls; templates ask whether a key is there.
    Map<String, @Nullable Object> checked = new LinkedHashMap<>(message.map());
    checked.values().removeIf(Objects::isNull);
    Object content = message.value("content");
    if (content == null && SPEAKERS.contains(role)) {
      throw message.wrong("content", "a string or a list of parts");
    }
    checked.put("content", content == null ? "" : content(message, "content", content));
    List<Object> calls = toolCalls(message);
    if (calls.isEmpty()) {
      checked.remove("tool_calls"); // clients send these back too
    } else {
      checked.put("tool_calls", calls);
    }
    if (role.equals("assistant")) {
      nameReasoning(checked);
    }
    return checked;
  }

  /** Templates know reasoning by either name; where both are there, vLLM reads the first. */
  private static void nameReasoning(Map<String, @Nullable Object> message) {
    Object reasoning =
        REASONING.stream().map(message::get).filter(Objects::nonNull).findFirst().orElse(null);
    if (reasoning != null) {
      REASONING.forEach(name -> message.put(name, reasoning));
    }
  }

  /**
   * What is said: a string, or where there are several parts a list of them, {@code {"type":
   * "text", "text": …}} each.
   *
   * @param content a string, or a list of parts that are text
   */
  static Object content(Fields message, String name, @Nullable Object content) {
    if (content instanceof String string) {
      return string;
    }
    if (!(content instanceof List<?> parts)) {
      throw message.wrong(name, "a string or a list of parts");
    }
    List<String> texts = new ArrayList<>(parts.size());
    for (int i = 0; i < parts.size(); i++) {
      Object part = parts.get(i);
      texts.add(part instanceof String string ? string : partText(message.element(name, i, part)));
    }
    return content(texts);
  }

  /** The same of texts that were read already. */
  static Object content(List<String> texts) {
    return switch (texts.size()) {
      case 0 -> "";
      case 1 -> texts.getFirst();
      default -> texts.stream().map(ChatMessages::part).toList();
    };
  }

  private static Map<String, Object> part(String text) {
    Map<String, Object> part = new LinkedHashMap<>();
    part.put("type", "text");
    part.put("text", text);
    return part;
  }

  /** The lines of what a message that {@link #read} has checked says. */
  static String lines(Map<String, @Nullable Object> message) {
    return message.get("content") instanceof List<?> parts
        ? parts.stream()
            .map(part -> String.valueOf(((Map<?, ?>) part).get("text")))
            .collect(Collectors.joining("\n"))
        : String.valueOf(message.get("content"));
  }

  private static String partText(Fields part) {
    String type = part.string("type");
    if (type == null || !TEXT_PARTS.contains(type)) {
      throw part.unsupportedValue(
          "type", "the model being served takes text only, other parts are not supported.");
    }
    String key = type.equals("refusal") || type.equals("thinking") ? type : "text";
    String text = part.string(key);
    if (text == null) {
      throw part.wrong(key, "a string");
    }
    return text;
  }

  private List<Object> toolCalls(Fields message) {
    List<?> given = message.list("tool_calls");
    List<Object> calls = new ArrayList<>();
    for (Object call : given == null ? List.of() : given) {
      Fields fields = message.element("tool_calls", calls.size(), call);
      Fields function = fields.object("function");
      if (function == null || function.string("name") == null) {
        throw fields.wrong("function", "an object with a name");
      }
      Map<String, @Nullable Object> readable = new LinkedHashMap<>(function.map());
      readable.put("arguments", arguments(function));
      Map<String, @Nullable Object> copy = new LinkedHashMap<>(fields.map());
      copy.put("function", readable);
      calls.add(copy);
    }
    return calls;
  }

  /** Templates loop over arguments; clients send them as the text of a JSON object. */
  private Object arguments(Fields function) {
    Object arguments = function.value("arguments");
    if (arguments instanceof String text && !text.isBlank()) {
      try {
        arguments = texts.parse(text);
      } catch (RejectedException malformed) {
        if (texts.areTooMany()) {
          throw RejectedException.invalid(
              function.path("arguments"),
              "The arguments of all calls together: " + malformed.getMessage());
        }
        throw function.wrong("arguments", "a JSON object, or the text of one");
      }
    }
    if (arguments == null || arguments instanceof String) {
      return Map.of();
    }
    return Fields.map(arguments, function.path("arguments"));
  }
}
