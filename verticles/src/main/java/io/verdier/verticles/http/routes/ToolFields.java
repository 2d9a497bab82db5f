package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Ingress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a request says of tools, checked. Immutable.
 *
 * @param declared decoded JSON objects; empty where there are none
 * @param choice whether they may be called
 * @param parallel whether an answer may call several times
 */
record ToolFields(List<Object> declared, Choice choice, boolean parallel) {
  /** What the model may do with tools. */
  enum Choice {
    NONE,
    AUTO
  }

  ToolFields {
    declared = List.copyOf(declared);
  }

  static ToolFields read(Ingress ingress, Fields fields) {
    List<?> given = fields.list("tools");
    Choice choice = choice(fields, given != null);
    List<Object> tools = given == null ? List.of() : tools(ingress, fields, given);
    return new ToolFields(tools, choice, fields.bool("parallel_tool_calls", true));
  }

  /** What the chat template is shown, null where there is nothing. */
  @Nullable List<Object> shown(Parsing parsing) {
    boolean hidden = choice == Choice.NONE && parsing.hideUncallableTools();
    return declared.isEmpty() || hidden ? null : declared;
  }

  private static List<Object> tools(Ingress ingress, Fields fields, List<?> given) {
    int max = ingress.limits().toolsMax();
    if (given.isEmpty() || given.size() > max) {
      throw fields.wrong("tools", "a list of 1 to " + max + " tools");
    }
    List<Object> tools = new ArrayList<>(given.size());
    for (Object element : given) {
      Fields tool = Fields.of(element, fields.path("tools") + "." + tools.size());
      Fields function = tool.object("function");
      if (!"function".equals(tool.string("type"))
          || function == null
          || function.string("name") == null) {
        throw RejectedException.invalid(
            fields.path("tools"), "Each tool must be of type function and have a function.name.");
      }
      tools.add(tool.map());
    }
    return tools;
  }

  /** Tools that are declared may be called unless the request says otherwise. */
  private static Choice choice(Fields fields, boolean tools) {
    Object choice = fields.value("tool_choice");
    if (choice == null) {
      return tools ? Choice.AUTO : Choice.NONE;
    }
    if (choice.equals("none")) {
      return Choice.NONE;
    }
    if (!choice.equals("auto")) {
      throw fields.unsupported("tool_choice", "only none and auto are available yet.");
    }
    if (!tools) {
      throw RejectedException.invalid(fields.path("tool_choice"), "tool_choice auto needs tools.");
    }
    return Choice.AUTO;
  }
}
