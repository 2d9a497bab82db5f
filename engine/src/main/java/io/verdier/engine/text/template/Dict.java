package io.verdier.engine.text.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Python's dict: ordered by insertion, with {@code 1}, {@code 1.0} and {@code True} one key. Owned
 * by the rendering thread while it is built, not changed afterwards.
 */
final class Dict {
  /** Nested tuples that share their parts are small to build and endless to walk. */
  private static final int KEY_PARTS_MAX = 200;

  private final LinkedHashMap<Object, Object> values;

  /** The key as it was first written, where that differs from the form it is looked up by. */
  private @Nullable Map<Object, Object> written;

  Dict() {
    this.values = new LinkedHashMap<>();
  }

  Dict(int expected) {
    this.values = LinkedHashMap.newLinkedHashMap(expected);
  }

  Dict(Dict other) {
    this.values = new LinkedHashMap<>(other.values);
    this.written = other.written == null ? null : new HashMap<>(other.written);
  }

  int size() {
    return values.size();
  }

  @Nullable Object get(Object key) {
    return key instanceof String ? values.get(key) : values.get(lookupForm(key));
  }

  void put(Object key, Object value) {
    if (key instanceof String) {
      values.put(key, value);
      return;
    }
    Object form = lookupForm(key);
    boolean fresh = values.put(form, value) == null;
    if (fresh && !form.equals(key)) {
      if (written == null) {
        written = new HashMap<>();
      }
      written.put(form, key);
    }
  }

  void putAll(Dict other) {
    other.values.forEach((form, value) -> put(other.asWritten(form), value));
  }

  List<Object> keys() {
    List<Object> keys = new ArrayList<>(values.size());
    for (Object form : values.keySet()) {
      keys.add(asWritten(form));
    }
    return keys;
  }

  List<Object> values() {
    return new ArrayList<>(values.values());
  }

  /** Pairs of key and value. */
  List<Object> items() {
    List<Object> items = new ArrayList<>(values.size());
    values.forEach((form, value) -> items.add(Tuple.of(asWritten(form), value)));
    return items;
  }

  private Object asWritten(Object form) {
    Object key = written == null ? null : written.get(form);
    return key == null ? form : key;
  }

  /** Maps equal keys to equal Java objects; fails on what Python cannot hash. */
  static Object lookupForm(Object key) {
    return key instanceof String ? key : new KeyForm().of(key);
  }

  /** Owned by the caller of {@code lookupForm}. One key, with a bound on the parts it may have. */
  private static final class KeyForm {
    private int partsLeft = KEY_PARTS_MAX;

    private Object of(Object key) {
      if (--partsLeft < 0) {
        throw TemplateException.runtime("a key has more than " + KEY_PARTS_MAX + " parts");
      }
      return switch (key) {
        case Markup markup -> markup.text();
        case Boolean flag -> flag ? 1L : 0L;
        case Double number -> Operators.isWhole(number) ? Operators.whole(number) : number;
        case Undefined ignored -> Undefined.class;
        case Tuple tuple -> {
          List<Object> form = new ArrayList<>(tuple.items().size());
          for (Object item : tuple.items()) {
            form.add(of(item));
          }
          yield form;
        }
        case Range range -> List.of(Range.class, range.start, range.stop, range.step);
        case String text -> text;
        case Long number -> number;
        case BigInteger number -> number;
        case List<?> list -> throw unhashable(list);
        case Dict dict -> throw unhashable(dict);
        default -> key;
      };
    }
  }

  private static TemplateException unhashable(Object key) {
    return TemplateException.runtime("unhashable type: '" + Types.name(key) + "'");
  }
}
