package io.verdier.engine.text.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@code tojson} as Hugging Face defines it: Python's {@code json.dumps} with non-ASCII text kept,
 * no HTML escaping, keys in their order. Owned by the rendering thread.
 */
final class JsonText {
  private final Meter meter;
  private final Layout layout;
  private final StringBuilder out = new StringBuilder();

  /**
   * How it is laid out. Immutable.
   *
   * @param indent of one level, null for one line
   */
  record Layout(
      boolean asciiOnly,
      boolean sortKeys,
      @Nullable String indent,
      String itemSeparator,
      String keySeparator) {}

  private JsonText(Layout layout, Meter meter) {
    this.layout = layout;
    this.meter = meter;
  }

  static String of(Object value, Layout layout, Meter meter) {
    JsonText text = new JsonText(layout, meter);
    text.append(value, 0);
    return text.out.toString();
  }

  private void append(Object value, int depth) {
    meter.visit(depth);
    switch (value) {
      case String text -> quote(text);
      case Markup markup -> quote(markup.text());
      case Long number -> out.append(number.longValue());
      case BigInteger number -> out.append(Show.integer(number));
      case Double number -> out.append(number(number));
      case Boolean flag -> out.append(flag.booleanValue());
      case None ignored -> out.append("null");
      case Range range -> throw refused(range);
      case List<?> list -> list(list, depth);
      case Tuple tuple -> list(tuple.items(), depth);
      case Dict dict -> dict(dict, depth);
      default -> throw refused(value);
    }
    meter.fits(out.length());
  }

  private static TemplateException refused(Object value) {
    return TemplateException.runtime(
        "Object of type " + Types.name(value) + " is not JSON serializable");
  }

  private static String number(double number) {
    if (Double.isNaN(number)) {
      return "NaN";
    }
    if (Double.isInfinite(number)) {
      return number > 0 ? "Infinity" : "-Infinity";
    }
    return Show.number(number);
  }

  private void list(List<?> items, int depth) {
    if (items.isEmpty()) {
      out.append("[]");
      return;
    }
    out.append('[');
    for (int i = 0; i < items.size(); i++) {
      out.append(i == 0 ? "" : layout.itemSeparator());
      newLine(depth + 1);
      append(items.get(i), depth + 1);
    }
    newLine(depth);
    out.append(']');
  }

  private void dict(Dict dict, int depth) {
    if (dict.size() == 0) {
      out.append("{}");
      return;
    }
    List<Object> keys = dict.keys();
    if (layout.sortKeys()) {
      keys = new ArrayList<>(keys);
      keys.sort((a, b) -> Comparison.compare(a, b, "<", meter, 0));
    }
    out.append('{');
    for (int i = 0; i < keys.size(); i++) {
      Object value = dict.get(keys.get(i));
      if (value == null) {
        throw new IllegalStateException("a dict lost the key " + keys.get(i));
      }
      out.append(i == 0 ? "" : layout.itemSeparator());
      newLine(depth + 1);
      key(keys.get(i));
      out.append(layout.keySeparator());
      append(value, depth + 1);
    }
    newLine(depth);
    out.append('}');
  }

  private void key(Object key) {
    switch (key) {
      case String text -> quote(text);
      case Markup markup -> quote(markup.text());
      case Long number -> quote(number.toString());
      case BigInteger number -> quote(Show.integer(number));
      case Double number -> quote(number(number));
      case Boolean flag -> quote(flag.toString());
      case None ignored -> quote("null");
      default ->
          throw TemplateException.runtime(
              "keys must be str, int, float, bool or None, not " + Types.name(key));
    }
  }

  private void newLine(int depth) {
    if (layout.indent() != null) {
      meter.fits((long) out.length() + (long) depth * layout.indent().length());
      meter.chars((long) depth * layout.indent().length());
      out.append('\n').append(layout.indent().repeat(depth));
    }
  }

  private void quote(String text) {
    meter.chars(text.length());
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\f' -> out.append("\\f");
        case '\b' -> out.append("\\b");
        default -> {
          if (c < 0x20 || (layout.asciiOnly() && c > 0x7E)) {
            out.append("\\u").append(Show.hex(c, 4));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
