package io.verdier.verticles.http.api;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What becomes of a field or a route that vLLM knows. Immutable.
 *
 * @param why how it differs, or why it has no effect; empty where it is supported
 * @param harmless values of a refused field that change nothing and are taken, as JSON
 */
public record Status(Kind kind, String why, List<String> harmless) {
  private static final String UNLESS = " unless ";

  /** The cases. */
  public enum Kind {
    SUPPORTED,
    DIFFERS,
    /** Taken, checked for its type, without effect; the answer's header names it. */
    IGNORED,
    REFUSED;

    /** As the table says it. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public Status {
    harmless = List.copyOf(harmless);
  }

  /** Reads a cell of the table: {@code kind [unless VALUE,…][: why]}. */
  static Status of(String cell) {
    int colon = cell.indexOf(": ");
    String head = colon < 0 ? cell : cell.substring(0, colon);
    int unless = head.indexOf(UNLESS);
    String kind = unless < 0 ? head : head.substring(0, unless);
    return new Status(
        Kind.valueOf(kind.toUpperCase(Locale.ROOT)),
        colon < 0 ? "" : cell.substring(colon + 2),
        unless < 0 ? List.of() : List.of(head.substring(unless + UNLESS.length()).split(",")));
  }

  /** Whether the field is read. */
  public boolean hasEffect() {
    return kind == Kind.SUPPORTED || kind == Kind.DIFFERS;
  }

  /** Whether a value of decoded JSON changes nothing. */
  public boolean isHarmless(@Nullable Object value) {
    return value == null || harmless.contains(shown(value));
  }

  private static String shown(Object value) {
    return value instanceof String text ? '"' + text + '"' : value.toString();
  }
}
