package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.verticles.bus.Demand;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads what a request says its answer must match, in OpenAI's words ({@code response_format}),
 * vLLM's ({@code structured_outputs}) and its older ones ({@code guided_*}, {@code
 * structural_tag}). Owned by the event loop.
 *
 * <p>All of them come down to one {@link Constraint}; a request that has two is refused, since
 * nobody could say which one it meant. How JSON is laid out may be said beside any of them.
 */
final class ConstraintFields {
  private static final String OUTPUTS = "structured_outputs";

  private final Fields fields;
  private final JsonStyle style;
  private final List<Demand> demands = new ArrayList<>();

  private ConstraintFields(Fields fields, JsonStyle style) {
    this.fields = fields;
    this.style = style;
  }

  /**
   * @return null where the request leaves its answer free
   */
  static @Nullable Demand read(Fields fields, ServerConfig.StructuredOutput defaults) {
    Fields outputs = fields.object(OUTPUTS);
    ConstraintFields reading = new ConstraintFields(fields, style(fields, outputs, defaults));
    reading.responseFormat();
    if (outputs != null) {
      reading.outputs(outputs);
    }
    reading.guided();
    return reading.only(outputs != null);
  }

  private static JsonStyle style(
      Fields fields, @Nullable Fields outputs, ServerConfig.StructuredOutput defaults) {
    String whitespace = fields.string("guided_whitespace_pattern");
    if (outputs == null) {
      return new JsonStyle(defaults.isCompact(), whitespace, defaults.isClosed());
    }
    String own = outputs.string("whitespace_pattern");
    return new JsonStyle(
        outputs.bool("disable_any_whitespace", defaults.isCompact()),
        own == null ? whitespace : own,
        outputs.bool("disable_additional_properties", defaults.isClosed()));
  }

  private @Nullable Demand only(boolean hasOutputs) {
    if (demands.size() > 1) {
      throw RejectedException.invalid(
          demands.get(1).parameter(),
          "An answer can be held to one thing only; the request has "
              + String.join(" and ", demands.stream().map(Demand::parameter).toList())
              + ". Leave all but one out.");
    }
    if (demands.isEmpty() && hasOutputs) {
      throw fields.wrong(
          OUTPUTS,
          "an object with one of json, regex, choice, grammar, json_object and structural_tag");
    }
    return demands.isEmpty() ? null : demands.getFirst();
  }

  private void responseFormat() {
    Fields format = fields.object("response_format");
    if (format == null) {
      return;
    }
    String type = format.string("type");
    switch (type) {
      case "text" -> {}
      case "json_object" ->
          demands.add(new Demand(new Constraint.JsonObject(style), fields.path("response_format")));
      case "json_schema" -> jsonSchema(format);
      case "structural_tag" -> tag(fields, "response_format");
      case null, default ->
          throw format.wrong("type", "text, json_object, json_schema or structural_tag");
    }
  }

  /** {@code name} and {@code description} are for people; {@code strict} is how we always are. */
  private void jsonSchema(Fields format) {
    Fields schema = format.object("json_schema");
    if (schema == null) {
      throw format.wrong("json_schema", "an object with a schema");
    }
    schema.string("name");
    schema.string("description");
    schema.bool("strict");
    if (!schema.has("schema")) {
      throw schema.wrong("schema", "a JSON schema");
    }
    json(schema, "schema");
  }

  private void outputs(Fields outputs) {
    json(outputs, "json");
    regex(outputs, "regex");
    choice(outputs, "choice");
    grammar(outputs, "grammar");
    jsonObject(outputs, "json_object");
    tag(outputs, "structural_tag");
  }

  private void guided() {
    fields.string("guided_decoding_backend"); // there is one, whatever it was to be
    json(fields, "guided_json");
    regex(fields, "guided_regex");
    choice(fields, "guided_choice");
    grammar(fields, "guided_grammar");
    jsonObject(fields, "guided_json_object");
    tag(fields, "structural_tag");
  }

  private void json(Fields from, String name) {
    String schema = jsonText(from, name);
    if (schema != null) {
      add(from, name, new Constraint.JsonSchema(schema, style));
    }
  }

  private void tag(Fields from, String name) {
    String tag = jsonText(from, name);
    if (tag != null) {
      add(from, name, new Constraint.StructuralTag(tag, style));
    }
  }

  /** An object, or one that was written into a string. */
  private static @Nullable String jsonText(Fields from, String name) {
    Object value = from.value(name);
    if (value == null || value instanceof String) {
      return (String) value;
    }
    return JsonSource.of(Fields.map(value, from.path(name)));
  }

  private void regex(Fields from, String name) {
    String pattern = from.string(name);
    if (pattern != null) {
      add(from, name, new Constraint.Regex(pattern));
    }
  }

  private void grammar(Fields from, String name) {
    String text = from.string(name);
    if (text != null) {
      add(from, name, new Constraint.Rules(text));
    }
  }

  private void jsonObject(Fields from, String name) {
    if (from.bool(name)) {
      add(from, name, new Constraint.JsonObject(style));
    }
  }

  private void choice(Fields from, String name) {
    List<?> given = from.list(name);
    if (given == null) {
      return;
    }
    List<String> options = new ArrayList<>(given.size());
    for (Object option : given) {
      if (!(option instanceof String text)) {
        throw Fields.wrongAt(from.path(name) + "." + options.size(), option, "a string");
      }
      options.add(text);
    }
    if (options.isEmpty()) {
      throw from.wrong(name, "a list of at least one string");
    }
    add(from, name, new Constraint.Choice(options));
  }

  private void add(Fields from, String name, Constraint constraint) {
    demands.add(new Demand(constraint, from.path(name)));
  }
}
