package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.JsonExcerpt;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.ApiType;
import io.verdier.verticles.http.api.Body;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: typed reading of a decoded JSON object, by the table of fields: it has every range,
 * and every default that is not the server's or the model's to say. JSON null counts as absent
 * everywhere, as in vLLM; a value of the wrong type is refused with its dotted path ({@link
 * FieldGate} has put in the place of numbers and switches spelt otherwise what they mean).
 *
 * @param path of the object in what the client sent, a dot behind it; empty: the body itself
 * @param body whose rows of the table count
 * @param object name of the object in the table, a dot behind it
 */
record Fields(Map<String, @Nullable Object> map, String path, Body body, String object) {

  static Fields of(Map<String, @Nullable Object> map, Body body) {
    return new Fields(map, "", body, "");
  }

  /**
   * An object in a list.
   *
   * @param name of the list
   */
  Fields element(String name, int index, @Nullable Object value) {
    return new Fields(
        map(value, path(name) + "." + index),
        path(name) + "." + index + ".",
        body,
        object + name + ".");
  }

  /** A value of decoded JSON that must be an object. */
  static Map<String, @Nullable Object> map(@Nullable Object value, String path) {
    if (value instanceof Map<?, ?>) {
      @SuppressWarnings("unchecked") // decoded JSON: names are strings
      Map<String, @Nullable Object> map = (Map<String, @Nullable Object>) value;
      return map;
    }
    throw wrongAt(path, value, "an object");
  }

  /** Other fields in the same place. */
  Fields with(Map<String, @Nullable Object> others) {
    return new Fields(others, path, body, object);
  }

  /** The same as a body of another kind. */
  Fields as(Body other) {
    return new Fields(map, path, other, "");
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

  /** One of the words that the table lists. */
  @Nullable String choice(String name) {
    String word = string(name);
    if (word != null && !row(name).type().fits(word)) {
      throw wrong(name, row(name).type().text());
    }
    return word;
  }

  boolean bool(String name) {
    Object value = map.get(name);
    return value == null ? (Boolean) row(name).fallback() : bool(name, value);
  }

  /**
   * The same where the table leaves the default to others.
   *
   * @param absent what the server or the model says
   */
  boolean bool(String name, boolean absent) {
    row(name).checkOpen();
    Object value = map.get(name);
    return value == null ? absent : bool(name, value);
  }

  private boolean bool(String name, Object value) {
    if (value instanceof Boolean bool) {
      return bool;
    }
    throw wrong(name, "true or false");
  }

  /** One of the words that the table has. */
  String word(String name) {
    Object value = map.get(name);
    ApiField row = row(name);
    if (value == null) {
      return (String) row.fallback();
    }
    if (value instanceof String word && row.type().fits(value)) {
      return word;
    }
    throw wrong(name, row.type().text());
  }

  int integer(String name) {
    return integerUpTo(name, Integer.MAX_VALUE);
  }

  /**
   * @param max in force where it is below that of the table
   */
  int integerUpTo(String name, int max) {
    return map.get(name) == null ? ((Number) row(name).fallback()).intValue() : given(name, max);
  }

  /**
   * The same where the table leaves the default to others.
   *
   * @param absent what the server or the model says, or that nothing is given
   */
  int integer(String name, int absent) {
    return integer(name, Integer.MAX_VALUE, absent);
  }

  /**
   * @param max in force where it is below that of the table
   */
  int integer(String name, int max, int absent) {
    row(name).checkOpen();
    return map.get(name) == null ? absent : given(name, max);
  }

  /**
   * What is given, bounded by the table.
   *
   * @param most in force where it is below that of the table
   */
  int given(String name, int most) {
    ApiType.Shape shape = row(name).type().shapes().getFirst();
    int min = (int) Math.max(Integer.MIN_VALUE, shape.min());
    int max = (int) Math.min(most, shape.max());
    Object value = map.get(name);
    if (value instanceof Double real && real == Math.rint(real)) {
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

  /** Refuses a body without the field. */
  void required(String name) {
    if (!has(name)) {
      throw wrong(name, row(name).type().text());
    }
  }

  double number(String name) {
    Object value = map.get(name);
    ApiField row = row(name);
    if (value == null) {
      return ((Number) row.fallback()).doubleValue();
    }
    if (value instanceof Number number && row.type().fits(value)) {
      return number.doubleValue();
    }
    throw wrong(name, row.type().text());
  }

  /** Whether the table has such a field here: a reader may serve bodies that have it and others. */
  boolean knows(String name) {
    return ApiTable.field(body, object + name) != null;
  }

  /** What the table says of a field that a reader looks at. */
  ApiField row(String name) {
    ApiField row = ApiTable.field(body, object + name);
    if (row == null) {
      throw new IllegalStateException("no row for " + object + name + " of " + body);
    }
    return row;
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
    return value == null
        ? null
        : new Fields(map(value, path(name)), path(name) + ".", body, object + name + ".");
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
