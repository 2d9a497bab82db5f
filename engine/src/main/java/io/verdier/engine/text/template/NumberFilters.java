package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Filters that give numbers, or text about one. */
final class NumberFilters {
  private NumberFilters() {}

  static void addTo(Map<String, Filter> table) {
    table.put("int", NumberFilters::integer);
    table.put("float", NumberFilters::real);
    table.put("abs", NumberFilters::absolute);
    table.put("round", NumberFilters::round);
    table.put("filesizeformat", NumberFilters::fileSize);
  }

  private static Object integer(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("int", "default", "base");
    Object fallback = bound.or(0, 0L);
    String text = Types.textOrNull(value);
    if (text == null) {
      return switch (value) {
        case Double number ->
            Double.isNaN(number) || Double.isInfinite(number)
                ? fallback
                : Operators.shrunk(new BigDecimal(number).toBigInteger());
        case Undefined undefined -> throw undefined.failure();
        default -> Operators.isInteger(value) ? Operators.shrunk(Operators.big(value)) : fallback;
      };
    }
    rendering.meter().chars(text.length());
    BigInteger parsed = PythonNumber.integer(text, bound.integer(1, 10));
    if (parsed != null) {
      return Operators.shrunk(parsed);
    }
    Double number = PythonNumber.real(text);
    return number == null || number.isNaN() || number.isInfinite()
        ? fallback
        : Operators.shrunk(new BigDecimal(number).toBigInteger());
  }

  private static Object real(Rendering rendering, Object value, Args args) {
    Object fallback = args.bind("float", "default").or(0, 0.0);
    String text = Types.textOrNull(value);
    if (text != null) {
      rendering.meter().chars(text.length());
      Double number = PythonNumber.real(text);
      return number == null ? fallback : number;
    }
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    return Operators.isNumber(value) ? (Object) Operators.real(value) : fallback;
  }

  private static Object absolute(Rendering rendering, Object value, Args args) {
    args.bind("abs");
    return switch (value) {
      case Double number -> Math.abs(number);
      case Undefined undefined -> throw undefined.failure();
      default -> {
        if (!Operators.isInteger(value)) {
          throw TemplateException.runtime(
              "bad operand type for abs(): '" + Types.name(value) + "'");
        }
        yield Operators.shrunk(Operators.big(value).abs());
      }
    };
  }

  private static Object round(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("round", "precision", "method");
    int precision = Math.clamp(bound.integer(0, 0), -400, 400);
    String method = bound.text(1, "common");
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (!Operators.isNumber(value)) {
      throw TemplateException.runtime("round takes a number, not " + Types.name(value));
    }
    return switch (method) {
      case "common" -> rounded(value, precision);
      case "ceil" -> Math.ceil(scaled(value, precision)) / Math.pow(10, precision);
      case "floor" -> Math.floor(scaled(value, precision)) / Math.pow(10, precision);
      default -> throw TemplateException.runtime("method must be common, ceil or floor");
    };
  }

  private static double scaled(Object value, int precision) {
    return Operators.real(value) * Math.pow(10, precision);
  }

  /** Half to even on the exact value, as Python rounds. */
  private static Object rounded(Object value, int precision) {
    if (!(value instanceof Double number)) {
      BigDecimal integer = new BigDecimal(Operators.big(value));
      return Operators.shrunk(
          precision >= 0
              ? integer.toBigInteger()
              : integer.setScale(precision, RoundingMode.HALF_EVEN).toBigInteger());
    }
    if (Double.isNaN(number) || Double.isInfinite(number) || number == 0) {
      return number;
    }
    double result =
        new BigDecimal(number).setScale(precision, RoundingMode.HALF_EVEN).doubleValue();
    return Math.copySign(result, number);
  }

