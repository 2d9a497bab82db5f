package io.verdier.engine.text.toolcall;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Answers with calls, written as models write them and at random: what the parser must read is what
 * was written, so that nothing here knows the parser. Owned by the test.
 */
final class WrittenCalls {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<String> STRINGS =
      List.of(
          "",
          "Paris",
          "São Paulo 🐦",
          "a \"quoted\" \\ word",
          "two\nlines\t}",
          "]}, {\"name\": \"f\"",
          "<tool_call> and </tool_call>",
          "<|python_tag|>[f()]",
          "[TOOL_CALLS]",
          "it's <|action_end|>",
          "名前、」");
  private static final List<String> BEFORE =
      List.of("", "", "Let me look. ", "Ünï 🐦\n", "I <b>think</b> so: ");
  private static final List<String> AFTER = List.of("", "", " Done.", " 🐦 fin");

  private final Random random;

  WrittenCalls(Random random) {
    this.random = random;
  }

  /** One call. */
  record Call(String name, Map<String, @Nullable Object> arguments) {}

  /** An answer, and what was meant. */
  record Answer(ToolCallFormat format, String text, String content, List<Call> calls) {
    Tools tools() {
      return format == ToolCallFormat.ARGUMENTS ? ONLY : Samples.TOOLS;
    }
  }

  private static final Tools ONLY = Tools.of(List.of(Map.of("function", Map.of("name", "f"))));

  /** One of the ways in which models of a format write calls. */
  private record Layout(Function<List<Call>, String> writer, boolean hasBefore, boolean hasAfter) {
    Layout(Function<List<Call>, String> writer) {
      this(writer, true, true);
    }
  }

  private static List<Layout> layouts(ToolCallFormat format) {
    return switch (format) {
      case LLAMA3 ->
          List.of(
              new Layout(calls -> joined(calls, "; ", call -> object(call, "parameters"))),
              new Layout(
                  calls -> "[" + joined(calls, ", ", call -> object(call, "arguments")) + "]",
                  false,
                  true));
      case LIST ->
          List.of(
              new Layout(
                  calls -> "[" + joined(calls, ", ", call -> object(call, "parameters")) + "]",
                  false,
                  false));
      case ARGUMENTS ->
          List.of(new Layout(calls -> json(calls.getFirst().arguments()), false, false));
      case PYTHONIC ->
          List.of(
              new Layout(
                  calls -> "[" + joined(calls, ", ", WrittenCalls::python) + "]", false, true));
      case HERMES ->
          List.of(
              new Layout(
                  calls -> joined(calls, "\n", call -> marked(object(call, "arguments"), "\n"))),
              new Layout(
                  calls -> joined(calls, "", call -> marked(object(call, "parameters"), ""))));
      case MISTRAL, QWEN3_CODER, DEEPSEEK_V3, GRANITE, PHI4_MINI, INTERNLM -> ownMarks(format);
    };
  }

  /** Of formats with marks of a family of models. */
  private static List<Layout> ownMarks(ToolCallFormat format) {
    return switch (format) {
      case MISTRAL ->
          List.of(
              new Layout(
                  calls ->
                      "[TOOL_CALLS] [" + joined(calls, ", ", c -> object(c, "arguments")) + "]"),
              new Layout(
                  calls ->
                      joined(
                          calls,
                          "",
                          call ->
                              "[TOOL_CALLS]" + call.name() + "[ARGS]" + json(call.arguments()))));
      case QWEN3_CODER -> List.of(new Layout(calls -> joined(calls, "\n", WrittenCalls::xml)));
      case DEEPSEEK_V3 ->
          List.of(
              new Layout(calls -> deepSeek(calls, "function<｜tool▁sep｜>%s\n```json\n%s\n```")),
              new Layout(calls -> deepSeek(calls, "%s<｜tool▁sep｜>%s")));
      case GRANITE ->
          List.of(
              new Layout(
                  calls ->
                      "<|tool_call|>[" + joined(calls, ", ", c -> object(c, "arguments")) + "]"),
              new Layout(calls -> joined(calls, "\n", c -> marked(object(c, "arguments"), "\n"))));
      case PHI4_MINI ->
          List.of(
              new Layout(
                  calls -> "functools[" + joined(calls, ", ", c -> object(c, "arguments")) + "]"),
              new Layout(
                  calls ->
                      "<|tool_call|>["
                          + joined(calls, ", ", c -> object(c, "arguments"))
                          + "]<|/tool_call|>"));
      case INTERNLM ->
          List.of(
              new Layout(
                  calls ->
                      joined(
                          calls,
                          "\n",
                          call ->
                              "<|action_start|><|plugin|>\n"
                                  + object(call, "parameters")
                                  + "<|action_end|>")));
      default -> throw new IllegalArgumentException("no marks of its own: " + format);
    };
  }

