package io.verdier.engine.text.template;

import java.util.HashMap;
import java.util.Map;

/** Filters by name. Immutable. */
final class Filters {
  static final Map<String, Filter> TABLE = table();

  private Filters() {}

  private static Map<String, Filter> table() {
    Map<String, Filter> table = new HashMap<>();
    TextFilters.addTo(table);
    NumberFilters.addTo(table);
    SequenceFilters.addTo(table);
    SelectFilters.addTo(table);
    table.put("default", Filters::fallback);
    table.put("d", Filters::fallback);
    table.put("attr", Filters::attribute);
    table.put("tojson", Filters::json);
    table.put(
        "random",
        (rendering, value, args) -> {
          throw TemplateException.runtime(
              "filter 'random' is refused: the same request must give the same prompt");
        });
    return Map.copyOf(table);
  }

  static Object apply(String name, Rendering rendering, Object value, Args args) {
    Filter filter = TABLE.get(name);
    if (filter == null) {
      throw TemplateException.runtime("no filter named '" + name + "'");
    }
    return filter.apply(rendering, value, args);
  }

  private static Object fallback(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("default", "default_value", "boolean");
    boolean replaced = value instanceof Undefined || (bound.flag(1, false) && !Types.truth(value));
    return replaced ? bound.or(0, "") : value;
  }

  private static Object attribute(Rendering rendering, Object value, Args args) {
    String name = Show.str(args.bind("attr", "name").required(0), rendering.meter());
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    Object member = Members.member(value, name);
    return member == null ? Undefined.attribute(value, name) : member;
  }

  private static Object json(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
    Object indent = bound.or(1, None.NONE);
    String unit = null;
    if (indent != None.NONE) {
      String text = Types.textOrNull(indent);
      unit =
          text == null
              ? Operators.repeated(
                  " ", Math.max(0, Operators.index(indent, "indent")), rendering.meter())
              : text;
    }
    String itemSeparator = unit == null ? ", " : ",";
    String keySeparator = ": ";
    Object separators = bound.or(2, None.NONE);
    if (separators != None.NONE) {
      var pair = Types.list(separators, rendering.meter());
      if (pair.size() != 2 || !Types.isText(pair.get(0)) || !Types.isText(pair.get(1))) {
        throw TemplateException.runtime("tojson separators must be two strings");
      }
      itemSeparator = Show.str(pair.get(0), rendering.meter());
      keySeparator = Show.str(pair.get(1), rendering.meter());
    }
    JsonText.Layout layout =
        new JsonText.Layout(
            bound.flag(0, false), bound.flag(3, false), unit, itemSeparator, keySeparator);
    return JsonText.of(value, layout, rendering.meter());
  }
}
