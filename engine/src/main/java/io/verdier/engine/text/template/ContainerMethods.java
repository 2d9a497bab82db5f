package io.verdier.engine.text.template;

import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Methods of dicts, lists and tuples. Those that would change them are refused: a sandbox. */
final class ContainerMethods {
  private static final Set<String> DICT_MUTATORS =
      Set.of("clear", "pop", "popitem", "setdefault", "update");
  private static final Set<String> LIST_MUTATORS =
      Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort");

  private ContainerMethods() {}

  static @Nullable Object bound(Dict dict, String name) {
    if (DICT_MUTATORS.contains(name)) {
      return Undefined.unsafe(dict, name);
    }
    return switch (name) {
      case "items" -> view(DictView.Part.ITEMS, dict);
      case "keys" -> view(DictView.Part.KEYS, dict);
      case "values" -> view(DictView.Part.VALUES, dict);
      case "get" -> (Callable) (rendering, args) -> get(dict, args);
      case "copy" -> (Callable) (rendering, args) -> copy(dict, rendering.meter());
      default -> null;
    };
  }

  private static Callable view(DictView.Part part, Dict dict) {
    return (rendering, args) -> {
      args.bind(part.name());
      rendering.meter().steps(dict.size());
      return new DictView(part, dict);
    };
  }

  private static Object get(Dict dict, Args args) {
    Args.Bound bound = args.bind("get()", "key", "default");
    Object value = dict.get(bound.required(0));
    return value == null ? bound.or(1, None.NONE) : value;
  }

  private static Object copy(Dict dict, Meter meter) {
    meter.steps(dict.size());
    return new Dict(dict);
  }

  static @Nullable Object bound(Range range, String name) {
    return switch (name) {
      case "start" -> range.start;
      case "stop" -> range.stop;
      case "step" -> range.step;
      default -> search(range, name);
    };
  }

  static @Nullable Object bound(List<?> list, String name) {
    if (LIST_MUTATORS.contains(name)) {
      return Undefined.unsafe(list, name);
    }
    return name.equals("copy") ? (Callable) (rendering, args) -> list : search(list, name);
  }

  static @Nullable Object bound(Tuple tuple, String name) {
    int field = tuple.fields().indexOf(name);
    return field >= 0 ? tuple.items().get(field) : search(tuple.items(), name);
  }

  private static @Nullable Callable search(List<?> items, String name) {
    return switch (name) {
      case "count" -> (rendering, args) -> count(items, args, rendering.meter());
      case "index" -> (rendering, args) -> index(items, args, rendering.meter());
      default -> null;
    };
  }

  private static Object count(List<?> items, Args args, Meter meter) {
    Object wanted = args.bind("count()", "value").required(0);
    long count = 0;
    for (Object item : items) {
      if (Comparison.same(item, wanted, meter, 0)) {
        count++;
      }
    }
    return count;
  }

  private static Object index(List<?> items, Args args, Meter meter) {
    Args.Bound bound = args.bind("index()", "value", "start", "stop");
    Object wanted = bound.required(0);
    int from = clamped(bound.integer(1, 0), items.size());
    int to = clamped(bound.integer(2, items.size()), items.size());
    for (int i = from; i < to; i++) {
      if (Comparison.same(items.get(i), wanted, meter, 0)) {
        return (long) i;
      }
    }
    throw TemplateException.runtime(Show.repr(wanted, meter) + " is not in list");
  }

  private static int clamped(int index, int length) {
    return Math.clamp(index < 0 ? (long) index + length : index, 0, length);
  }
}
