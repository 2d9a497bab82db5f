package io.verdier.engine.text.template;

/**
 * What follows the colon of a replacement field: {@code
 * [[fill]align][sign][#][0][width][,][.n][t]}. Immutable.
 *
 * @param align one of {@code < > ^ =}, blank where the value decides
 * @param zeros whether a 0 stood before the width and no alignment: numbers fill behind the sign
 * @param grouping separator between groups of digits, blank: none
 * @param precision -1 where none is given
 * @param type blank where none is given
 */
record FormatSpec(
    String fill,
    char align,
    String sign,
    boolean alternate,
    boolean zeros,
    int width,
    char grouping,
    int precision,
    char type) {

  static FormatSpec parse(String text) {
    int first = text.offsetByCodePoints(0, 1);
    boolean filled = first < text.length() && "<>=^".indexOf(text.charAt(first)) >= 0;
    Cursor cursor = new Cursor(text, filled ? first : 0);
    String fill = filled ? text.substring(0, first) : " ";
    char align = cursor.oneOf("<>=^");
    boolean signed =
        cursor.position < text.length() && "+- ".indexOf(text.charAt(cursor.position)) >= 0;
    String sign = signed ? String.valueOf(cursor.oneOf("+- ")) : "";
    boolean alternate = cursor.oneOf("#") == '#';
    boolean zeros = false;
    if (cursor.oneOf("0") == '0') {
      fill = filled ? fill : "0";
      zeros = align == ' ';
    }
    int width = Math.max(0, cursor.number());
    char grouping = cursor.oneOf(",_");
    int precision = -1;
    if (cursor.oneOf(".") == '.') {
      precision = cursor.number();
      if (precision < 0) {
        throw TemplateException.runtime("format specifier missing precision");
      }
    }
    char type = cursor.oneOf("bcdeEfFgGnosxX%");
    if (cursor.position < text.length()) {
      throw TemplateException.runtime("invalid format specifier '" + text + "'");
    }
    return new FormatSpec(fill, align, sign, alternate, zeros, width, grouping, precision, type);
  }

  /** A text with the padding asked for; {@code =} puts it behind the sign. */
  String padded(String sign, String body, char fallback) {
    int missing = Math.max(0, width - Chars.length(sign) - Chars.length(body));
    return switch (align == ' ' ? fallback : align) {
      case '<' -> sign + body + fill.repeat(missing);
      case '^' -> fill.repeat(missing / 2) + sign + body + fill.repeat(missing - missing / 2);
      case '=' -> sign + fill.repeat(missing) + body;
      default -> fill.repeat(missing) + sign + body;
    };
  }

  /** Whether something is asked for that only numbers have. */
  boolean isNumeric() {
    return !sign.isEmpty() || grouping != ' ' || align == '=' || alternate;
  }

  /** A number's digits with sign, prefix, grouping and padding. */
  String number(boolean negative, String prefix, String digits, int groupSize) {
    String shownSign = negative ? "-" : sign.equals("-") ? "" : sign;
    String shown = digits;
    if (grouping != ' ') {
      boolean zeroFill = fill.equals("0") && (zeros || align == '=');
      String filled = zeroFill ? zeroFilled(digits, width - shownSign.length(), groupSize) : digits;
      shown = NumberText.grouped(filled, grouping, groupSize);
    }
    return padded(shownSign + (alternate ? prefix : ""), shown, zeros ? '=' : '>');
  }

  /** Enough leading zeros that the number fills the room once it is grouped; they group too. */
  private static String zeroFilled(String digits, int room, int groupSize) {
    int whole = 0;
    while (whole < digits.length() && Character.digit(digits.charAt(whole), 16) >= 0) {
      whole++;
    }
    int target = room - (digits.length() - whole);
    int count = Math.max(whole, (int) ((long) target * groupSize / (groupSize + 1)) - 1);
    while (count + (count - 1) / groupSize < target) {
      count++;
    }
    return "0".repeat(count - whole) + digits;
  }

  /** Owned by the caller of {@code parse}. A place in the text. */
  private static final class Cursor {
    private final String text;
    private int position;

    Cursor(String text, int position) {
      this.text = text;
      this.position = position;
    }

    /** The next character if it is one of these, else a blank. */
    char oneOf(String options) {
      if (position < text.length() && options.indexOf(text.charAt(position)) >= 0) {
        return text.charAt(position++);
      }
      return ' ';
    }

    int number() {
      int start = position;
      long value = 0;
      while (position < text.length()
          && text.charAt(position) >= '0'
          && text.charAt(position) <= '9') {
        value = Math.min(Integer.MAX_VALUE, value * 10 + text.charAt(position++) - '0');
      }
      return position == start ? -1 : (int) value;
    }
  }
}
