package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a value is, in Python's eyes.
 *
 * <p>The values of a template are: {@code String} and {@link Markup} (str), {@code Long} and {@code
 * BigInteger} (int; a BigInteger never holds what fits a Long), {@code Double} (float), {@code
 * Boolean}, {@link None}, {@link Undefined}, {@code List} (list, and {@link Range}), {@link Tuple},
 * {@link Dict}, {@link DictView}, {@link Lazy}, {@link Namespace}, {@link Loop} and {@link
 * Callable}. Lists are never changed once a template can see them.
 */
final class Types {
  private Types() {}

  /**
   * Turns what a JSON parser gives into template values. Copies containers, so that the caller may
   * go on changing its own.
   */
  static Object fromJava(@Nullable Object value, int depth) {
    if (depth > Meter.VALUE_DEPTH_MAX) {
      throw TemplateException.runtime("a variable is nested deeper than " + Meter.VALUE_DEPTH_MAX);
    }
    return switch (value) {
      case null -> None.NONE;
      case String text -> text;
      case Boolean flag -> flag;
      case Integer number -> (long) number;
      case Long number -> number;
      case Short number -> (long) number;
      case Byte number -> (long) number;
      case Double number -> number;
      case Float number -> (double) number;
      case BigInteger number -> Operators.shrunk(number);
      case BigDecimal number -> number.doubleValue();
      case Map<?, ?> map -> {
        Dict dict = new Dict(map.size());
        map.forEach((key, item) -> dict.put(fromJava(key, depth + 1), fromJava(item, depth + 1)));
        yield dict;
      }
      case Collection<?> items -> {
        List<Object> list = new ArrayList<>(items.size());
        for (Object item : items) {
          list.add(fromJava(item, depth + 1));
        }
        yield list;
      }
      default ->
          throw new IllegalArgumentException("not a template value: " + value.getClass().getName());
    };
  }

  /** Python's name of the type. */
  static String name(Object value) {
    return switch (value) {
      case String ignored -> "str";
      case Markup ignored -> "Markup";
      case Long ignored -> "int";
      case BigInteger ignored -> "int";
      case Double ignored -> "float";
      case Boolean ignored -> "bool";
      case None ignored -> "NoneType";
      case Undefined ignored -> "Undefined";
      case Range ignored -> "range";
      case List<?> ignored -> "list";
      case Tuple ignored -> "tuple";
      case Dict ignored -> "dict";
      case DictView view -> view.typeName();
      case Lazy ignored -> "generator";
      case Namespace ignored -> "Namespace";
      case Loop ignored -> "LoopContext";
      case Macro ignored -> "Macro";
      default -> "function";
    };
  }

  /** How Jinja's messages about missing attributes name the owner. */
  static String described(Object value) {
    return value == None.NONE ? "None" : "'" + name(value) + " object'";
  }

  static boolean truth(Object value) {
    return switch (value) {
      case Boolean flag -> flag;
      case String text -> !text.isEmpty();
      case Markup markup -> !markup.text().isEmpty();
      case Long number -> number != 0;
      case Double number -> number != 0;
      case None ignored -> false;
      case Undefined ignored -> false;
      case List<?> list -> !list.isEmpty();
      case Tuple tuple -> !tuple.items().isEmpty();
      case Dict dict -> dict.size() > 0;
      case DictView view -> view.dict().size() > 0;
      default -> true;
    };
  }

  static @Nullable String textOrNull(Object value) {
    return value instanceof String text
        ? text
        : value instanceof Markup markup ? markup.text() : null;
  }

  static boolean isText(Object value) {
    return value instanceof String || value instanceof Markup;
  }

  /** {@code len(value)}. */
  static int length(Object value) {
    return switch (value) {
      case String text -> Chars.length(text);
      case Markup markup -> Chars.length(markup.text());
      case List<?> list -> list.size();
      case Tuple tuple -> tuple.items().size();
      case Dict dict -> dict.size();
      case DictView view -> view.dict().size();
      case Loop loop -> loop.length();
      case Undefined ignored -> 0;
      default ->
          throw TemplateException.runtime("object of type '" + name(value) + "' has no len()");
    };
  }

  static boolean isIterable(Object value) {
    return switch (value) {
      case String ignored -> true;
      case Markup ignored -> true;
      case List<?> ignored -> true;
      case Tuple ignored -> true;
      case Dict ignored -> true;
      case DictView ignored -> true;
      case Lazy ignored -> true;
      case Undefined ignored -> true;
      default -> false;
    };
  }

  /** The items of an iterable; a list is returned as it is, a generator is used up. */
  @SuppressWarnings("unchecked")
  static List<Object> list(Object value, Meter meter) {
    List<Object> items =
        switch (value) {
          case List<?> list -> (List<Object>) list;
          case Tuple tuple -> tuple.items();
          case Dict dict -> dict.keys();
          case DictView view -> view.list();
          case Undefined ignored -> List.of();
          case String text -> Chars.split(text, meter);
          case Markup markup -> Chars.split(markup.text(), meter);
          case Lazy lazy -> drained(lazy, meter);
          default ->
              throw TemplateException.runtime("'" + name(value) + "' object is not iterable");
        };
    meter.steps(items.size());
    return items;
  }

  /** The items one by one, for filters that Python writes as generators. */
  static Iterator<Object> iterator(Object value, Meter meter) {
    return value instanceof Lazy lazy ? lazy.items() : list(value, meter).iterator();
  }

  private static List<Object> drained(Lazy lazy, Meter meter) {
    List<Object> items = new ArrayList<>();
    while (lazy.items().hasNext()) {
      meter.step();
      items.add(lazy.items().next());
    }
    return items;
  }
}
