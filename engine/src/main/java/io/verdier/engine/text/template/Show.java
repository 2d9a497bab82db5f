package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;

/** {@code str()} and {@code repr()} of template values. */
final class Show {
  /** Python refuses to print longer integers; so do we, which also bounds the time it takes. */
  private static final int INTEGER_BITS_MAX = 14_280; // 4300 decimal digits

  private final Meter meter;
  private final StringBuilder out = new StringBuilder();

  private Show(Meter meter) {
    this.meter = meter;
  }

  static String str(Object value, Meter meter) {
    return switch (value) {
      case String text -> text;
      case Markup markup -> markup.text();
      case Undefined ignored -> "";
      default -> repr(value, meter);
    };
  }

  static String repr(Object value, Meter meter) {
    Show show = new Show(meter);
    show.append(value, 0);
    return show.out.toString();
  }

  private void append(Object value, int depth) {
    meter.visit(depth);
    switch (value) {
      case String text -> quote(text);
      case Markup markup -> {
        out.append("Markup(");
        quote(markup.text());
        out.append(')');
      }
      case Long number -> out.append(number.longValue());
      case BigInteger number -> out.append(integer(number));
      case Double number -> out.append(number(number));
      case Boolean flag -> out.append(flag ? "True" : "False");
      case None ignored -> out.append("None");
      case Undefined ignored -> out.append("Undefined");
      case Range range -> range(range);
      case List<?> list -> items("[", list, "]", depth);
      case Tuple tuple -> items("(", tuple.items(), tuple.items().size() == 1 ? ",)" : ")", depth);
      case Dict dict -> pairs(dict, depth);
      case DictView view -> {
        out.append(view.typeName());
        items("([", view.list(), "])", depth);
      }
      case Lazy ignored -> out.append("<generator object>");
      case Namespace namespace -> {
        out.append("<Namespace ");
        pairs(namespace.attributes, depth);
        out.append('>');
      }
      case Loop loop -> out.append(loop.shown());
      case Callable callable -> out.append(callable.shown());
      default -> throw new IllegalStateException("not a template value: " + value.getClass());
    }
    meter.fits(out.length());
  }

  private void items(String open, List<?> items, String close, int depth) {
    out.append(open);
    String separator = "";
    for (Object item : items) {
      out.append(separator);
      append(item, depth + 1);
      separator = ", ";
    }
    out.append(close);
  }

  private void pairs(Dict dict, int depth) {
    out.append('{');
    String separator = "";
    for (Object item : dict.items()) {
      List<Object> pair = ((Tuple) item).items();
      out.append(separator);
      append(pair.get(0), depth + 1);
      out.append(": ");
      append(pair.get(1), depth + 1);
      separator = ", ";
    }
    out.append('}');
  }

  private void range(Range range) {
    out.append("range(").append(range.start).append(", ").append(range.stop);
    if (range.step != 1) {
      out.append(", ").append(range.step);
    }
    out.append(')');
  }

  /** A string literal: single quotes unless only they occur inside. */
  private void quote(String text) {
    meter.chars(text.length());
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      if (c == quote || c == '\\') {
        out.append('\\').append((char) c);
      } else {
        quoted(c);
      }
    }
    out.append(quote);
  }

  private void quoted(int c) {
    switch (c) {
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      default -> {
        if (isPrintable(c)) {
          out.appendCodePoint(c);
        } else if (c <= 0xFF) {
          out.append("\\x").append(hex(c, 2));
        } else if (c <= 0xFFFF) {
          out.append("\\u").append(hex(c, 4));
        } else {
          out.append("\\U").append(hex(c, 8));
        }
      }
    }
  }

  static String hex(int value, int digits) {
    String text = Integer.toHexString(value);
    return "0".repeat(Math.max(0, digits - text.length())) + text;
  }

  /** {@code str.isprintable} for one code point. */
  static boolean isPrintable(int c) {
    if (c == ' ') {
      return true;
    }
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SPACE_SEPARATOR ->
          false;
      default -> true;
    };
  }

  static String integer(BigInteger number) {
    if (number.bitLength() > INTEGER_BITS_MAX) {
      throw TemplateException.runtime("an integer of more than 4300 digits cannot be printed");
    }
    return number.toString();
  }

  /**
   * The shortest decimal that reads back as the same double, in Python's layout: exponent form
   * below 1e-4 and from 1e16 on.
   */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal decimal = shortest(Math.abs(value));
    String digits = decimal.unscaledValue().toString();
    int point = digits.length() - decimal.scale(); // digits before the decimal point
    StringBuilder text = new StringBuilder(value < 0 ? "-" : "");
    if (point > 16 || point < -3) {
      text.append(digits, 0, 1);
      if (digits.length() > 1) {
        text.append('.').append(digits, 1, digits.length());
      }
      int exponent = point - 1;
      text.append('e').append(exponent < 0 ? '-' : '+');
      text.append(Math.abs(exponent) < 10 ? "0" : "").append(Math.abs(exponent));
    } else if (point <= 0) {
      text.append("0.").append("0".repeat(-point)).append(digits);
    } else if (point >= digits.length()) {
      text.append(digits).append("0".repeat(point - digits.length())).append(".0");
    } else {
      text.append(digits, 0, point).append('.').append(digits, point, digits.length());
    }
    return text.toString();
  }

  /** Java writes two digits where one would do: the smallest double is 4.9E-324, not 5e-324. */
  private static BigDecimal shortest(double value) {
    BigDecimal decimal = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    if (decimal.precision() == 2) {
      BigDecimal shorter = decimal.round(new java.math.MathContext(1));
      if (shorter.doubleValue() == value) {
        return shorter.stripTrailingZeros();
      }
    }
    return decimal;
  }
}
