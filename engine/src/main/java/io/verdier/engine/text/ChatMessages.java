package io.verdier.engine.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ChatConfig.ContentFormat;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.text.template.ContentUse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Messages as clients send them, brought into the form that a template expects. Immutable. Never
 * changes what it is given.
 */
final class ChatMessages {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final ContentUse use;
  private final Optional<ContentFormat> told;

  /**
   * @param use what the template is seen to do with content
   * @param told the form that content is to have in spite of it
   */
  ChatMessages(ContentUse use, Optional<ContentFormat> told) {
    this.use = use;
    this.told = told;
  }

  List<Map<String, Object>> prepared(List<Map<String, Object>> messages) {
    List<Map<String, Object>> prepared = new ArrayList<>(messages.size());
    for (int i = 0; i < messages.size(); i++) {
      Map<String, Object> message = new LinkedHashMap<>(messages.get(i));
      boolean isResult = "tool".equals(message.get("role"));
      if (message.containsKey("content")) {
        message.put("content", content(message.get("content"), isResult, i));
      }
      if (message.get("tool_calls") instanceof List<?> calls && !calls.isEmpty()) {
        message.put("tool_calls", toolCalls(calls, i));
      } else if (hasNoCalls(message.get("tool_calls"))) {
        message.remove("tool_calls"); // templates ask whether the name is there
      }
      prepared.add(message);
    }
    return prepared;
  }

  private static boolean hasNoCalls(@Nullable Object calls) {
    return calls == null || (calls instanceof List<?> list && list.isEmpty());
  }

  /**
   * The content as the template takes it.
   *
   * @param isResult whether a tool has said it: templates that walk the parts of others print such
   *     content, or its JSON
   */
  @SuppressWarnings("NullAway") // a JSON null stays one where the template asks for it
  private Object content(@Nullable Object content, boolean isResult, int index) {
    if (content == null) {
      // "None" in the prompt is never meant; a template that tests for it wants to see it
      return use.asksForNone() ? null : "";
    }
    boolean listOnly = use.walksParts() && !use.takesString();
    if (content instanceof List<?> parts && keepsParts(isResult && !listOnly)) {
      return withType(parts);
    }
    Object whole = content instanceof List<?> parts ? flattened(parts, index) : content;
    return whole instanceof String && takesListOnly(listOnly, isResult)
        ? List.of(Map.of("type", "text", "text", whole))
        : whole;
  }

  private boolean keepsParts(boolean isPrinted) {
    boolean walks = told.map(format -> format == ContentFormat.OPENAI).orElseGet(use::walksParts);
    return walks && !isPrinted;
  }

  private boolean takesListOnly(boolean listOnly, boolean isResult) {
    return told.map(format -> format == ContentFormat.OPENAI && (listOnly || !isResult))
        .orElse(listOnly);
  }

  /** Parts that are bare strings become text parts; all others stay. */
  private static List<Object> withType(List<?> parts) {
    List<Object> typed = new ArrayList<>(parts.size());
    for (Object part : parts) {
      typed.add(part instanceof String text ? Map.of("type", "text", "text", text) : part);
    }
    return typed;
  }

  /** Text parts with line breaks between, for a template that knows strings only. */
  private static String flattened(List<?> parts, int index) {
    List<String> texts = new ArrayList<>(parts.size());
    for (int i = 0; i < parts.size(); i++) {
      String text = text(parts.get(i));
      if (text == null) {
        throw RejectedException.invalid(
            "messages[" + index + "].content[" + i + "]",
            "the chat template of this model takes text only, but messages["
                + index
                + "].content["
                + i
                + "] has type '"
                + type(parts.get(i))
                + "'. Send parts of type 'text'.");
      }
      texts.add(text);
    }
    return String.join("\n", texts);
  }

  private static @Nullable String text(@Nullable Object part) {
    if (part instanceof String text) {
      return text;
    }
    if (!(part instanceof Map<?, ?> map)) {
      return null;
    }
    Object text =
        switch (type(part)) {
          case "text", "input_text", "output_text" -> map.get("text");
          case "refusal" -> map.get("refusal");
          default -> null;
        };
    return text instanceof String string ? string : null;
  }

  private static String type(@Nullable Object part) {
    Object type = part instanceof Map<?, ?> map ? map.get("type") : null;
    return type == null ? "unknown" : type.toString();
  }

  /** Arguments arrive as JSON in a string; templates print or walk the object itself. */
  private static List<Object> toolCalls(List<?> calls, int index) {
    List<Object> prepared = new ArrayList<>(calls.size());
    for (int i = 0; i < calls.size(); i++) {
      Object call = calls.get(i);
      if (call instanceof Map<?, ?> map && map.get("function") instanceof Map<?, ?> function) {
        Map<Object, Object> newFunction = new LinkedHashMap<>(function);
        String path = "messages[" + index + "].tool_calls[" + i + "].function.arguments";
        newFunction.put("arguments", arguments(function.get("arguments"), path));
        Map<Object, Object> newCall = new LinkedHashMap<>(map);
        newCall.put("function", newFunction);
        prepared.add(newCall);
      } else {
        prepared.add(call);
      }
    }
    return prepared;
  }

  private static Object arguments(@Nullable Object arguments, String path) {
    if (arguments == null || arguments.equals("")) {
      return Map.of();
    }
    if (!(arguments instanceof String text)) {
      return arguments;
    }
    try {
      Object parsed = JSON.readValue(text, Object.class);
      return parsed == null ? Map.of() : parsed;
    } catch (JsonProcessingException e) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          path + " is not JSON: " + e.getOriginalMessage() + ". Send the arguments as JSON.",
          path);
    }
  }
}
