package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Arguments of one call, evaluated. Immutable. */
record Args(List<Object> positional, Map<String, Object> named) {
  static final Args NONE = new Args(List.of(), Map.of());

  static Args of(Object... positional) {
    return new Args(List.of(positional), Map.of());
  }

  /** Without the first {@code count} positional ones. */
  Args from(int count) {
    return new Args(positional.subList(count, positional.size()), named);
  }

  /** Spreads the arguments over parameters, the way Python binds a signature. */
  Bound bind(String function, String... parameters) {
    if (positional.size() > parameters.length) {
      throw TemplateException.runtime(
          function
              + " takes at most "
              + parameters.length
              + " arguments, not "
              + positional.size());
    }
    List<@Nullable Object> values = new ArrayList<>(parameters.length);
    int used = positional.size();
    for (int i = 0; i < parameters.length; i++) {
      Object byName = named.isEmpty() ? null : named.get(parameters[i]);
      if (byName != null) {
        used++;
        if (i < positional.size()) {
          throw TemplateException.runtime(function + " got argument '" + parameters[i] + "' twice");
        }
      }
      values.add(i < positional.size() ? positional.get(i) : byName);
    }
    if (used < positional.size() + named.size()) {
      throw TemplateException.runtime(function + " got an unexpected keyword argument");
    }
    return new Bound(function, parameters, values);
  }

  /** Arguments by parameter. */
  record Bound(String function, String[] parameters, List<@Nullable Object> values) {
    boolean has(int index) {
      return values.get(index) != null;
    }

    Object required(int index) {
      Object value = values.get(index);
      if (value == null) {
        throw TemplateException.runtime(
            function + " is missing its argument '" + parameters[index] + "'");
      }
      return value;
    }

    Object or(int index, Object fallback) {
      Object value = values.get(index);
      return value == null ? fallback : value;
    }

    boolean flag(int index, boolean fallback) {
      Object value = values.get(index);
      return value == null ? fallback : Types.truth(value);
    }

    /** A string argument; anything else is an error. */
    String text(int index) {
      return text(required(index), index);
    }

    String text(int index, String fallback) {
      Object value = values.get(index);
      return value == null ? fallback : text(value, index);
    }

    /** A whole number that fits an int, saturated: larger bounds act like infinity. */
    int integer(int index, int fallback) {
      Object value = values.get(index);
      if (value == null || value == None.NONE) {
        return fallback;
      }
      return Operators.index(value, function + " argument '" + parameters[index] + "'");
    }

    private String text(Object value, int index) {
      String text = Types.textOrNull(value);
      if (text == null) {
        throw value instanceof Undefined undefined
            ? undefined.failure()
            : TemplateException.runtime(
                function
                    + " argument '"
                    + parameters[index]
                    + "' must be str, not "
                    + Types.name(value));
      }
      return text;
    }
  }
}
