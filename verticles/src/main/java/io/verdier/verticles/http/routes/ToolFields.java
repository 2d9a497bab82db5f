package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.text.toolcall.CallSpelling;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a request says of tools, checked. Immutable.
 *
 * @param declared decoded JSON objects; empty where there are none
 * @param callable those that may be called: all, or the one that the request names
 * @param choice whether they may be called, or must be
 * @param parallel whether an answer may call several times
 */
record ToolFields(List<Object> declared, List<Object> callable, Choice choice, boolean parallel) {
  /** What the model may do with tools. */
  enum Choice {
    NONE,
    AUTO,
    /** It must call some, and say nothing else. */
    REQUIRED,
    /** It must call the one that the request names. */
    NAMED
  }

  private static final String DEFINITIONS = "$defs";

  /** Compact: small models that may write blanks where nothing else is left to say write many. */
  private static final Constraint.JsonStyle STYLE = new Constraint.JsonStyle(true, null, false);

  ToolFields {
    declared = List.copyOf(declared);
    callable = List.copyOf(callable);
  }

  static ToolFields read(Ingress ingress, Fields fields) {
    List<?> given = fields.list("tools");
    List<Object> tools = given == null ? List.of() : tools(ingress, fields, given);
    boolean isEmpty = given != null && tools.isEmpty(); // which v0.9 takes, with auto beside it
    Choice choice =
        isEmpty && "auto".equals(fields.value("tool_choice"))
            ? Choice.NONE
            : choice(fields, !tools.isEmpty());
    List<Object> callable = choice == Choice.NAMED ? List.of(named(fields, tools)) : tools;
    // Of a prompt alone, nobody answers.
    boolean parallel = !fields.knows("parallel_tool_calls") || fields.bool("parallel_tool_calls");
    return new ToolFields(tools, callable, choice, parallel);
  }

  /** A function as chats declare it. */
  static Map<String, @Nullable Object> declaration(Map<String, @Nullable Object> function) {
    Map<String, @Nullable Object> tool = new LinkedHashMap<>();
    tool.put("type", "function");
    tool.put("function", function);
    return tool;
  }

  /** What the chat template is shown, null where there is nothing. */
  @Nullable List<Object> shown(Parsing parsing) {
    boolean hidden = choice == Choice.NONE && parsing.hideUncallableTools();
    return declared.isEmpty() || hidden ? null : declared;
  }

  private static List<Object> tools(Ingress ingress, Fields fields, List<?> given) {
    int max = ingress.limits().toolsMax();
    boolean mayBeEmpty = ingress.config().http().dialect() == ApiDialect.V0_9;
    if ((given.isEmpty() && !mayBeEmpty) || given.size() > max) {
      throw fields.wrong("tools", "a list of 1 to " + max + " tools");
    }
    List<Object> tools = new ArrayList<>(given.size());
    for (Object element : given) {
      Fields tool = fields.element("tools", tools.size(), element);
      check(tool);
      tools.add(tool.map());
    }
    return tools;
  }

  private static void check(Fields tool) {
    if (!"function".equals(tool.string("type"))) {
      throw tool.wrong("type", "function");
    }
    Fields function = tool.object("function");
    if (function == null) {
      throw tool.wrong("function", "an object with a name");
    }
    if (function.string("name") == null) {
      throw function.wrong("name", "a string");
    }
    function.bool("strict");
  }

  /** Tools that are declared may be called unless the request says otherwise. */
  private static Choice choice(Fields fields, boolean tools) {
    Object given = fields.value("tool_choice");
    Choice choice = given == null ? (tools ? Choice.AUTO : Choice.NONE) : choice(fields, given);
    if (choice != Choice.NONE && !tools) {
      throw RejectedException.invalid(
          fields.path("tool_choice"), "tool_choice needs tools to choose from.");
    }
    return choice;
  }