  /** An answer of one to three calls, with or without text around them. */
  Answer answer(ToolCallFormat format) {
    Layout layout = any(layouts(format));
    List<Call> calls = new ArrayList<>();
    int count = format == ToolCallFormat.ARGUMENTS ? 1 : 1 + random.nextInt(3);
    for (int i = 0; i < count; i++) {
      calls.add(format == ToolCallFormat.ARGUMENTS ? new Call("f", free(2)) : call(format));
    }
    String before = layout.hasBefore ? any(BEFORE) : "";
    String after = layout.hasAfter ? any(AFTER) : "";
    return new Answer(
        format, before + layout.writer.apply(calls) + after, before + after, List.copyOf(calls));
  }

  private Call call(ToolCallFormat format) {
    // XML says nothing of types: the declaration does.
    boolean isTyped = format == ToolCallFormat.QWEN3_CODER || random.nextBoolean();
    return switch (random.nextInt(isTyped ? 3 : 1)) {
      case 0 ->
          isTyped ? new Call("f", Map.of()) : new Call(any(List.of("f", "plan", "add")), free(2));
      case 1 -> new Call("get_weather", weather());
      default -> new Call("plan", plan());
    };
  }

  private Map<String, @Nullable Object> weather() {
    Map<String, @Nullable Object> arguments = new LinkedHashMap<>();
    arguments.put("city", any(List.of("Paris", "São Paulo 🐦", "a <b> & \"c\"")));
    if (random.nextBoolean()) {
      arguments.put("days", random.nextInt(100) - 50);
    }
    return arguments;
  }

  private Map<String, @Nullable Object> plan() {
    Map<String, @Nullable Object> arguments = new LinkedHashMap<>();
    arguments.put("stops", List.of(any(STRINGS), random.nextInt(9)));
    arguments.put("options", free(1));
    arguments.put("fast", random.nextBoolean());
    return arguments;
  }

  private Map<String, @Nullable Object> free(int depth) {
    Map<String, @Nullable Object> object = new LinkedHashMap<>();
    List<String> names = new ArrayList<>(List.of("a", "city", "x_1"));
    Collections.shuffle(names, random);
    for (String name : names.subList(0, random.nextInt(3))) {
      object.put(name, value(depth));
    }
    return object;
  }

  private @Nullable Object value(int depth) {
    return switch (random.nextInt(depth > 0 ? 8 : 6)) {
      case 0 -> random.nextInt();
      case 1 -> random.nextInt(1000) / 8.0;
      case 2 -> random.nextBoolean();
      case 3 -> null;
      case 4, 5 -> any(STRINGS);
      case 6 -> free(depth - 1);
      default -> {
        List<@Nullable Object> list = new ArrayList<>();
        for (int i = random.nextInt(3); i > 0; i--) {
          list.add(value(depth - 1));
        }
        yield list;
      }
    };
  }

  private <T> T any(List<T> some) {
    return some.get(random.nextInt(some.size()));
  }

  static String json(@Nullable Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String joined(List<Call> calls, String between, Function<Call, String> writer) {
    return calls.stream().map(writer).collect(Collectors.joining(between));
  }

  private static String object(Call call, String word) {
    return "{\"name\": \"" + call.name() + "\", \"" + word + "\": " + json(call.arguments()) + "}";
  }

  private static String marked(String call, String lineBreak) {
    return "<tool_call>" + lineBreak + call + lineBreak + "</tool_call>";
  }

  private static String deepSeek(List<Call> calls, String layout) {
    return "<｜tool▁calls▁begin｜>"
        + joined(
            calls,
            "",
            call ->
                "<｜tool▁call▁begin｜>"
                    + layout.formatted(call.name(), json(call.arguments()))
                    + "<｜tool▁call▁end｜>")
        + "<｜tool▁calls▁end｜>";
  }

  private static String xml(Call call) {
    StringBuilder text = new StringBuilder("<tool_call>\n<function=" + call.name() + ">\n");
    call.arguments()
        .forEach(
            (name, value) ->
                text.append("<parameter=")
                    .append(name)
                    .append(">\n")
                    .append(value instanceof String string ? string : json(value))
                    .append("\n</parameter>\n"));
    return text.append("</function>\n</tool_call>").toString();
  }

  private static String python(Call call) {
    return call.name()
        + call.arguments().entrySet().stream()
            .map(entry -> entry.getKey() + "=" + literal(entry.getValue()))
            .collect(Collectors.joining(", ", "(", ")"));
  }

  private static String literal(@Nullable Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean is -> is ? "True" : "False";
      case String text ->
          "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'";
      case List<?> list ->
          list.stream().map(WrittenCalls::literal).collect(Collectors.joining(", ", "[", "]"));
      case Map<?, ?> map ->
          map.entrySet().stream()
              .map(entry -> literal(entry.getKey()) + ": " + literal(entry.getValue()))
              .collect(Collectors.joining(", ", "{", "}"));
      default -> String.valueOf(value);
    };
  }
}
