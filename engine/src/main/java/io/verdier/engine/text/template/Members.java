package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@code a.b}, {@code a['b']} and {@code a[i:j]}. A dot looks for a method first and an item then,
 * brackets the other way round; what is in neither is undefined. Methods come from tables, so a
 * template reaches what is listed there and nothing of the host.
 */
final class Members {
  private Members() {}

  static Object attribute(Object owner, String name) {
    if (owner instanceof Undefined undefined) {
      throw undefined.failure();
    }
    Object member = member(owner, name);
    if (member == null && owner instanceof Dict dict) {
      member = dict.get(name);
    }
    return member == null ? Undefined.attribute(owner, name) : member;
  }

  static Object item(Object owner, Object key, Meter meter) {
    Object item =
        switch (owner) {
          case Undefined undefined -> throw undefined.failure();
          case Dict dict -> isHashable(key) ? dict.get(key) : null;
          case Namespace namespace -> isHashable(key) ? namespace.attributes.get(key) : null;
          case List<?> list -> element(list, key);
          case Tuple tuple -> element(tuple.items(), key);
          case String text -> character(text, key, meter);
          case Markup markup -> character(markup.text(), key, meter);
          default -> null;
        };
    if (item == null && key instanceof String name) {
      item = member(owner, name);
    }
    return item == null ? Undefined.item(owner, key) : item;
  }

  /** What {@code getattr} finds; {@code null} if nothing. */
  static @Nullable Object member(Object owner, String name) {
    return switch (owner) {
      case String text -> StringMethods.bound(text, name);
      case Markup markup -> StringMethods.bound(markup, name);
      case Dict dict -> ContainerMethods.bound(dict, name);
      case Range range -> ContainerMethods.bound(range, name);
      case List<?> list -> ContainerMethods.bound(list, name);
      case Tuple tuple -> ContainerMethods.bound(tuple, name);
      case Namespace namespace -> namespace.attributes.get(name);
      case Loop loop -> loop.attribute(name);
      case Macro macro -> macro.attribute(name);
      case Globals.Cycler cycler -> cycler.attribute(name);
      case Double number when name.equals("is_integer") ->
          (Callable) (rendering, args) -> Operators.isWhole(number);
      default -> null;
    };
  }

  private static boolean isHashable(Object key) {
    return !(key instanceof Dict) && !(key instanceof List<?> && !(key instanceof Range));
  }

  private static @Nullable Object element(List<?> items, Object key) {
    if (!Operators.isInteger(key)) {
      return null;
    }
    long index = wrapped(key, items.size());
    return index < 0 || index >= items.size() ? null : items.get((int) index);
  }

  private static @Nullable Object character(String text, Object key, Meter meter) {
    if (!Operators.isInteger(key)) {
      return null;
    }
    int length = Chars.length(text);
    meter.steps(length == text.length() ? 0 : length / 64);
    long index = wrapped(key, length);
    return index < 0 || index >= length ? null : Chars.slice(text, (int) index, (int) index + 1);
  }

  private static long wrapped(Object key, int length) {
    long index = Operators.index(key, "index");
    return index < 0 ? index + length : index;
  }

  static Object slice(Object owner, Object from, Object to, Object step, Meter meter) {
    if (owner instanceof Undefined undefined) {
      throw undefined.failure();
    }
    String text = Types.textOrNull(owner);
    int length =
        switch (owner) {
          case List<?> list -> list.size();
          case Tuple tuple -> tuple.items().size();
          default -> text == null ? -1 : Chars.length(text);
        };
    if (length < 0) {
      throw TemplateException.runtime("'" + Types.name(owner) + "' object cannot be sliced");
    }
    Span span = Span.of(from, to, step, length);
    if (text != null) {
      String part = span.of(text, meter);
      return owner instanceof Markup ? new Markup(part) : part;
    }
    meter.steps(span.count());
    return switch (owner) {
      case Range range ->
          new Range(
              range.start + span.start() * range.step,
              range.start + span.stop() * range.step,
              range.step * span.step());
      case Tuple tuple -> new Tuple(span.of(tuple.items()));
      case List<?> list -> span.of(list);
      default -> throw new IllegalStateException("sliced a " + Types.name(owner));
    };
  }

  /** A slice applied to a length: its bounds within it, and how many items it takes. */
  private record Span(long start, long stop, long step, long count) {
    static Span of(Object from, Object to, Object stepValue, int length) {
      long step = stepValue == None.NONE ? 1 : Operators.index(stepValue, "slice step");
      if (step == 0) {
        throw TemplateException.runtime("slice step cannot be zero");
      }
      long low = step > 0 ? 0 : -1;
      long high = step > 0 ? length : length - 1L;
      long start = bound(from, step > 0 ? low : high, low, high, length);
      long stop = bound(to, step > 0 ? high : low, low, high, length);
      long distance = step > 0 ? stop - start : start - stop;
      long stride = Math.abs(step);
      return new Span(start, stop, step, distance <= 0 ? 0 : (distance + stride - 1) / stride);
    }

    private static long bound(Object value, long fallback, long low, long high, int length) {
      if (value == None.NONE) {
        return fallback;
      }
      long index = Operators.index(value, "slice bound");
      return Math.clamp(index < 0 ? index + length : index, low, high);
    }

    List<Object> of(List<?> items) {
      List<Object> part = new ArrayList<>((int) count);
      for (long i = 0; i < count; i++) {
        part.add(items.get((int) (start + i * step)));
      }
      return part;
    }

    String of(String text, Meter meter) {
      meter.chars(step == 1 ? count : 64 * count);
      if (count == 0) {
        return "";
      }
      if (step == 1) {
        return Chars.slice(text, (int) start, (int) (start + count));
      }
      int[] points = text.codePoints().toArray();
      StringBuilder part = new StringBuilder();
      for (long i = 0; i < count; i++) {
        part.appendCodePoint(points[(int) (start + i * step)]);
      }
      return part.toString();
    }
  }
}
