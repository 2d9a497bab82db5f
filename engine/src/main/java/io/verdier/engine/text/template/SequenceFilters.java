package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Filters over sequences that look at all items together. */
final class SequenceFilters {
  private SequenceFilters() {}

  static void addTo(Map<String, Filter> table) {
    table.put("length", SequenceFilters::length);
    table.put("count", SequenceFilters::length);
    table.put("list", SequenceFilters::list);
    table.put("items", SequenceFilters::items);
    table.put("first", SequenceFilters::first);
    table.put("last", SequenceFilters::last);
    table.put("join", SequenceFilters::join);
    table.put("reverse", SequenceFilters::reverse);
    table.put("sort", SequenceFilters::sort);
    table.put("dictsort", SequenceFilters::dictSort);
    table.put("unique", SequenceFilters::unique);
    table.put("min", (rendering, value, args) -> extreme(rendering, value, args, -1));
    table.put("max", (rendering, value, args) -> extreme(rendering, value, args, 1));
    table.put("sum", SequenceFilters::sum);
    table.put("groupby", SequenceFilters::groupBy);
    table.put("batch", SequenceFilters::batch);
    table.put("slice", SequenceFilters::slice);
  }

  private static Object length(Rendering rendering, Object value, Args args) {
    args.bind("length");
    String text = Types.textOrNull(value);
    rendering.meter().chars(text == null ? 0 : text.length());
    return (long) Types.length(value);
  }

  private static Object list(Rendering rendering, Object value, Args args) {
    args.bind("list");
    List<Object> items = Types.list(value, rendering.meter());
    return items instanceof Range || value instanceof Tuple ? new ArrayList<>(items) : items;
  }

  private static Object items(Rendering rendering, Object value, Args args) {
    args.bind("items");
    return switch (value) {
      case Undefined ignored -> lazy(List.of());
      case Dict dict -> {
        rendering.meter().steps(dict.size());
        yield lazy(dict.items());
      }
      default -> throw TemplateException.runtime("can only get item pairs from a mapping");
    };
  }

  private static Lazy lazy(List<Object> items) {
    return new Lazy(items.iterator());
  }

  private static Object first(Rendering rendering, Object value, Args args) {
    args.bind("first");
    Iterator<Object> items = Types.iterator(value, rendering.meter());
    return items.hasNext() ? items.next() : new Undefined("No first item, sequence was empty.");
  }

  private static Object last(Rendering rendering, Object value, Args args) {
    args.bind("last");
    if (value instanceof Lazy) {
      throw TemplateException.runtime("'generator' object is not reversible; use list first");
    }
    List<Object> items = Types.list(value, rendering.meter());
    return items.isEmpty()
        ? new Undefined("No last item, sequence was empty.")
        : items.get(items.size() - 1);
  }

  private static Object join(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("join", "d", "attribute");
    Meter meter = rendering.meter();
    List<Object> items = Types.list(value, meter);
    if (bound.or(1, None.NONE) != None.NONE) {
      Keys.Getter getter = Keys.path(bound.required(1), null, meter);
      List<Object> parts = new ArrayList<>(items.size());
      for (Object item : items) {
        parts.add(getter.of(item));
      }
      items = parts;
    }
    return StringParts.joined(items, Show.str(bound.or(0, ""), meter), meter);
  }

  private static Object reverse(Rendering rendering, Object value, Args args) {
    args.bind("reverse");
    Meter meter = rendering.meter();
    String text = Types.textOrNull(value);
    if (text != null) {
      meter.chars(text.length());
      String reversed = new StringBuilder(text).reverse().toString();
      return value instanceof Markup ? new Markup(reversed) : reversed;
    }
    List<Object> items = new ArrayList<>(Types.list(value, meter));
    Collections.reverse(items);
    return value instanceof Lazy ? items : lazy(items);
  }

  private static Object sort(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("sort", "reverse", "case_sensitive", "attribute");
    Meter meter = rendering.meter();
    Keys.Getter getter = Keys.paths(bound.or(2, None.NONE), bound.flag(1, false), meter);
    return Keys.sorted(Types.list(value, meter), getter, bound.flag(0, false), meter);
  }

  private static Object dictSort(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("dictsort", "case_sensitive", "by", "reverse");
    Meter meter = rendering.meter();
    long position =
        switch (bound.text(1, "key")) {
          case "key" -> 0;
          case "value" -> 1;
          default ->
              throw TemplateException.runtime("you can only sort by either 'key' or 'value'");
        };
    if (!(value instanceof Dict dict)) {
      throw value instanceof Undefined undefined
          ? undefined.failure()
          : TemplateException.runtime("dictsort takes a mapping, not " + Types.name(value));
    }
    Keys.Getter getter = Keys.cased(Keys.path(position, null, meter), bound.flag(0, false));
    return Keys.sorted(dict.items(), getter, bound.flag(2, false), meter);
  }

