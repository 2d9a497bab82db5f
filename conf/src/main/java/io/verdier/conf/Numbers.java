package io.verdier.conf;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Numbers as operators write them: {@code 4096}, {@code 4k} (thousands), {@code 4K} (1024s), {@code
 * 0.5}, {@code 32MiB}, {@code 250ms}. The meaning of the one-letter suffixes is vLLM's. No state.
 */
final class Numbers {
  private static final String LETTERS = "KMGT";
  private static final Pattern NUMBER =
      Pattern.compile(
          "([-+]?(?:\\d{1,30}(?:\\.\\d{0,20})?|\\.\\d{1,20})(?:[eE][-+]?\\d{1,2})?) ?([A-Za-z]*)");

  private Numbers() {}

  /**
   * Reads a number with an optional suffix of size.
   *
   * @throws NumberFormatException if it is none
   */
  static BigDecimal parse(String text) {
    Matcher matcher = match(text);
    return new BigDecimal(matcher.group(1)).multiply(multiplier(matcher.group(2)));
  }

  private static Matcher match(String text) {
    Matcher matcher = NUMBER.matcher(text);
    if (!matcher.matches()) {
      throw new NumberFormatException("not a number");
    }
    return matcher;
  }

  private static BigDecimal multiplier(String suffix) {
    if (suffix.isEmpty()) {
      return BigDecimal.ONE;
    }
    char first = suffix.charAt(0);
    int power = LETTERS.indexOf(Character.toUpperCase(first)) + 1;
    boolean decimal =
        suffix.length() == 1
            ? Character.isLowerCase(first)
            : suffix.substring(1).toLowerCase(Locale.ROOT).equals("b");
    boolean binary =
        suffix.length() == 1 ? !decimal : suffix.substring(1).toLowerCase(Locale.ROOT).equals("ib");
    if (power == 0 || decimal == binary) {
      throw new NumberFormatException("unknown suffix");
    }
    return BigDecimal.valueOf(decimal ? 1000 : 1024).pow(power);
  }

  /**
   * Reads a time, as a number of {@code unit} ("s" or "ms") unless the text names its own: ms, s,
   * m, h.
   *
   * @throws NumberFormatException if it is none
   */
  static BigDecimal parseTime(String text, String unit) {
    Matcher matcher = match(text);
    String given = matcher.group(2).isEmpty() ? unit : matcher.group(2);
    BigDecimal millis = new BigDecimal(matcher.group(1)).multiply(millisIn(given));
    return unit.equals("ms") ? millis : millis.movePointLeft(3);
  }

  private static BigDecimal millisIn(String unit) {
    return switch (unit) {
      case "ms" -> BigDecimal.ONE;
      case "s" -> BigDecimal.valueOf(1000);
      case "m", "min" -> BigDecimal.valueOf(60_000);
      case "h" -> BigDecimal.valueOf(3_600_000);
      default -> throw new NumberFormatException("unknown unit");
    };
  }

  /** A number as it is shown; sizes that are whole KiB, MiB or GiB with their suffix. */
  static String shown(BigDecimal number, boolean size) {
    if (!size || number.signum() == 0) {
      return number.stripTrailingZeros().toPlainString();
    }
    BigInteger bytes = number.toBigInteger();
    for (String suffix : List.of("", "K", "M", "G")) {
      BigInteger[] divided = bytes.divideAndRemainder(BigInteger.valueOf(1024));
      if (suffix.equals("G") || divided[1].signum() != 0) {
        return bytes + suffix;
      }
      bytes = divided[0];
    }
    throw new IllegalStateException("the last suffix always returns");
  }
}
