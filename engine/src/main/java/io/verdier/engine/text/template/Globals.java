package io.verdier.engine.text.template;

import java.time.LocalDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Names that every template knows; a variable of the same name hides one. */
final class Globals {
  static final Map<String, Callable> TABLE = table();

  private Globals() {}

  private static Map<String, Callable> table() {
    Map<String, Callable> table = new HashMap<>();
    table.put("range", (rendering, args) -> range(args));
    table.put("dict", Globals::dict);
    table.put("namespace", (rendering, args) -> new Namespace(dict(rendering, args)));
    table.put("cycler", (rendering, args) -> cycler(args));
    table.put("joiner", (rendering, args) -> joiner(args));
    table.put("raise_exception", Globals::raise);
    table.put("strftime_now", Globals::now);
    return Map.copyOf(table);
  }

  private static Object range(Args args) {
    List<Object> bounds = args.positional();
    if (bounds.isEmpty() || bounds.size() > 3 || !args.named().isEmpty()) {
      throw TemplateException.runtime("range() takes one to three arguments");
    }
    long first = Operators.index(bounds.get(0), "range() argument");
    if (bounds.size() == 1) {
      return new Range(0, first, 1);
    }
    long stop = Operators.index(bounds.get(1), "range() argument");
    long step = bounds.size() == 2 ? 1 : Operators.index(bounds.get(2), "range() argument");
    return new Range(first, stop, step);
  }

  private static Dict dict(Rendering rendering, Args args) {
    Meter meter = rendering.meter();
    Dict dict = new Dict();
    if (args.positional().size() > 1) {
      throw TemplateException.runtime("dict expected at most 1 argument");
    }
    for (Object source : args.positional()) {
      if (source instanceof Dict other) {
        meter.steps(other.size());
        dict.putAll(other);
        continue;
      }
      for (Object item : Types.list(source, meter)) {
        List<Object> pair = Types.list(item, meter);
        if (pair.size() != 2) {
          throw TemplateException.runtime("dict() takes pairs of key and value");
        }
        dict.put(pair.get(0), pair.get(1));
      }
    }
    args.named().forEach(dict::put);
    return dict;
  }

  private static Object cycler(Args args) {
    if (args.positional().isEmpty()) {
      throw TemplateException.runtime("cycler() needs at least one item");
    }
    return new Cycler(args.positional());
  }

  private static Object joiner(Args args) {
    Object separator = args.bind("joiner()", "sep").or(0, ", ");
    return new Joiner(separator);
  }

  private static Object raise(Rendering rendering, Args args) {
    Object message = args.bind("raise_exception()", "message").required(0);
    throw new TemplateException(
        TemplateException.Kind.RAISED, Show.str(message, rendering.meter()), 0);
  }

  private static Object now(Rendering rendering, Args args) {
    String format = args.bind("strftime_now()", "format").text(0);
    return Strftime.format(LocalDateTime.now(rendering.clock()), format, rendering.meter());
  }

  /** Owned by the rendering thread. Gives its items in turn, over and over. */
  static final class Cycler implements Callable {
    private final List<Object> items;
    private int position;

    Cycler(List<Object> items) {
      this.items = items;
    }

    @Nullable Object attribute(String name) {
      return switch (name) {
        case "current" -> items.get(position);
        case "next" -> (Callable) (rendering, args) -> next();
        case "reset" ->
            (Callable)
                (rendering, args) -> {
                  position = 0;
                  return None.NONE;
                };
        default -> null;
      };
    }

    private Object next() {
      Object item = items.get(position);
      position = (position + 1) % items.size();
      return item;
    }

    @Override
    public Object call(Rendering rendering, Args args) {
      throw TemplateException.runtime("'Cycler' object is not callable");
    }
  }

  /** Owned by the rendering thread. Prints nothing the first time, then its separator. */
  private static final class Joiner implements Callable {
    private final Object separator;
    private boolean used;

    Joiner(Object separator) {
      this.separator = separator;
    }

    @Override
    public Object call(Rendering rendering, Args args) {
      Object text = used ? separator : "";
      used = true;
      return text;
    }
  }
}
