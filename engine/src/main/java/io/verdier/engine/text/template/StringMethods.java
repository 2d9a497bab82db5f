package io.verdier.engine.text.template;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** Methods of strings, by name. Immutable. */
final class StringMethods {
  /** One method. */
  interface Method {
    Object call(String self, Args args, Rendering rendering);
  }

  /** First and last of each range. */
  private static final int[] OTHER_DIGITS = {
    0xB2, 0xB3, 0xB9, 0xB9, 0x1369, 0x1371, 0x19DA, 0x19DA, 0x2070, 0x2070, 0x2074, 0x2079, 0x2080,
    0x2089, 0x2460, 0x2468, 0x2474, 0x247C, 0x2488, 0x2490, 0x24EA, 0x24EA, 0x24F5, 0x24FD, 0x24FF,
    0x24FF, 0x2776, 0x277E, 0x2780, 0x2788, 0x278A, 0x2792, 0x10A40, 0x10A43, 0x10E60, 0x10E68,
    0x11052, 0x1105A, 0x1F100, 0x1F10A
  };

  static final Map<String, Method> TABLE = table();

  private StringMethods() {}

  private static Map<String, Method> table() {
    Map<String, Method> table = new HashMap<>();
    table.put("strip", (self, args, rendering) -> strip(self, args, rendering, true, true));
    table.put("lstrip", (self, args, rendering) -> strip(self, args, rendering, true, false));
    table.put("rstrip", (self, args, rendering) -> strip(self, args, rendering, false, true));
    table.put("upper", plain((self, rendering) -> self.toUpperCase(Locale.ROOT)));
    table.put("lower", plain((self, rendering) -> self.toLowerCase(Locale.ROOT)));
    table.put("casefold", plain((self, rendering) -> Casing.folded(self)));
    table.put("capitalize", plain((self, rendering) -> Casing.capitalized(self)));
    table.put("title", plain((self, rendering) -> Casing.title(self)));
    table.put("swapcase", plain((self, rendering) -> Casing.swapped(self)));
    table.put("islower", plain((self, rendering) -> Casing.isLower(self)));
    table.put("isupper", plain((self, rendering) -> Casing.isUpper(self)));
    table.put("istitle", plain((self, rendering) -> Casing.isTitle(self)));
    table.put("isspace", all(Chars::isSpace));
    table.put("isalpha", all(Character::isLetter));
    table.put("isdigit", all(StringMethods::isDigit));
    table.put("isdecimal", all(Character::isDigit));
    table.put("isnumeric", all(StringMethods::isNumeric));
    table.put("isalnum", all(StringMethods::isAlphanumeric));
    table.put("isascii", plain((self, rendering) -> self.chars().allMatch(c -> c < 128)));
    table.put(
        "isprintable", plain((self, rendering) -> self.codePoints().allMatch(Show::isPrintable)));
    table.put("isidentifier", plain((self, rendering) -> isIdentifier(self)));
    table.put("zfill", StringMethods::zfill);
    table.put("center", (self, args, rendering) -> justify(self, args, rendering, Side.BOTH));
    table.put("ljust", (self, args, rendering) -> justify(self, args, rendering, Side.RIGHT));
    table.put("rjust", (self, args, rendering) -> justify(self, args, rendering, Side.LEFT));
    table.put("expandtabs", StringMethods::expandTabs);
    table.put(
        "format", (self, args, rendering) -> BraceFormat.format(self, args, rendering.meter()));
    table.put("format_map", StringMethods::formatMap);
    StringParts.addTo(table);
    return Map.copyOf(table);
  }

  /** A method with its string, ready to be called; null if there is no such method. */
  static @Nullable Callable bound(String self, String name) {
    Method method = TABLE.get(name);
    return method == null ? null : (rendering, args) -> call(method, self, args, rendering);
  }

  static @Nullable Callable bound(Markup self, String name) {
    Method method = TABLE.get(name);
    return method == null
        ? null
        : (rendering, args) -> {
          rendering.meter().step();
          return marked(call(method, self.text(), args, rendering));
        };
  }

  /** What a method of markup gives is markup as well, also piece by piece. */
  private static Object marked(Object result) {
    return switch (result) {
      case String text -> new Markup(text);
      case Tuple tuple -> new Tuple(tuple.items().stream().map(StringMethods::marked).toList());
      case List<?> list -> list.stream().map(StringMethods::marked).toList();
      default -> result;
    };
  }

  private static Object call(Method method, String self, Args args, Rendering rendering) {
    rendering.meter().chars(self.length());
    return method.call(self, args, rendering);
  }

  private interface Plain {
    Object call(String self, Rendering rendering);
  }

