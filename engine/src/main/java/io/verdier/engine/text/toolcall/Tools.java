package io.verdier.engine.text.toolcall;

import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The functions that a request declares. Immutable. A model that writes JSON as an answer must not
 * be taken for one that calls, so only declared names make a call.
 */
public final class Tools {
  private final Map<String, Map<?, ?>> properties; // by function: parameter to schema

  private Tools(Map<String, Map<?, ?>> properties) {
    this.properties = properties;
  }

  /**
   * @param declared tools as the API has them, {@code {"type": "function", "function": {…}}}, as
   *     decoded JSON; what is not of that form declares nothing
   */
  public static Tools of(List<?> declared) {
    Map<String, Map<?, ?>> properties = new HashMap<>();
    for (Object tool : declared) {
      if (tool instanceof Map<?, ?> map
          && map.get("function") instanceof Map<?, ?> function
          && function.get("name") instanceof String name) {
        Object parameters = function.get("parameters");
        Object known = parameters instanceof Map<?, ?> schema ? schema.get("properties") : null;
        properties.put(name, known instanceof Map<?, ?> schemas ? schemas : Map.of());
      }
    }
    return new Tools(properties);
  }

  /** The function, where there is one and no other. */
  Optional<String> only() {
    return properties.size() == 1
        ? Optional.of(properties.keySet().iterator().next())
        : Optional.empty();
  }

  boolean declares(String name) {
    return properties.containsKey(name);
  }

  /**
   * Whether a value that is written without quotes is a string all the same: its schema allows
   * strings only, or there is none.
   */
  boolean isString(String function, String parameter) {
    Map<?, ?> schemas = properties.getOrDefault(function, Map.of());
    Set<String> types = new HashSet<>();
    addTypes(schemas.get(parameter), types);
    return types.isEmpty() || types.equals(Set.of("string"));
  }

  private static void addTypes(@Nullable Object schema, Set<String> types) {
    if (!(schema instanceof Map<?, ?> map)) {
      return;
    }
    switch (map.get("type")) {
      case String one -> types.add(one);
      case Collection<?> several -> several.forEach(type -> types.add(String.valueOf(type)));
      case null, default -> {
        // said by the alternatives, or not at all
      }
    }
    for (String alternatives : List.of("anyOf", "oneOf")) {
      if (map.get(alternatives) instanceof Collection<?> schemas) {
        schemas.forEach(one -> addTypes(one, types));
      }
    }
  }
}