  private static Object unique(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("unique", "case_sensitive", "attribute");
    Meter meter = rendering.meter();
    Keys.Getter getter =
        Keys.cased(Keys.path(bound.or(1, None.NONE), null, meter), bound.flag(0, false));
    Set<Object> seen = new HashSet<>();
    List<Object> items = new ArrayList<>();
    for (Object item : Types.list(value, meter)) {
      if (seen.add(Dict.lookupForm(getter.of(item)))) {
        items.add(item);
      }
    }
    return lazy(items);
  }

  /**
   * @param sign 1 for the largest, -1 for the smallest; of equals the first
   */
  private static Object extreme(Rendering rendering, Object value, Args args, int sign) {
    Args.Bound bound = args.bind(sign > 0 ? "max" : "min", "case_sensitive", "attribute");
    Meter meter = rendering.meter();
    Keys.Getter getter =
        Keys.cased(Keys.path(bound.or(1, None.NONE), null, meter), bound.flag(0, false));
    List<Object> items = Types.list(value, meter);
    if (items.isEmpty()) {
      return new Undefined("No aggregated item, sequence was empty.");
    }
    Object best = items.get(0);
    Object bestKey = getter.of(best);
    String symbol = sign > 0 ? ">" : "<";
    for (int i = 1; i < items.size(); i++) {
      Object key = getter.of(items.get(i));
      if (Comparison.compare(key, bestKey, symbol, meter, 0) * sign > 0) {
        best = items.get(i);
        bestKey = key;
      }
    }
    return best;
  }

  private static Object sum(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("sum", "attribute", "start");
    Meter meter = rendering.meter();
    Keys.Getter getter = Keys.path(bound.or(0, None.NONE), null, meter);
    Object total = bound.or(1, 0L);
    if (Types.isText(total)) {
      throw TemplateException.runtime("sum can't sum strings; use join instead");
    }
    for (Object item : Types.list(value, meter)) {
      total = Operators.binary(Expr.Operator.ADD, total, getter.of(item), meter);
    }
    return total;
  }

  private static Object groupBy(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("groupby", "attribute", "default", "case_sensitive");
    Meter meter = rendering.meter();
    Object fallback = bound.has(1) && bound.required(1) != None.NONE ? bound.required(1) : null;
    Keys.Getter exact = Keys.path(bound.required(0), fallback, meter);
    boolean caseSensitive = bound.flag(2, false);
    Keys.Getter getter = Keys.cased(exact, caseSensitive);
    List<Object> sorted = Keys.sorted(Types.list(value, meter), getter, false, meter);
    List<Object> groups = new ArrayList<>();
    List<Object> group = new ArrayList<>();
    for (int i = 0; i < sorted.size(); i++) {
      group.add(sorted.get(i));
      boolean ends =
          i + 1 == sorted.size()
              || !Comparison.equal(
                  getter.of(sorted.get(i)), getter.of(sorted.get(i + 1)), meter, 0);
      if (ends) {
        groups.add(new Tuple(List.of(exact.of(group.get(0)), group), List.of("grouper", "list")));
        group = new ArrayList<>();
      }
    }
    return groups;
  }

  private static Object batch(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("batch", "linecount", "fill_with");
    Meter meter = rendering.meter();
    int size = Operators.index(bound.required(0), "batch size");
    Object fill = bound.or(1, None.NONE);
    List<Object> batches = new ArrayList<>();
    List<Object> batch = new ArrayList<>();
    for (Object item : Types.list(value, meter)) {
      if (batch.size() == size) {
        batches.add(batch);
        batch = new ArrayList<>();
      }
      batch.add(item);
    }
    if (!batch.isEmpty()) {
      meter.steps(fill == None.NONE ? 0 : Math.max(0, size - batch.size()));
      while (fill != None.NONE && batch.size() < size) {
        batch.add(fill);
      }
      batches.add(batch);
    }
    return lazy(batches);
  }

  private static Object slice(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("slice", "slices", "fill_with");
    Meter meter = rendering.meter();
    int slices = Operators.index(bound.required(0), "slices");
    Object fill = bound.or(1, None.NONE);
    List<Object> items = Types.list(value, meter);
    if (slices == 0) {
      throw TemplateException.runtime("integer division or modulo by zero");
    }
    meter.steps(Math.max(0, slices));
    List<Object> columns = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < slices; i++) {
      int size = items.size() / slices;
      boolean longer = i < items.size() % slices;
      int to = from + size + (longer ? 1 : 0);
      List<Object> column = new ArrayList<>(items.subList(from, to));
      if (fill != None.NONE && !longer) {
        column.add(fill);
      }
      columns.add(column);
      from = to;
    }
    return lazy(columns);
  }
}
