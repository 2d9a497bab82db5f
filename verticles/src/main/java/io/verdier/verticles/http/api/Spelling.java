package io.verdier.verticles.http.api;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Values of decoded JSON that are spelt as another type: numbers and switches as texts, whole
 * numbers as doubles (what goes through protocol buffers comes back so). Follows the lax mode of
 * pydantic, by which vLLM reads requests, without its oddities: {@code 1_000}, {@code inf}, and
 * true for 1. Stateless.
 */
final class Spelling {
  private static final Pattern WHOLE = Pattern.compile("[+-]?[0-9]{1,19}(\\.0{0,18})?");
  private static final Pattern NUMBER =
      Pattern.compile("[+-]?([0-9]{1,18}(\\.[0-9]{0,40})?|\\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?");
  private static final List<String> TRUE = List.of("true", "t", "yes", "y", "on", "1");
  private static final List<String> FALSE = List.of("false", "f", "no", "n", "off", "0");

  private Spelling() {}

  /** A Long where the number is a whole one of 64 bits and not -0.0, else the number itself. */
  static Object whole(Double real) {
    boolean isWhole = real == Math.rint(real) && Math.abs(real) < 0x1p63 && !real.equals(-0.0);
    return isWhole ? (Object) real.longValue() : real;
  }

  /**
   * The number that a text is, a Long or a Double; a text that is none, or too long, stays.
   *
   * @param mayBeReal whether it may have decimals
   */
  static Object number(String text, boolean mayBeReal) {
    String stripped = text.strip();
    if (WHOLE.matcher(stripped).matches()) {
      BigInteger whole = new BigInteger(stripped.split("\\.", -1)[0]);
      return whole.bitLength() < Long.SIZE ? (Object) whole.longValue() : text;
    }
    return mayBeReal && NUMBER.matcher(stripped).matches() ? Double.valueOf(stripped) : text;
  }

  /** The switch that a text is; a text that is none stays. */
  static Object truth(String text) {
    String word = text.toLowerCase(Locale.ROOT);
    return TRUE.contains(word) ? (Object) true : FALSE.contains(word) ? (Object) false : text;
  }

  /** The switch that 1 or 0 is; other numbers stay. */
  static Object truth(Number number) {
    double real = number.doubleValue();
    return real == 1 ? (Object) true : real == 0 ? (Object) false : number;
  }

  /**
   * A list whose doubles are whole numbers where they can be.
   *
   * @param ofLists whether such lists may stand in it too
   */
  static Object ids(List<?> list, boolean ofLists) {
    if (list.stream().noneMatch(it -> it instanceof Double || (ofLists && it instanceof List<?>))) {
      return list; // by far the most are: no copy
    }
    List<Object> ids = new ArrayList<>(list.size());
    for (Object id : list) {
      ids.add(
          switch (id) {
            case Double real -> whole(real);
            case List<?> inner when ofLists -> ids(inner, false);
            case null, default -> id;
          });
    }
    return ids;
  }
}
