package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.JsonExcerpt;
import io.verdier.engine.RejectedException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: typed reading of a decoded JSON object. JSON null counts as absent everywhere, as in
 * vLLM; a value of the wrong type is refused with its dotted path, never converted.
 */
record Fields(Map<String, @Nullable Object> map, String path) {

  static Fields of(Map<String, @Nullable Object> map) {
    return new Fields(map, "");
  }

  /** An object inside another value. */
  static Fields of(@Nullable Object value, String path) {
    if (value instanceof Map<?, ?> map) {
      @SuppressWarnings("unchecked") // decoded JSON: names are strings
      Map<String, @Nullable Object> object = (Map<String, @Nullable Object>) map;
      return new Fields(object, path + ".");
    }
    throw wrongAt(path, value, "an object");
  }

  String path(String name) {
    return path + name;
  }

  boolean has(String name) {
    return map.get(name) != null;
  }

  @Nullable Object value(String name) {
    return map.get(name);
  }

  @Nullable String string(String name) {
    Object value = map.get(name);
    if (value == null || value instanceof String) {
      return (String) value;
    }
    throw wrong(name, "a string");
  }

  boolean bool(String name, boolean absent) {
    Object value = map.get(name);
    if (value == null) {
      return absent;
    }
    if (value instanceof Boolean bool) {
      return bool;
    }
    throw wrong(name, "true or false");
  }

  int integer(String name, int min, int max, int absent) {
    Object given = map.get(name);
    if (given == null) {
      return absent;
    }
    Object value = given;
    if (given instanceof Double real && real == Math.rint(real)) {
      value = BigDecimal.valueOf(real).toBigInteger(); // 2.0 is a whole number, as in vLLM
    }
    if (!(value instanceof Long || value instanceof BigInteger)) {
      throw wrong(name, "a whole number from " + min + " to " + max);
    }
    long whole = ((Number) value).longValue();
    boolean fits = value instanceof Long || ((BigInteger) value).bitLength() < Long.SIZE;
    if (fits && whole >= min && whole <= max) {
      return (int) whole;
    }
    throw wrong(name, "from " + min + " to " + max);
  }

  double number(String name, double min, double max, double absent) {
    Object value = map.get(name);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof Number number)) {
      throw wrong(name, "a number from " + min + " to " + max);
    }
    double real = number.doubleValue();
    if (real >= min && real <= max) {
      return real;
    }
    throw wrong(name, "from " + min + " to " + max);
  }

  @Nullable List<?> list(String name) {
    Object value = map.get(name);
    if (value == null || value instanceof List<?>) {
      return (List<?>) value;
    }
    throw wrong(name, "a list");
  }

  @Nullable Fields object(String name) {
    Object value = map.get(name);
    return value == null ? null : of(value, path(name));
  }

  /** A refusal that says what the field is, and what it must be. */
  RejectedException wrong(String name, String mustBe) {
    return wrongAt(path(name), map.get(name), mustBe);
  }

  /**
   * The same of what stands inside of a list.
   *
   * @param value null: it is not there
   */
  static RejectedException wrongAt(String path, @Nullable Object value, String mustBe) {
    String text =
        value == null
            ? path + " must be " + mustBe + "."
            : path + " is " + JsonExcerpt.of(value) + "; it must be " + mustBe + ".";
    return RejectedException.invalid(path, text);
  }

  /** A refusal that says what the field is, where another value of it would be taken. */
  RejectedException unsupportedValue(String name, String why) {
    Object value = map.get(name);
    String is = value == null ? " is not there; " : " is " + JsonExcerpt.of(value) + "; ";
    return new RejectedException(ErrorCode.UNSUPPORTED, path(name) + is + why, path(name));
  }

  RejectedException unsupported(String name, String why) {
    return new RejectedException(ErrorCode.UNSUPPORTED, path(name) + ": " + why, path(name));
  }
}
