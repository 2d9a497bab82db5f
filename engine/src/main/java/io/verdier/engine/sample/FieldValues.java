package io.verdier.engine.sample;

import io.verdier.engine.JsonExcerpt;
import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.SamplingField.Kind;
import io.verdier.engine.sample.SamplingField.Range;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads values of decoded JSON: a {@code Number}, {@code String}, {@code Boolean}, {@code List},
 * {@code Map} or null of any size and shape, of which nothing is believed. What does not fit is
 * refused with field, value and range; nothing here throws anything else.
 */
final class FieldValues {
  private static final int SHOWN_CHARS_MAX = 40;

  private static final BigDecimal INT_MAX = BigDecimal.valueOf(Integer.MAX_VALUE);

  private FieldValues() {}

  static double number(String path, @Nullable Object value, Range range) {
    if (!(value instanceof Number number)) {
      throw wrongKind(path, value, Kind.NUMBER, range);
    }
    double real = number.doubleValue();
    if (!Double.isFinite(real) || !range.has(real)) {
      throw refused(path, value, range.text());
    }
    return real + 0.0; // -0 becomes 0
  }

  /** A whole number of 32 bits within {@code range}; 2.0 is one. */
  static int integer(String path, @Nullable Object value, Range range) {
    BigDecimal exact = exact(path, value, range);
    if (!range.has(exact.doubleValue())) {
      throw refused(path, value, range.text());
    }
    if (exact.compareTo(INT_MAX) > 0) {
      throw refused(path, value, Range.between(range.min(), Integer.MAX_VALUE).text());
    }
    return (int) whole(path, value, exact, range);
  }

  /** A whole number of 64 bits. */
  static long longInteger(String path, @Nullable Object value) {
    return whole(path, value, exact(path, value, Range.ALL), Range.ALL);
  }

  static boolean bool(String path, @Nullable Object value) {
    if (value instanceof Boolean bool) {
      return bool;
    }
    throw wrongKind(path, value, Kind.BOOLEAN);
  }

  /** Distinct token ids, sorted. */
  static int[] tokenIds(String path, @Nullable Object value, int vocabSize) {
    if (!(value instanceof List<?> list)) {
      throw wrongKind(path, value, Kind.TOKEN_IDS);
    }
    Range ids = Range.between(0, vocabSize - 1);
    int[] result = new int[list.size()];
    int count = 0;
    for (Object element : list) {
      result[count] = integer(path + "[" + count + "]", element, ids);
      count++;
    }
    return Arrays.stream(result).sorted().distinct().toArray();
  }

  /** Token ids and biases, by ascending id; a bias beyond the range becomes its limit. */
  static NavigableMap<Integer, Float> bias(
      String path, @Nullable Object value, Range range, int vocabSize) {
    if (!(value instanceof Map<?, ?> map)) {
      throw wrongKind(path, value, Kind.BIAS);
    }
    NavigableMap<Integer, Float> result = new TreeMap<>();
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      String key = String.valueOf(entry.getKey());
      int id = biasId(path, key, vocabSize);
      double bias = number(path + "." + shortened(key), entry.getValue(), Range.ALL);
      result.put(id, (float) Math.clamp(bias, range.min(), range.max()));
    }
    return result;
  }

  /**
   * @param charsMax of each string
   */
  static List<String> strings(String path, @Nullable Object value, Range count, int charsMax) {
    if (!(value instanceof List<?> list)) {
      throw wrongKind(path, value, Kind.STRINGS);
    }
    if (!count.has(list.size())) {
      String text = path + " has " + list.size() + " entries; the limit is " + (int) count.max();
      throw RejectedException.invalid(path, text);
    }
    List<String> result = new ArrayList<>(list.size());
    for (Object element : list) {
      if (!(element instanceof String string) || string.isEmpty() || string.length() > charsMax) {
        throw refused(
            path + "[" + result.size() + "]",
            element,
            "a string of 1 to " + charsMax + " characters");
      }
      result.add(string);
    }
    return result;
  }

  /** A refusal that names field, value and what it must be. */
  static RejectedException refused(String path, @Nullable Object value, String mustBe) {
    return RejectedException.invalid(
        path, path + " is " + JsonExcerpt.of(value) + "; it must be " + mustBe);
  }

  private static RejectedException wrongKind(String path, @Nullable Object value, Kind kind) {
    return refused(path, value, kind.text());
  }

  private static RejectedException wrongKind(
      String path, @Nullable Object value, Kind kind, Range range) {
    String all = kind == Kind.INTEGER ? " of 64 bits" : "";
    return refused(path, value, kind.text() + (range.equals(Range.ALL) ? all : " " + range.text()));
  }

  private static int biasId(String path, String key, int vocabSize) {
    try {
      int id = Integer.parseInt(key.strip());
      if (id >= 0 && id < vocabSize) {
        return id;
      }
    } catch (NumberFormatException notAnId) {
      // Refused below, like an id outside the vocabulary.
    }
    String text =
        path
            + " has the key "
            + JsonExcerpt.of(key)
            + "; keys must be token ids between 0 and "
            + (vocabSize - 1);
    throw RejectedException.invalid(path, text);
  }

  private static BigDecimal exact(String path, @Nullable Object value, Range range) {
    return switch (value) {
      case BigDecimal decimal -> decimal;
      case BigInteger integer -> new BigDecimal(integer);
      case Double real when Double.isFinite(real) -> new BigDecimal(real);
      case Float real when Float.isFinite(real) -> new BigDecimal(real);
      case Long integer -> BigDecimal.valueOf(integer);
      case Integer integer -> BigDecimal.valueOf(integer);
      case Short integer -> BigDecimal.valueOf(integer);
      case Byte integer -> BigDecimal.valueOf(integer);
      case null, default -> throw wrongKind(path, value, Kind.INTEGER, range);
    };
  }

  private static long whole(String path, @Nullable Object value, BigDecimal exact, Range range) {
    try {
      return exact.longValueExact(); // cheap also where the exponent is huge
    } catch (ArithmeticException inexact) {
      boolean tooLarge = exact.abs().compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) > 0;
      throw wrongKind(path, value, Kind.INTEGER, tooLarge ? Range.ALL : range);
    }
  }

  private static String shortened(String text) {
    return text.length() <= SHOWN_CHARS_MAX ? text : text.substring(0, SHOWN_CHARS_MAX) + "…";
  }
}
