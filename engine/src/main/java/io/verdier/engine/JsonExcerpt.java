package io.verdier.engine;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a message shows of a value that a client has sent: its JSON, of which only the beginning
 * where it is long. Owned by the thread that makes it.
 *
 * <p>Writing ends at the limit, so that a refusal of a large value is not a large work. Texts lose
 * what would break the line that shows them.
 */
public final class JsonExcerpt {
  private static final int CHARS_MAX = 40;

  private final StringBuilder out = new StringBuilder();

  private JsonExcerpt() {}

  /**
   * @param value of decoded JSON: String, Boolean, Number, List, Map or null
   * @return at most 41 characters; an ellipsis stands for what is left out
   */
  public static String of(@Nullable Object value) {
    JsonExcerpt excerpt = new JsonExcerpt();
    excerpt.write(value);
    StringBuilder out = excerpt.out;
    if (out.length() <= CHARS_MAX) {
      return out.toString();
    }
    boolean splits = Character.isHighSurrogate(out.charAt(CHARS_MAX - 1));
    return out.substring(0, splits ? CHARS_MAX - 1 : CHARS_MAX) + "…";
  }

  private boolean isFull() {
    return out.length() > CHARS_MAX;
  }

  private void write(@Nullable Object value) {
    switch (value) {
      case String text -> text(text);
      case List<?> list -> list(list);
      case Map<?, ?> map -> object(map);
      case null, default -> out.append(value); // numbers and switches are written as JSON has them
    }
  }

  private void list(List<?> list) {
    out.append('[');
    for (int i = 0; i < list.size() && !isFull(); i++) {
      out.append(i == 0 ? "" : ",");
      write(list.get(i));
    }
    out.append(']');
  }

  private void object(Map<?, ?> map) {
    out.append('{');
    Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
    for (boolean first = true; entries.hasNext() && !isFull(); first = false) {
      Map.Entry<?, ?> entry = entries.next();
      out.append(first ? "" : ",");
      text(String.valueOf(entry.getKey()));
      out.append(':');
      write(entry.getValue());
    }
    out.append('}');
  }

  private void text(String text) {
    out.append('"');
    for (int i = 0; i < text.length() && !isFull(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"', '\\' -> out.append('\\').append(c);
        case '\n' -> out.append("\\n");
        default -> {
          if (Character.isISOControl(c)) {
            out.append("\\u%04x".formatted((int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