  private static Choice choice(Fields fields, Object given) {
    if (given instanceof Map<?, ?>) {
      return Choice.NAMED;
    }
    return switch (fields.string("tool_choice")) {
      case "none" -> Choice.NONE;
      case "auto" -> Choice.AUTO;
      case "required" -> Choice.REQUIRED;
      case null, default ->
          throw fields.wrong("tool_choice", "none, auto, required or an object with a function");
    };
  }

  /** The tool that the choice names. */
  private static Object named(Fields fields, List<Object> tools) {
    Fields choice = Objects.requireNonNull(fields.object("tool_choice"));
    String type = choice.string("type");
    if (type != null && !type.equals("function")) {
      throw choice.wrong("type", "function");
    }
    Fields function = choice.object("function");
    String name = function == null ? null : function.string("name");
    if (name == null) {
      throw choice.wrong("function", "an object with the name of a tool");
    }
    for (Object tool : tools) {
      if (name.equals(function(tool).string("name"))) {
        return tool;
      }
    }
    throw Fields.wrongAt(choice.path("function.name"), name, "the name of one of the tools");
  }

  /** The function of a tool that was checked. */
  static Fields function(Object tool) {
    Fields function =
        new Fields(Fields.map(tool, "tools"), "tools.", Body.CHAT, "tools.").object("function");
    if (function == null) {
      throw new IllegalStateException("a tool was checked and has no function");
    }
    return function;
  }

  /**
   * What the answer must match, null where it may be anything: a list of calls, the arguments of
   * the one that the request names, or those of calls that the model decides to make.
   *
   * @param spelling of the model's own calls; empty: they can be held to nothing
   */
  @Nullable Demand demand(Fields fields, Optional<CallSpelling> spelling) {
    Map<String, @Nullable Object> schema = new LinkedHashMap<>();
    switch (choice) {
      case NONE -> {
        return null;
      }
      case AUTO -> {
        return StrictTools.demand(fields, callable, spelling, STYLE);
      }
      case NAMED -> schema.putAll(parameters(callable.getFirst()));
      case REQUIRED -> {
        Map<String, Object> shared = new LinkedHashMap<>();
        List<Object> calls = new ArrayList<>();
        for (Object tool : callable) {
          calls.add(call(tool, shared));
        }
        schema.put("type", "array");
        schema.put("minItems", 1L);
        if (!parallel) {
          schema.put("maxItems", 1L);
        }
        schema.put("items", Map.of("anyOf", calls));
        if (!shared.isEmpty()) {
          schema.put(DEFINITIONS, shared);
        }
      }
    }
    return new Demand(
        new Constraint.JsonSchema(JsonSource.of(schema), STYLE), fields.path("tools"));
  }

  /**
   * The schema of one call.
   *
   * @param shared gets the definitions that its parameters refer to: they do so from the root
   */
  private static Map<String, Object> call(Object tool, Map<String, Object> shared) {
    Map<String, Object> parameters = new LinkedHashMap<>(parameters(tool));
    if (parameters.remove(DEFINITIONS) instanceof Map<?, ?> definitions) {
      definitions.forEach((name, schema) -> shared.put(String.valueOf(name), schema));
    }
    Map<String, Object> properties = new LinkedHashMap<>();
    properties.put("name", Map.of("enum", List.of(String.valueOf(function(tool).value("name")))));
    properties.put("parameters", parameters);
    Map<String, Object> call = new LinkedHashMap<>();
    call.put("type", "object");
    call.put("properties", properties);
    call.put("required", List.of("name", "parameters"));
    call.put("additionalProperties", false);
    return call;
  }

  /** The schema of its arguments. */
  @SuppressWarnings("NullAway") // a schema's null stays what it is
  static Map<String, Object> parameters(Object tool) {
    Fields parameters = function(tool).object("parameters");
    Map<String, Object> schema = new LinkedHashMap<>();
    if (parameters != null) {
      schema.putAll(parameters.map());
    }
    schema.putIfAbsent("type", "object");
    return schema;
  }
}
