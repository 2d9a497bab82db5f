package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Locale;

/** {@code 'text' % values}. Owned by the rendering thread. */
final class PercentFormat {
  private final String format;
  private final Object values;
  private final Meter meter;
  private final StringBuilder out = new StringBuilder();
  private int position;
  private int used;

  /** One conversion: what stands between the percent sign and its letter. */
  private record Spec(
      boolean left,
      boolean plus,
      boolean blank,
      boolean zeros,
      boolean alternate,
      int width,
      int precision) {}

  private PercentFormat(String format, Object values, Meter meter) {
    this.format = format;
    this.values = values;
    this.meter = meter;
  }

  static String format(String format, Object values, Meter meter) {
    PercentFormat run = new PercentFormat(format, values, meter);
    run.run();
    return run.out.toString();
  }

  private void run() {
    meter.chars(format.length());
    while (position < format.length()) {
      char c = format.charAt(position++);
      if (c != '%') {
        out.append(c);
      } else if (position < format.length() && format.charAt(position) == '%') {
        out.append('%');
        position++;
      } else {
        conversion();
        meter.fits(out.length());
      }
    }
    boolean mapping =
        values instanceof Dict || values instanceof List<?> || values instanceof Undefined;
    int given = values instanceof Tuple tuple ? tuple.items().size() : 1;
    if (used < given && !mapping) {
      throw TemplateException.runtime("not all arguments converted during string formatting");
    }
  }

  private void conversion() {
    Object named = null;
    if (peek() == '(') {
      named = byName();
    }
    boolean left = false;
    boolean plus = false;
    boolean blank = false;
    boolean zeros = false;
    boolean alternate = false;
    for (; "-+ 0#".indexOf(peek()) >= 0; position++) {
      switch (peek()) {
        case '-' -> left = true;
        case '+' -> plus = true;
        case ' ' -> blank = true;
        case '0' -> zeros = true;
        default -> alternate = true;
      }
    }
    int width = number();
    if (width < -1) {
      left = true;
      width = -width;
    }
    int precision = -1;
    if (peek() == '.') {
      position++;
      precision = Math.max(0, number());
    }
    while ("hlL".indexOf(peek()) >= 0) {
      position++;
    }
    char type = peek();
    position++;
    Object value = named == null ? nextValue() : named;
    Spec spec = new Spec(left, plus, blank, zeros, alternate, Math.max(0, width), precision);
    meter.chars((long) spec.width() + Math.max(0, precision));
    convert(type, value, spec);
  }

  private char peek() {
    if (position >= format.length()) {
      throw TemplateException.runtime("incomplete format");
    }
    return format.charAt(position);
  }

  private Object byName() {
    int end = format.indexOf(')', position);
    if (!(values instanceof Dict dict) || end < 0) {
      throw TemplateException.runtime(
          end < 0 ? "incomplete format key" : "format requires a mapping");
    }
    String key = format.substring(position + 1, end);
    position = end + 1;
    used = 1;
    Object value = dict.get(key);
    if (value == null) {
      throw TemplateException.runtime("format names a missing key '" + key + "'");
    }
    return value;
  }

  /** A number or {@code *}; -1 where there is none. */
  private int number() {
    if (peek() == '*') {
      position++;
      return Operators.index(nextValue(), "*");
    }
    int start = position;
    long value = 0;
    for (; Character.digit(peek(), 10) >= 0 && peek() < 128; position++) {
      value = Math.min(Integer.MAX_VALUE, value * 10 + Character.digit(peek(), 10));
    }
    return position == start ? -1 : (int) value;
  }

  private Object nextValue() {
    if (values instanceof Tuple tuple) {
      if (used < tuple.items().size()) {
        return tuple.items().get(used++);
      }
    } else if (used++ == 0) {
      return values;
    }
    throw TemplateException.runtime("not enough arguments for format string");
  }

  private void convert(char type, Object value, Spec spec) {
    switch (type) {
      case 's' -> text(Show.str(value, meter), spec);
      case 'r' -> text(Show.repr(value, meter), spec);
      case 'a' -> text(BraceFormat.ascii(Show.repr(value, meter)), spec);
      case 'c' -> text(character(value), spec);
      case 'd', 'i', 'u' -> integer(whole(value, type), 10, "", spec);
      case 'o' -> integer(strict(value, type), 8, "0o", spec);
      case 'x' -> integer(strict(value, type), 16, "0x", spec);
      case 'X' -> integer(strict(value, type), 16, "0X", spec);
      case 'e', 'E', 'f', 'F', 'g', 'G' -> real(value, type, spec);
      default -> throw TemplateException.runtime("unsupported format character '" + type + "'");
    }
  }

  private void text(String text, Spec spec) {
    String shown = text;
    if (spec.precision() >= 0 && spec.precision() < Chars.length(text)) {
      shown = Chars.slice(text, 0, spec.precision());
    }
    int missing = Math.max(0, spec.width() - Chars.length(shown));
    meter.chars(shown.length());
    out.repeat(' ', spec.left() ? 0 : missing).append(shown).repeat(' ', spec.left() ? missing : 0);
  }

  private String character(Object value) {
    String text = Types.textOrNull(value);
    if (text != null && Chars.length(text) == 1) {
      return text;
    }
    if (value instanceof Long code && code >= 0 && code <= Character.MAX_CODE_POINT) {
      return Character.toString(code.intValue());
    }
    throw TemplateException.runtime("%c requires int or char");
  }

  private static BigInteger whole(Object value, char type) {
    if (value instanceof Double number) {
      if (Double.isNaN(number) || Double.isInfinite(number)) {
        throw TemplateException.runtime("cannot convert float infinity or NaN to integer");
      }
      return new BigDecimal(number).toBigInteger();
    }
    return strict(value, type);
  }

  private static BigInteger strict(Object value, char type) {
    if (!Operators.isInteger(value)) {
      throw value instanceof Undefined undefined
          ? undefined.failure()
          : TemplateException.runtime(
              "%" + type + " format: a number is required, not " + Types.name(value));
    }
    return Operators.big(value);
  }

  private void integer(BigInteger value, int radix, String prefix, Spec spec) {
    Show.integer(value); // refuses what would take long to print
    String digits = value.abs().toString(radix);
    if (prefix.equals("0X")) {
      digits = digits.toUpperCase(Locale.ROOT);
    }
    digits = "0".repeat(Math.max(0, spec.precision() - digits.length())) + digits;
    number(value.signum() < 0, spec.alternate() ? prefix : "", digits, spec);
  }

  private void real(Object value, char type, Spec spec) {
    if (!Operators.isNumber(value)) {
      throw value instanceof Undefined undefined
          ? undefined.failure()
          : TemplateException.runtime("must be real number, not " + Types.name(value));
    }
    double number = Operators.real(value);
    int precision = spec.precision() < 0 ? 6 : spec.precision();
    String digits = NumberText.real(Math.abs(number), type, precision, spec.alternate(), meter);
    boolean negative = number < 0 || (number == 0 && 1 / number < 0);
    number(negative, "", digits, spec);
  }

  private void number(boolean negative, String prefix, String digits, Spec spec) {
    String sign = negative ? "-" : spec.plus() ? "+" : spec.blank() ? " " : "";
    int missing = Math.max(0, spec.width() - sign.length() - prefix.length() - digits.length());
    if (spec.zeros() && !spec.left()) {
      out.append(sign).append(prefix).repeat('0', missing).append(digits);
    } else {
      out.repeat(' ', spec.left() ? 0 : missing).append(sign).append(prefix).append(digits);
      out.repeat(' ', spec.left() ? missing : 0);
    }
  }
}
