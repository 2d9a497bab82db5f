package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;

/**
 * Numbers laid out the way C's printf and Python's format do it. Signs and padding are the
 * caller's: all functions take the magnitude.
 */
final class NumberText {
  /** No double has more digits than this; what is asked for beyond them is zeros. */
  private static final int DIGITS_MAX = 1100;

  private NumberText() {}

  /** {@code e E f F g G} with a precision; infinities and NaN as words. */
  static String real(double magnitude, char type, int precision, boolean alternate, Meter meter) {
    boolean upper = Character.isUpperCase(type);
    String text;
    if (Double.isNaN(magnitude) || Double.isInfinite(magnitude)) {
      text = Double.isNaN(magnitude) ? "nan" : "inf";
    } else {
      meter.chars(precision + 400L);
      text =
          switch (Character.toLowerCase(type)) {
            case 'e' -> scientific(magnitude, precision, alternate);
            case 'f' -> fixed(magnitude, precision, alternate);
            default -> general(magnitude, Math.max(1, precision), alternate);
          };
    }
    return upper ? text.toUpperCase(Locale.ROOT) : text;
  }

  private static String fixed(double magnitude, int precision, boolean alternate) {
    String text =
        new BigDecimal(magnitude)
            .setScale(Math.min(precision, DIGITS_MAX), RoundingMode.HALF_EVEN)
            .toPlainString();
    String zeros = "0".repeat(Math.max(0, precision - DIGITS_MAX));
    return alternate && precision == 0 ? text + "." : text + zeros;
  }

  private static String scientific(double magnitude, int precision, boolean alternate) {
    BigDecimal rounded = rounded(magnitude, precision + 1);
    String digits = rounded.unscaledValue().toString();
    int exponent = magnitude == 0 ? 0 : digits.length() - 1 - rounded.scale();
    digits = digits + "0".repeat(Math.max(0, precision + 1 - digits.length()));
    return point(digits, alternate) + exponent(exponent);
  }

  /** {@code %g}: trailing zeros dropped, exponent form for the very large and small. */
  private static String general(double magnitude, int precision, boolean alternate) {
    BigDecimal rounded = rounded(magnitude, precision);
    String digits = rounded.unscaledValue().toString();
    int exponent = magnitude == 0 ? 0 : digits.length() - 1 - rounded.scale();
    digits = digits + "0".repeat(Math.max(0, precision - digits.length()));
    if (exponent < -4 || exponent >= precision) {
      return point(alternate ? digits : withoutZeros(digits), alternate) + exponent(exponent);
    }
    if (exponent < 0) {
      String all = "0".repeat(-exponent - 1) + digits;
      return "0." + (alternate ? all : withoutZeros(all));
    }
    String whole = digits.substring(0, exponent + 1);
    String fraction = digits.substring(exponent + 1);
    if (!alternate) {
      fraction =
          fraction.isEmpty() || withoutZeros(fraction).equals("0") ? "" : withoutZeros(fraction);
    }
    return fraction.isEmpty() && !alternate ? whole : whole + "." + fraction;
  }

  private static BigDecimal rounded(double magnitude, int digits) {
    MathContext context = new MathContext(Math.min(digits, DIGITS_MAX), RoundingMode.HALF_EVEN);
    return new BigDecimal(magnitude).round(context);
  }

  private static String point(String digits, boolean always) {
    return digits.length() > 1
        ? digits.charAt(0) + "." + digits.substring(1)
        : always ? digits + "." : digits;
  }

  private static String exponent(int exponent) {
    String digits = Integer.toString(Math.abs(exponent));
    return (exponent < 0 ? "e-" : "e+") + (digits.length() < 2 ? "0" : "") + digits;
  }

  private static String withoutZeros(String digits) {
    int end = digits.length();
    while (end > 1 && digits.charAt(end - 1) == '0') {
      end--;
    }
    return digits.substring(0, end);
  }

  /** Puts a separator between groups of digits of the whole part. */
  static String grouped(String number, char separator, int size) {
    int end = 0;
    while (end < number.length() && Character.digit(number.charAt(end), 16) >= 0) {
      end++;
    }
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < end; i++) {
      if (i > 0 && (end - i) % size == 0) {
        text.append(separator);
      }
      text.append(number.charAt(i));
    }
    return text.append(number, end, number.length()).toString();
  }
}
