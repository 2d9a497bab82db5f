package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: the parameters behind a path, held to the table of fields as bodies are. Of those that
 * come several times the first one counts, unless all are asked for.
 */
record Query(Body body, Map<String, List<Object>> values) {
  private static final Pattern WHOLE = Pattern.compile("-?[0-9]{1,18}");

  /**
   * @throws RejectedException if a parameter has no value that it takes
   */
  static Query read(Exchange exchange, Body body) {
    Map<String, List<Object>> values = new LinkedHashMap<>();
    for (Map.Entry<String, String> parameter : parameters(exchange)) {
      String name = parameter.getKey();
      ApiField field = ApiTable.field(body, name);
      if (field == null) {
        exchange.ignored(name, false);
        continue;
      }
      Object value = decoded(field, parameter.getValue());
      if (!field.type().fits(value)) {
        throw Fields.wrongAt(name, value, field.type().text());
      }
      if (field.status().hasEffect()) {
        values.computeIfAbsent(name, it -> new ArrayList<>()).add(value);
      } else {
        exchange.ignored(name, true);
      }
    }
    return new Query(body, values);
  }

  private static List<Map.Entry<String, String>> parameters(Exchange exchange) {
    try {
      return exchange.request().params().entries();
    } catch (IllegalArgumentException malformed) { // as %zz
      throw RejectedException.invalid("query", "The query of the URL is malformed.");
    }
  }

  private static Object decoded(ApiField field, String value) {
    return switch (field.type().shapes().getFirst().kind()) {
      case BOOL ->
          switch (value.toLowerCase(Locale.ROOT)) {
            case "true", "1" -> true;
            case "false", "0" -> false;
            default -> value;
          };
      case INT -> WHOLE.matcher(value).matches() ? Long.valueOf(value) : value;
      default -> value;
    };
  }

  boolean bool(String name) {
    return (Boolean) value(name);
  }

  int integer(String name) {
    return Math.toIntExact(((Number) value(name)).longValue());
  }

  /** The same where the table has no default. */
  int integer(String name, int absent) {
    row(name).checkOpen();
    return first(name) instanceof Long value ? Math.toIntExact(value) : absent;
  }

  String string(String name) {
    return (String) value(name);
  }

  /** The first one, else the table's. */
  private Object value(String name) {
    Object given = first(name);
    return given == null ? row(name).fallback() : given;
  }

  private ApiField row(String name) {
    return Objects.requireNonNull(ApiTable.field(body, name), name);
  }

  /** Every value of a parameter that may come several times. */
  List<String> all(String name) {
    return values.getOrDefault(name, List.of()).stream().map(String.class::cast).toList();
  }

  private @Nullable Object first(String name) {
    List<Object> given = values.get(name);
    return given == null ? null : given.getFirst();
  }
}
