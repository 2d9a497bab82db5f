package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What sorting, grouping and mapping filters look at in each item. */
final class Keys {
  /** Gives the key of an item. */
  interface Getter {
    Object of(Object item);
  }

  private Keys() {}

  /**
   * Follows a path like {@code a.b.0}.
   *
   * @param attribute a path, an index, or null or None for the item itself
   * @param fallback replaces what is undefined on the way; null: it stays undefined
   */
  static Getter path(@Nullable Object attribute, @Nullable Object fallback, Meter meter) {
    List<Object> steps = steps(attribute);
    return item -> {
      Object value = item;
      for (Object step : steps) {
        meter.step();
        value = Members.item(value, step, meter);
        if (fallback != null && value instanceof Undefined) {
          value = fallback;
        }
      }
      return value;
    };
  }

  private static List<Object> steps(@Nullable Object attribute) {
    if (attribute == null || attribute == None.NONE) {
      return List.of();
    }
    String text = Types.textOrNull(attribute);
    return text == null ? List.of(attribute) : pathSteps(text);
  }

  private static List<Object> pathSteps(String path) {
    List<Object> steps = new ArrayList<>();
    int from = 0;
    for (int dot = path.indexOf('.'); from <= path.length(); dot = path.indexOf('.', from)) {
      String step = path.substring(from, dot < 0 ? path.length() : dot);
      boolean digits = !step.isEmpty() && step.length() < 10;
      for (int i = 0; i < step.length() && digits; i++) {
        digits = step.charAt(i) >= '0' && step.charAt(i) <= '9';
      }
      steps.add(digits ? (Object) Long.valueOf(step) : step);
      if (dot < 0) {
        break;
      }
      from = dot + 1;
    }
    return steps;
  }

  /**
   * Paths with commas between. The key is a list even of one part: lists look at equality first, so
   * that two undefined parts are no error.
   */
  static Getter paths(@Nullable Object attribute, boolean caseSensitive, Meter meter) {
    String text = attribute == null ? null : Types.textOrNull(attribute);
    List<Getter> getters = new ArrayList<>();
    int from = 0;
    for (int comma = text == null ? -1 : text.indexOf(','); text != null && comma >= 0; ) {
      getters.add(cased(path(text.substring(from, comma), null, meter), caseSensitive));
      from = comma + 1;
      comma = text.indexOf(',', from);
    }
    Object last = text == null ? attribute : text.substring(from);
    getters.add(cased(path(last, null, meter), caseSensitive));
    return item -> {
      List<Object> parts = new ArrayList<>(getters.size());
      for (Getter getter : getters) {
        parts.add(getter.of(item));
      }
      return parts;
    };
  }

  /** Strings in lower case, unless case matters. */
  static Getter cased(Getter getter, boolean caseSensitive) {
    return caseSensitive ? getter : item -> lowered(getter.of(item));
  }

  private static Object lowered(Object key) {
    String text = Types.textOrNull(key);
    return text == null ? key : text.toLowerCase(Locale.ROOT);
  }

  /** Sorted stably by key, each key computed once. */
  static List<Object> sorted(List<Object> items, Getter getter, boolean reverse, Meter meter) {
    record Entry(Object key, Object item) {}
    List<Entry> entries = new ArrayList<>(items.size());
    for (Object item : items) {
      entries.add(new Entry(getter.of(item), item));
    }
    Comparator<Entry> order = (a, b) -> Comparison.compare(a.key(), b.key(), "<", meter, 0);
    entries.sort(reverse ? order.reversed() : order);
    List<Object> sorted = new ArrayList<>(items.size());
    for (Entry entry : entries) {
      sorted.add(entry.item());
    }
    return sorted;
  }
}
