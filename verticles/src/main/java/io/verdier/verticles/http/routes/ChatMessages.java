package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.JsonBody;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: checks a conversation and brings it into the form that chat templates expect: content
 * is a string (the texts of its parts, one per line), arguments of tool calls are objects.
 */
record ChatMessages(JsonBody json, int messagesMax) {
  private static final Set<String> ROLES =
      Set.of("system", "developer", "user", "assistant", "tool");
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
    if (role == null || !ROLES.contains(role)) {
      throw message.wrong("role", "system, developer, user, assistant or tool");
    }
    // Clients send answers back with all their nulls; templates ask whether a key is there.
    Map<String, @Nullable Object> checked = new LinkedHashMap<>(message.map());
    checked.values().removeIf(Objects::isNull);
    Object content = message.value("content");
    if (content == null && !role.equals("assistant")) {
      throw message.wrong("content", "a string or a list of parts");
    }
    checked.put("content", content == null ? "" : text(message, "content", content));
    if (message.has("tool_calls")) {
      checked.put("tool_calls", toolCalls(message));
    }
    return checked;
  }

  /** The text of a string, or of a list of parts that are text. */
  static String text(Fields message, String name, @Nullable Object content) {
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
    return String.join("\n", texts);
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
        arguments = json.parseAny(text);
      } catch (RejectedException malformed) {
        throw function.wrong("arguments", "a JSON object, or the text of one");
      }
    }
    if (arguments == null || arguments instanceof String) {
      return Map.of();
    }
    return Fields.map(arguments, function.path("arguments"));
  }
}
