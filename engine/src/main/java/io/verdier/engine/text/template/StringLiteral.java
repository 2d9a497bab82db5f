package io.verdier.engine.text.template;

/** Escapes of a string literal, as Python reads them. */
final class StringLiteral {
  private StringLiteral() {}

  static String decoded(String raw, int line) {
    int slash = raw.indexOf('\\');
    if (slash < 0) {
      return raw;
    }
    StringBuilder text = new StringBuilder(raw.length());
    int i = 0;
    while (slash >= 0) {
      text.append(raw, i, slash);
      i = escape(raw, slash + 1, text, line);
      slash = raw.indexOf('\\', i);
    }
    return text.append(raw, i, raw.length()).toString();
  }

  /** Appends what the escape at {@code i}, behind its backslash, stands for; gives its end. */
  private static int escape(String raw, int i, StringBuilder text, int line) {
    char c = raw.charAt(i);
    switch (c) {
      case '\n' -> {}
      case '\\', '\'', '"' -> text.append(c);
      case 'a' -> text.append('\u0007');
      case 'b' -> text.append('\b');
      case 'f' -> text.append('\f');
      case 'n' -> text.append('\n');
      case 'r' -> text.append('\r');
      case 't' -> text.append('\t');
      case 'v' -> text.append('\u000B');
      case 'x' -> {
        return hex(raw, i + 1, 2, text, line);
      }
      case 'u' -> {
        return hex(raw, i + 1, 4, text, line);
      }
      case 'U' -> {
        return hex(raw, i + 1, 8, text, line);
      }
      case 'N' -> {
        return named(raw, i + 1, text, line);
      }
      case '0', '1', '2', '3', '4', '5', '6', '7' -> {
        return octal(raw, i, text);
      }
      default -> text.append('\\').append(c);
    }
    return i + 1;
  }

  private static int hex(String raw, int from, int digits, StringBuilder text, int line) {
    int code = 0;
    for (int i = from; i < from + digits; i++) {
      int digit = i < raw.length() ? Character.digit(raw.charAt(i), 16) : -1;
      if (digit < 0 || raw.charAt(i) > 127) {
        throw TemplateException.syntax("a \\x, \\u or \\U escape is cut short", line);
      }
      code = (code << 4) + digit;
    }
    if (!Character.isValidCodePoint(code)) {
      throw TemplateException.syntax("a \\U escape is not a Unicode character", line);
    }
    text.appendCodePoint(code);
    return from + digits;
  }

  private static int octal(String raw, int from, StringBuilder text) {
    int code = 0;
    int i = from;
    while (i < raw.length() && i < from + 3 && raw.charAt(i) >= '0' && raw.charAt(i) <= '7') {
      code = code * 8 + raw.charAt(i++) - '0';
    }
    text.appendCodePoint(code);
    return i;
  }

  private static int named(String raw, int from, StringBuilder text, int line) {
    int end = raw.indexOf('}', from);
    if (from < raw.length() && raw.charAt(from) == '{' && end > 0) {
      try {
        text.appendCodePoint(Character.codePointOf(raw.substring(from + 1, end)));
        return end + 1;
      } catch (IllegalArgumentException e) {
        throw TemplateException.syntax("\\N names no Unicode character", line);
      }
    }
    throw TemplateException.syntax("a \\N escape has no {name}", line);
  }
}
