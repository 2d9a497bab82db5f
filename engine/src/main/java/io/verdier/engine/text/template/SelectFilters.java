package io.verdier.engine.text.template;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

/** Filters that look at the items of a sequence one by one, when they are asked for. */
final class SelectFilters {
  private SelectFilters() {}

  static void addTo(Map<String, Filter> table) {
    table.put("map", SelectFilters::map);
    table.put("select", (rendering, value, args) -> select(rendering, value, args, false, true));
    table.put("reject", (rendering, value, args) -> select(rendering, value, args, false, false));
    table.put("selectattr", (rendering, value, args) -> select(rendering, value, args, true, true));
    table.put(
        "rejectattr", (rendering, value, args) -> select(rendering, value, args, true, false));
  }

  private static Object map(Rendering rendering, Object value, Args args) {
    if (!Types.truth(value)) {
      return new Lazy(List.of().iterator());
    }
    Keys.Getter getter = mapping(rendering, args);
    Iterator<Object> items = Types.iterator(value, rendering.meter());
    return new Lazy(
        new Generator() {
          @Override
          boolean advance() {
            rendering.meter().step();
            if (!items.hasNext()) {
              return false;
            }
            put(getter.of(items.next()));
            return true;
          }
        });
  }

  private static Keys.Getter mapping(Rendering rendering, Args args) {
    if (args.positional().isEmpty() && args.named().containsKey("attribute")) {
      Args.Bound bound = args.bind("map", "attribute", "default");
      Object fallback = bound.has(1) && bound.required(1) != None.NONE ? bound.required(1) : null;
      return Keys.path(bound.required(0), fallback, rendering.meter());
    }
    if (args.positional().isEmpty()) {
      throw TemplateException.runtime("map requires a filter argument");
    }
    String filter = Show.str(args.positional().get(0), rendering.meter());
    Args rest = args.from(1);
    return item -> Filters.apply(filter, rendering, item, rest);
  }

  /**
   * @param attribute whether the first argument is a path to what is tested
   * @param wanted result of the test that lets an item through
   */
  private static Object select(
      Rendering rendering, Object value, Args args, boolean attribute, boolean wanted) {
    if (!Types.truth(value)) {
      return new Lazy(List.of().iterator());
    }
    int used = attribute ? 1 : 0;
    if (args.positional().size() < used) {
      throw TemplateException.runtime("missing parameter for attribute name");
    }
    Meter meter = rendering.meter();
    Keys.Getter getter = Keys.path(attribute ? args.positional().get(0) : null, null, meter);
    boolean tested = args.positional().size() > used;
    String test = tested ? Show.str(args.positional().get(used), meter) : "";
    Args rest = tested ? args.from(used + 1) : Args.NONE;
    Iterator<Object> items = Types.iterator(value, meter);
    return new Lazy(
        new Generator() {
          @Override
          boolean advance() {
            while (items.hasNext()) {
              meter.step();
              Object item = items.next();
              Object subject = getter.of(item);
              boolean passes =
                  tested ? Tests.apply(test, rendering, subject, rest) : Types.truth(subject);
              if (passes == wanted) {
                put(item);
                return true;
              }
            }
            return false;
          }
        });
  }

  /** Items made one at a time, as they are asked for. */
  private abstract static class Generator implements Iterator<Object> {
    private boolean ready;
    private Object item = None.NONE;

    /** Puts the next item, or tells that there is none. */
    abstract boolean advance();

    void put(Object next) {
      item = next;
    }

    @Override
    public boolean hasNext() {
      ready = ready || advance();
      return ready;
    }

    @Override
    public Object next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      ready = false;
      return item;
    }
  }
}