  private static Method plain(Plain method) {
    return (self, args, rendering) -> {
      args.bind("method");
      return method.call(self, rendering);
    };
  }

  /** True if the string is not empty and every code point passes. */
  private static Method all(IntPredicate test) {
    return plain((self, rendering) -> !self.isEmpty() && self.codePoints().allMatch(test));
  }

  /** Decimal digits, and the ranges of Unicode's digits that are not decimal: superscripts etc. */
  private static boolean isDigit(int c) {
    if (Character.isDigit(c)) {
      return true;
    }
    for (int i = 0; i < OTHER_DIGITS.length; i += 2) {
      if (c >= OTHER_DIGITS[i] && c <= OTHER_DIGITS[i + 1]) {
        return true;
      }
    }
    return false;
  }

  static boolean isAlphanumeric(int c) {
    return Character.isLetter(c) || isNumeric(c);
  }

  private static boolean isNumeric(int c) {
    return switch (Character.getType(c)) {
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> true;
      default -> false;
    };
  }

  private static boolean isIdentifier(String self) {
    if (self.isEmpty()) {
      return false;
    }
    int first = self.codePointAt(0);
    return (first == '_' || Character.isUnicodeIdentifierStart(first))
        && self.codePoints()
            .allMatch(
                c -> Character.isUnicodeIdentifierPart(c) && !Character.isIdentifierIgnorable(c));
  }

  private static Object strip(
      String self, Args args, Rendering rendering, boolean left, boolean right) {
    Object set = args.bind("strip()", "chars").or(0, None.NONE);
    if (set == None.NONE) {
      return Chars.stripped(self, left, right);
    }
    String chars = Types.textOrNull(set);
    if (chars == null) {
      throw TemplateException.runtime("strip arg must be None or str");
    }
    rendering.meter().steps(chars.length());
    return Chars.stripped(self, chars, left, right);
  }

  private static Object zfill(String self, Args args, Rendering rendering) {
    int width = args.bind("zfill()", "width").integer(0, 0);
    int missing = width - Chars.length(self);
    if (missing <= 0) {
      return self;
    }
    rendering.meter().chars((long) missing + self.length());
    boolean signed = self.startsWith("-") || self.startsWith("+");
    String zeros = "0".repeat(missing);
    return signed ? self.charAt(0) + zeros + self.substring(1) : zeros + self;
  }

  /** Where padding goes. */
  enum Side {
    LEFT,
    RIGHT,
    BOTH
  }

  private static Object justify(String self, Args args, Rendering rendering, Side side) {
    Args.Bound bound = args.bind("justify", "width", "fillchar");
    bound.required(0);
    return padded(self, bound.integer(0, 0), bound.text(1, " "), side, rendering.meter());
  }

  static String padded(String self, int width, String fill, Side side, Meter meter) {
    if (Chars.length(fill) != 1) {
      throw TemplateException.runtime("the fill character must be exactly one character long");
    }
    int missing = width - Chars.length(self);
    if (missing <= 0) {
      return self;
    }
    meter.chars((long) missing * fill.length() + self.length());
    int left =
        switch (side) {
          case LEFT -> missing;
          case RIGHT -> 0;
          // Python puts the odd one left only where the width is odd too
          case BOTH -> missing / 2 + (missing & width & 1);
        };
    return fill.repeat(left) + self + fill.repeat(missing - left);
  }

  private static Object expandTabs(String self, Args args, Rendering rendering) {
    int size = args.bind("expandtabs()", "tabsize").integer(0, 8);
    StringBuilder text = new StringBuilder();
    int column = 0;
    for (int i = 0; i < self.length(); i++) {
      char c = self.charAt(i);
      if (c == '\t') {
        int blanks = size > 0 ? size - column % size : 0;
        rendering.meter().fits((long) text.length() + blanks);
        rendering.meter().chars(blanks);
        text.repeat(' ', blanks);
        column += blanks;
      } else {
        text.append(c);
        column = c == '\n' || c == '\r' ? 0 : column + (Character.isLowSurrogate(c) ? 0 : 1);
      }
    }
    return text.toString();
  }

  private static Object formatMap(String self, Args args, Rendering rendering) {
    Object mapping = args.bind("format_map()", "mapping").required(0);
    if (!(mapping instanceof Dict dict)) {
      throw TemplateException.runtime("format_map() takes a dict");
    }
    Map<String, Object> named = new HashMap<>();
    for (Object key : dict.keys()) {
      Object value = dict.get(key);
      if (key instanceof String name && value != null) {
        named.put(name, value);
      }
    }
    return BraceFormat.format(self, new Args(List.of(), named), rendering.meter());
  }
}
