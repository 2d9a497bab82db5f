package io.verdier.engine.text.template;

/**
 * A string that {@code escape} or {@code safe} marked as HTML. Immutable. Escaping of output is
 * off, so the mark shows in one place only: {@code +} escapes what is added to it.
 */
record Markup(String text) {
  /** HTML-escapes a text, with the entities that Jinja writes. */
  static String escaped(String text, Meter meter) {
    StringBuilder out = null;
    for (int i = 0; i < text.length(); i++) {
      String entity =
          switch (text.charAt(i)) {
            case '&' -> "&amp;";
            case '<' -> "&lt;";
            case '>' -> "&gt;";
            case '"' -> "&#34;";
            case '\'' -> "&#39;";
            default -> "";
          };
      if (!entity.isEmpty() && out == null) {
        out = new StringBuilder(text.length() + 16).append(text, 0, i);
      }
      if (out != null) {
        out = entity.isEmpty() ? out.append(text.charAt(i)) : out.append(entity);
      }
    }
    meter.chars(out == null ? text.length() : out.length());
    return out == null ? text : out.toString();
  }
}
