package io.verdier.verticles.http.routes;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.text.toolcall.CallSpelling;
import io.verdier.verticles.bus.Demand;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Tools that say {@code strict} where the model decides whether to call: its text is free until a
 * call begins, which then has the name of a tool, and arguments that match its schema. Stateless.
 *
 * <p>As in vLLM one strict tool is enough for all names to be held; the arguments of those that are
 * not strict are any object.
 */
final class StrictTools {
  private static final Map<String, Object> ANY_OBJECT = Map.of("type", "object");

  private StrictTools() {}

  /**
   * @param style how arguments are laid out
   * @return null if no tool is strict, or the model's calls cannot be told from other text
   */
  static @Nullable Demand demand(
      Fields request,
      List<Object> tools,
      Optional<CallSpelling> spelling,
      Constraint.JsonStyle style) {
    if (spelling.isEmpty() || tools.stream().noneMatch(StrictTools::isStrict)) {
      return null;
    }
    List<Object> calls = new ArrayList<>();
    for (Object tool : tools) {
      calls.add(call(tool, spelling.get()));
    }
    boolean marked = !spelling.get().opening().isEmpty();
    Map<String, Object> format = format("triggered_tags");
    format.put("triggers", List.of(spelling.get().trigger()));
    format.put("tags", marked ? List.of(marked(calls, spelling.get())) : calls);
    return new Demand(
        new Constraint.StructuralTag(JsonSource.of(Map.of("format", format)), style),
        request.path("tools"),
        true,
        Optional.empty());
  }

  /** A call between its marks, each of which may have a line break inside. */
  private static Map<String, Object> marked(List<Object> calls, CallSpelling spelling) {
    Map<String, Object> lineBreak = format("regex");
    lineBreak.put("pattern", "\\n?");
    Map<String, Object> any = format("or");
    any.put("elements", calls);
    Map<String, Object> content = format("sequence");
    content.put("elements", List.of(lineBreak, any, lineBreak));
    return tag(spelling.opening(), content, spelling.closing());
  }

  private static Map<String, Object> call(Object tool, CallSpelling spelling) {
    Map<String, Object> arguments = format("json_schema");
    arguments.put("json_schema", isStrict(tool) ? ToolFields.parameters(tool) : ANY_OBJECT);
    String quoted = JsonSource.of(ToolFields.function(tool).value("name"));
    String name = quoted.substring(1, quoted.length() - 1); // the spelling has the quotes
    return tag(spelling.head() + name + spelling.arguments(), arguments, "}");
  }

  private static Map<String, Object> tag(String begin, Map<String, Object> content, String end) {
    Map<String, Object> tag = format("tag");
    tag.put("begin", begin);
    tag.put("content", content);
    tag.put("end", end);
    return tag;
  }

  private static Map<String, Object> format(String type) {
    Map<String, Object> format = new LinkedHashMap<>();
    format.put("type", type);
    return format;
  }

  /** Whether some tool asks for what nobody holds its calls to. */
  static boolean hasNoEffect(ToolFields tools, Optional<CallSpelling> spelling) {
    return tools.choice() == ToolFields.Choice.AUTO
        && spelling.isEmpty()
        && tools.callable().stream().anyMatch(StrictTools::isStrict);
  }

  private static boolean isStrict(Object tool) {
    return ToolFields.function(tool).bool("strict");
  }
}
