package io.verdier.engine.text.template;

import java.math.BigInteger;
import java.util.Locale;

/** {@code '{} {name!r:>5}'.format(...)}. Owned by the rendering thread. */
final class BraceFormat {
  /** Python allows one level of fields inside a field's format. */
  private static final int NESTING_MAX = 2;

  private final Args args;
  private final Meter meter;
  private int next;
  private boolean numbered;

  private BraceFormat(Args args, Meter meter) {
    this.args = args;
    this.meter = meter;
  }

  static String format(String format, Args args, Meter meter) {
    return new BraceFormat(args, meter).expanded(format, NESTING_MAX);
  }

  private String expanded(String format, int nesting) {
    if (nesting == 0) {
      throw TemplateException.runtime("max string recursion exceeded");
    }
    meter.chars(format.length());
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      boolean doubled = i + 1 < format.length() && format.charAt(i + 1) == c;
      if (c != '{' && c != '}') {
        out.append(c);
      } else if (doubled) {
        out.append(c);
        i++;
      } else if (c == '}') {
        throw TemplateException.runtime("single '}' encountered in format string");
      } else {
        int end = fieldEnd(format, i + 1);
        out.append(field(format.substring(i + 1, end), nesting));
        meter.fits(out.length());
        i = end;
      }
    }
    return out.toString();
  }

  private static int fieldEnd(String format, int start) {
    int depth = 1;
    for (int i = start; i < format.length(); i++) {
      char c = format.charAt(i);
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
      if (depth == 0) {
        return i;
      }
    }
    throw TemplateException.runtime("expected '}' before end of string");
  }

  private String field(String field, int nesting) {
    meter.step();
    int colon = specStart(field);
    String name = field.substring(0, colon);
    String spec = colon < field.length() ? field.substring(colon + 1) : "";
    int bang = name.indexOf('!');
    String conversion = bang < 0 ? "" : name.substring(bang + 1);
    Object value = lookup(bang < 0 ? name : name.substring(0, bang));
    Object converted =
        switch (conversion) {
          case "" -> value;
          case "s" -> Show.str(value, meter);
          case "r" -> Show.repr(value, meter);
          case "a" -> ascii(Show.repr(value, meter));
          default -> throw TemplateException.runtime("unknown conversion '" + conversion + "'");
        };
    if (bang >= 0 && conversion.isEmpty()) {
      throw TemplateException.runtime("a conversion is missing after '!'");
    }
    String expandedSpec = spec.indexOf('{') < 0 ? spec : expanded(spec, nesting - 1);
    return formatted(converted, expandedSpec);
  }

  /** The colon that ends a field's name; brackets may hold others. */
  private static int specStart(String field) {
    boolean bracket = false;
    for (int i = 0; i < field.length(); i++) {
      char c = field.charAt(i);
      if (c == '[') {
        bracket = true;
      } else if (c == ']') {
        bracket = false;
      } else if (c == ':' && !bracket) {
        return i;
      }
    }
    return field.length();
  }

  private Object lookup(String path) {
    int end = 0;
    while (end < path.length() && path.charAt(end) != '.' && path.charAt(end) != '[') {
      end++;
    }
    Object value = first(path.substring(0, end));
    while (end < path.length()) {
      boolean dot = path.charAt(end) == '.';
      int start = end + 1;
      end = start;
      while (end < path.length()
          && (dot ? path.charAt(end) != '.' && path.charAt(end) != '[' : path.charAt(end) != ']')) {
        end++;
      }
      String name = path.substring(start, end);
      value = dot ? Members.attribute(value, name) : Members.item(value, key(name), meter);
      end = dot ? end : end + 1;
    }
    return value;
  }

  private Object first(String name) {
    if (!name.isEmpty() && !name.chars().allMatch(c -> c >= '0' && c <= '9')) {
      Object value = args.named().get(name);
      if (value == null) {
        throw TemplateException.runtime("format names a missing argument '" + name + "'");
      }
      return value;
    }
    boolean automatic = name.isEmpty();
    if (automatic ? numbered : next > 0) {
      throw TemplateException.runtime("format mixes numbered and unnumbered fields");
    }
    numbered = !automatic;
    long index = automatic ? next++ : (long) key(name);
    if (index >= args.positional().size()) {
      throw TemplateException.runtime("replacement index " + index + " out of range");
    }
    return args.positional().get((int) index);
  }

  private static Object key(String name) {
    boolean digits = !name.isEmpty() && name.chars().allMatch(c -> c >= '0' && c <= '9');
    return digits && name.length() < 10 ? (Object) Long.valueOf(name) : name;
  }

  private String formatted(Object value, String text) {
    if (text.isEmpty()) {
      return Show.str(value, meter);
    }
    FormatSpec spec = FormatSpec.parse(text);
    meter.chars((long) spec.width() + Math.max(0, spec.precision()));
    if (Operators.isNumber(value) && !(value instanceof Boolean && spec.type() == 's')) {
      return number(value, spec);
    }
    String shown = Types.textOrNull(value);
    if (shown == null || spec.isNumeric() || (spec.type() != ' ' && spec.type() != 's')) {
      throw TemplateException.runtime(
          "unsupported format '" + text + "' for a value of type " + Types.name(value));
    }
    if (spec.precision() >= 0 && spec.precision() < Chars.length(shown)) {
      shown = Chars.slice(shown, 0, spec.precision());
    }
    return spec.padded("", shown, '<');
  }

  private String number(Object value, FormatSpec spec) {
    char type = spec.type();
    if (Operators.isInteger(value) && " dbcoxXn".indexOf(type) >= 0) {
      return integer(Operators.big(value), spec);
    }
    double number = Operators.real(value);
    boolean percent = type == '%';
    if (type == ' ' && spec.precision() < 0) {
      return spec.number(number < 0, "", Show.number(Math.abs(number)), 3);
    }
    if ("eEfFgGn% ".indexOf(type) < 0) {
      throw TemplateException.runtime("unknown format code '" + type + "' for a number");
    }
    int precision = spec.precision() < 0 ? 6 : spec.precision();
    char kind = percent ? 'f' : type == ' ' || type == 'n' ? 'g' : type;
    double magnitude = Math.abs(percent ? number * 100 : number);
    String digits = NumberText.real(magnitude, kind, precision, spec.alternate(), meter);
    boolean negative = number < 0 || (number == 0 && 1 / number < 0);
    return spec.number(negative, "", percent ? digits + "%" : digits, 3);
  }

  private String integer(BigInteger value, FormatSpec spec) {
    Show.integer(value); // refuses what would take long to print
    if (spec.precision() >= 0) {
      throw TemplateException.runtime("precision not allowed in integer format specifier");
    }
    BigInteger magnitude = value.abs();
    boolean negative = value.signum() < 0;
    return switch (spec.type()) {
      case 'b' -> spec.number(negative, "0b", magnitude.toString(2), 4);
      case 'o' -> spec.number(negative, "0o", magnitude.toString(8), 4);
      case 'x' -> spec.number(negative, "0x", magnitude.toString(16), 4);
      case 'X' -> spec.number(negative, "0X", magnitude.toString(16).toUpperCase(Locale.ROOT), 4);
      case 'c' -> {
        if (negative || magnitude.bitLength() > 20) {
          throw TemplateException.runtime("%c arg not in range(0x110000)");
        }
        yield spec.padded("", Character.toString(magnitude.intValue()), '<');
      }
      default -> spec.number(negative, "", magnitude.toString(), 3);
    };
  }

  /** Python's {@code ascii}: everything beyond ASCII escaped. */
  static String ascii(String repr) {
    StringBuilder out = new StringBuilder();
    repr.codePoints()
        .forEach(
            c -> {
              if (c < 128) {
                out.append((char) c);
              } else if (c <= 0xFF) {
                out.append("\\x").append(Show.hex(c, 2));
              } else if (c <= 0xFFFF) {
                out.append("\\u").append(Show.hex(c, 4));
              } else {
                out.append("\\U").append(Show.hex(c, 8));
              }
            });
    return out.toString();
  }
}