  private static Object fileSize(Rendering rendering, Object value, Args args) {
    boolean binary = args.bind("filesizeformat", "binary").flag(0, false);
    String text = Types.textOrNull(value);
    Double parsed = text == null ? null : PythonNumber.real(text);
    if (parsed == null && !Operators.isNumber(value)) {
      throw TemplateException.runtime("filesizeformat takes a number");
    }
    double bytes = parsed != null ? parsed : Operators.real(value);
    int base = binary ? 1024 : 1000;
    if (bytes == 1) {
      return "1 Byte";
    }
    if (bytes < base) {
      return (long) bytes + " Bytes";
    }
    String prefixes = "KMGTPEZY";
    double unit = base;
    int i = 0;
    while (i < prefixes.length() - 1 && bytes >= unit * base) {
      unit *= base;
      i++;
    }
    String number = NumberText.real(bytes / unit, 'f', 1, false, rendering.meter());
    String prefix = i == 0 && !binary ? "k" : prefixes.substring(i, i + 1);
    return number + " " + prefix + (binary ? "iB" : "B");
  }

  /** Texts that {@code int()} and {@code float()} accept. */
  private static final class PythonNumber {
    static @Nullable BigInteger integer(String source, int base) {
      String text = Chars.stripped(source, true, true);
      boolean negative = text.startsWith("-");
      String digits = negative || text.startsWith("+") ? text.substring(1) : text;
      int radix = base;
      if (digits.length() > 2 && digits.charAt(0) == '0') {
        int prefix =
            switch (digits.charAt(1)) {
              case 'x', 'X' -> 16;
              case 'o', 'O' -> 8;
              case 'b', 'B' -> 2;
              default -> -1;
            };
        if (prefix == base || (base == 0 && prefix > 0)) {
          radix = prefix;
          digits = digits.substring(2);
          digits = digits.startsWith("_") ? digits.substring(1) : digits;
        }
      }
      radix = radix == 0 ? 10 : radix;
      if (radix < 2 || radix > 36 || digits.length() > 4300 || !isDigits(digits, radix)) {
        return null;
      }
      BigInteger value = new BigInteger(digits.replace("_", ""), radix);
      return negative ? value.negate() : value;
    }

    private static boolean isDigits(String text, int radix) {
      boolean digit = false;
      for (int i = 0; i < text.length(); i++) {
        char c = text.charAt(i);
        if (c == '_' ? !digit : Character.digit(c, radix) < 0) {
          return false;
        }
        digit = c != '_';
      }
      return digit;
    }

    static @Nullable Double real(String source) {
      String text = asciiDigits(Chars.stripped(source, true, true));
      boolean signed = text.startsWith("-") || text.startsWith("+");
      String body = signed ? text.substring(1) : text;
      double sign = text.startsWith("-") ? -1 : 1;
      return switch (body.toLowerCase(Locale.ROOT)) {
        case "inf", "infinity" -> sign * Double.POSITIVE_INFINITY;
        case "nan" -> Double.NaN;
        default -> {
          // Java accepts more than Python: hexadecimal floats and the suffixes d and f.
          boolean plain = body.chars().allMatch(c -> "0123456789.eE+-_".indexOf(c) >= 0);
          boolean started = !body.isEmpty() && "+-_".indexOf(body.charAt(0)) < 0;
          yield plain && started ? parsed(sign, body) : null;
        }
      };
    }

    /** Python takes the decimal digits of every script. */
    private static String asciiDigits(String text) {
      StringBuilder out = new StringBuilder(text.length());
      text.codePoints()
          .forEach(
              c -> out.appendCodePoint(Character.isDigit(c) ? '0' + Character.digit(c, 10) : c));
      return out.toString();
    }

    private static @Nullable Double parsed(double sign, String body) {
      for (int i = body.indexOf('_'); i >= 0; i = body.indexOf('_', i + 1)) {
        boolean between =
            i + 1 < body.length()
                && Character.isDigit(body.charAt(i - 1))
                && Character.isDigit(body.charAt(i + 1));
        if (!between) {
          return null;
        }
      }
      try {
        return sign * Double.parseDouble(body.replace("_", ""));
      } catch (NumberFormatException e) {
        return null;
      }
    }
  }
}
