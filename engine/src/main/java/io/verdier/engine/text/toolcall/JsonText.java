package io.verdier.engine.text.toolcall;

/** JSON strings to text and back. */
final class JsonText {
  private JsonText() {}

  /**
   * Appends one character of a string as JSON spells it. Halves of surrogate pairs are passed on as
   * they are; {@code escapeSurrogates} is for those that came out of an escape, where the other
   * half may be missing.
   */
  static void escape(char c, boolean escapeSurrogates, StringBuilder out) {
    switch (c) {
      case '"' -> out.append("\\\"");
      case '\\' -> out.append("\\\\");
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      default -> {
        if (c < 0x20 || (escapeSurrogates && Character.isSurrogate(c))) {
          out.append(String.format("\\u%04x", (int) c));
        } else {
          out.append(c);
        }
      }
    }
  }

  static String quoted(CharSequence text) {
    StringBuilder out = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      escape(text.charAt(i), false, out);
    }
    return out.append('"').toString();
  }

  /**
   * What a string means.
   *
   * @param raw what stands between its quotes, valid
   */
  static String unescaped(CharSequence raw) {
    StringBuilder out = new StringBuilder(raw.length());
    for (int i = 0; i < raw.length(); i++) {
      char c = raw.charAt(i);
      if (c != '\\') {
        out.append(c);
        continue;
      }
      char kind = raw.charAt(++i);
      if (kind == 'u') {
        out.append((char) Integer.parseInt(raw, i + 1, i + 5, 16));
        i += 4;
      } else {
        int simple = "bfnrt".indexOf(kind);
        out.append(simple < 0 ? kind : "\b\f\n\r\t".charAt(simple));
      }
    }
    return out.toString();
  }
}
