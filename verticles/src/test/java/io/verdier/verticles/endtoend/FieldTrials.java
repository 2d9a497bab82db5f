package io.verdier.verticles.endtoend;

import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiType;
import io.verdier.verticles.http.api.Body;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Values that the matrix tests send for a row of the table of fields. Stateless. */
final class FieldTrials {
  /** What a field may be sent, whatever it takes, as JSON. */
  static final List<String> VALUES =
      List.of("\"x\"", "5", "-0.5", "true", "[]", "{}", "[5]", "[-1.5]", "[{}]", "[\"a\"]");

  private FieldTrials() {}

  /** A value, and whether it is in range. */
  record Trial(String json, boolean fits) {}

  /** Numbers on and beyond the bounds, and what is no number. */
  static List<Trial> of(ApiField field, ApiType.Shape shape) {
    boolean integer = shape.kind() == ApiType.Kind.INT;
    BigDecimal step = integer ? BigDecimal.ONE : new BigDecimal("0.001");
    List<Trial> trials = new ArrayList<>();
    if (shape.min() > -Double.MAX_VALUE) {
      BigDecimal min = exact(shape.min());
      trials.add(new Trial(plain(min.subtract(step)), false));
      // The model's vectors cannot be shortened, and a chat's logprobs is not there.
      boolean lacks =
          field.name().equals("dimensions")
              || field.name().equals("repetition_detection.min_count") // at least 2
              || (field.name().equals("top_logprobs") && field.bodies().contains(Body.CHAT));
      trials.add(new Trial(plain(min), !shape.minIsOpen() && !lacks));
      trials.add(new Trial(plain(min.add(step)), !needsMore(field)));
      if (!needsMore(field)) {
        trials.add(new Trial('"' + plain(min.add(step)) + '"', true));
      }
    }
    if (shape.max() < Double.MAX_VALUE) {
      // As a double, 2^63 - 1 is 2^63.
      boolean wide = shape.max() >= 0x1p63;
      BigDecimal max = wide ? BigDecimal.valueOf(Long.MAX_VALUE) : exact(shape.max());
      trials.add(new Trial(plain(max), true));
      trials.add(new Trial(plain(max.add(step)), false));
    }
    boolean zero =
        (shape.minIsOpen() ? 0 > shape.min() : 0 >= shape.min())
            && !needsMore(field); // -1 or at least 1, at least 2
    trials.add(new Trial("-0.0", zero));
    boolean unbounded = !integer && shape.max() > Double.MAX_VALUE;
    for (String huge : List.of("1e300", "99999999999999999999")) {
      trials.add(new Trial(huge, unbounded));
    }
    if (integer) {
      trials.add(new Trial("1.5", false));
    }
    for (String other : List.of("\"one\"", "true", "[]", "[1]", "{}")) {
      trials.add(new Trial(other, false));
    }
    return trials;
  }

  /** Of 0.1 the shortest decimal that is meant, of large whole numbers every digit. */
  private static BigDecimal exact(double value) {
    return value == Math.rint(value) ? new BigDecimal(value) : BigDecimal.valueOf(value);
  }

  private static String plain(BigDecimal value) {
    return value.stripTrailingZeros().toPlainString();
  }

  /** Whose smallest value but one is not taken as things are. */
  private static boolean needsMore(ApiField field) {
    return List.of("truncate_prompt_tokens", "dimensions", "repetition_detection.min_count")
        .contains(field.name());
  }

  /** Whether a refusal says what was sent, or which of its elements is wrong. */
  static boolean tells(String message, String json) {
    if (json.matches("\\[.+]")) {
      return tells(message, json.substring(1, json.length() - 1)) || message.contains(json);
    }
    boolean decimal = !json.matches("-?[0-9]+") && json.matches("-?[0-9].*");
    return message.contains(decimal ? Double.toString(Double.parseDouble(json)) : json);
  }

  /** Whether a refusal of a number says the bounds of the row, or narrower ones as things are. */
  static boolean tellsRange(String message, ApiType.Shape shape) {
    boolean narrower =
        message.contains("may be shortened")
            || message.contains("of 64 bits")
            || message.contains("must be at least 2")
            || message.contains("-1 or at least 1");
    boolean least = shape.min() <= -Double.MAX_VALUE || message.contains(bound(shape.min()));
    boolean most = shape.max() >= Double.MAX_VALUE || message.contains(bound(shape.max()));
    return narrower || (least && most);
  }

  private static String bound(double value) {
    return value >= 0x1p63 ? Long.toString(Long.MAX_VALUE) : plain(exact(value));
  }

  /** As the server decodes it; only what {@link #VALUES} has. */
  static Object decoded(String json) {
    return switch (json) {
      case "5" -> 5L;
      case "-0.5" -> -0.5;
      case "true" -> true;
      case "[]" -> List.of();
      case "{}" -> Map.of();
      case "[5]" -> List.of(5L);
      case "[-1.5]" -> List.of(-1.5);
      case "[{}]" -> List.of(Map.of());
      case "[\"a\"]" -> List.of("a");
      default -> "x";
    };
  }
}
