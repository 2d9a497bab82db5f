package io.verdier.verticles.http.api;

import io.verdier.engine.sample.SamplingField;
import io.verdier.engine.sample.SamplingSchema;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What holds where a field is not there. Immutable.
 *
 * @param isRequired whether its object is refused then
 * @param fallback the value that counts, a Boolean, Long, Double or String; null: the server, the
 *     model or another field says it, or there is none
 * @param text for people; empty: nothing to say
 */
public record Presence(boolean isRequired, @Nullable Object fallback, String text) {
  private static final String REQUIRED = "required";

  /** Reads a cell of the table: nothing, {@code required}, {@code (who says it)} or a value. */
  static Presence of(String cell, ApiType type, String name) {
    if (cell.isEmpty() || cell.startsWith("(")) {
      return new Presence(false, null, cell.isEmpty() ? "" : cell.substring(1, cell.length() - 1));
    }
    if (cell.equals(REQUIRED)) {
      return new Presence(true, null, REQUIRED);
    }
    Object value = value(cell);
    if (!type.fits(value)) {
      throw new IllegalArgumentException(name + " cannot be " + cell + " by default");
    }
    return new Presence(false, value, cell);
  }

  /** What {@link SamplingSchema} takes; a model's own defaults come before it. */
  static Presence of(SamplingField field) {
    Object value = field.fallback();
    if (value == null) {
      return new Presence(false, null, "");
    }
    boolean open = SamplingSchema.mayBePreset(field);
    String text =
        open ? value + ", or generation_config.json's, but for predict" : value.toString();
    return new Presence(false, open ? null : decoded(value), text);
  }

  private static Object decoded(Object value) {
    return value instanceof Integer whole ? Long.valueOf(whole) : value;
  }

  private static Object value(String cell) {
    if (cell.equals("true") || cell.equals("false")) {
      return Boolean.valueOf(cell);
    }
    if (cell.matches("-?[0-9]+")) {
      return Long.valueOf(cell);
    }
    return cell.matches("-?[0-9]+\\.[0-9]+") ? (Object) Double.valueOf(cell) : cell;
  }

  public Presence {
    Objects.requireNonNull(text);
  }
}
