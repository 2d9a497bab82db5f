package io.verdier.engine.model;

import io.verdier.engine.weights.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What {@code --hf-overrides} makes of {@code config.json}. Stateless.
 *
 * <p>An object in both is merged, at any depth; any other value takes the place of the file's. So
 * does vLLM, but for rotary positions, whose names have changed and which it sets as they are
 * given: there a change of {@code rope_scaling} does nothing to a file with {@code
 * rope_parameters}, and one of {@code rope_parameters} loses the file's {@code rope_theta}. Here
 * both names mean the same. What names a {@code rope_type} takes the place of all of the file's but
 * the base, anything less is merged.
 */
final class ConfigOverrides {
  private static final String FLAG = "--hf-overrides";
  private static final String TEXT = "text_config";
  private static final String PARAMETERS = "rope_parameters";
  private static final String SCALING = "rope_scaling";
  private static final String THETA = "rope_theta";

  /** Keys that a larger model has beside those of its text model. */
  private static final Set<String> OF_BOTH =
      Set.of("architectures", "model_type", "torch_dtype", "dtype");

  private ConfigOverrides() {}

  /**
   * The file's values with the changes.
   *
   * @param json an object
   * @throws ModelException if a change would do nothing
   */
  static Map<String, @Nullable Object> applied(Map<String, @Nullable Object> file, String json) {
    try {
      Map<String, @Nullable Object> changes =
          JsonFile.object(json.getBytes(StandardCharsets.UTF_8));
      return merged(
          file, file.get(TEXT) instanceof Map<?, ?> text ? inner(changes, text) : changes);
    } catch (IOException e) {
      throw new ModelException(FLAG + ": not a JSON object (" + JsonFile.reason(e) + ").", e);
    }
  }

  /** Rotary positions of a larger model are those of its text model. */
  private static Map<String, @Nullable Object> inner(
      Map<String, @Nullable Object> changes, Map<?, ?> text) {
    Map<String, @Nullable Object> outer = new LinkedHashMap<>(changes);
    Map<String, @Nullable Object> moved = new LinkedHashMap<>();
    for (String key : changes.keySet()) {
      if (Set.of(PARAMETERS, SCALING, THETA).contains(key)) {
        moved.put(key, outer.remove(key));
      } else if (text.containsKey(key) && !OF_BOTH.contains(key)) {
        throw new ModelException(
            "%s: %s of this model is in its text_config; write {\"text_config\": {\"%s\": ...}}."
                .formatted(FLAG, key, key));
      }
    }
    if (outer.get(TEXT) instanceof Map<?, ?> given) {
      moved.putAll(ConfigReader.copy(given));
    }
    if (!moved.isEmpty()) {
      outer.put(TEXT, moved);
    }
    return outer;
  }

  private static Map<String, @Nullable Object> merged(
      Map<String, @Nullable Object> file, Map<String, @Nullable Object> changes) {
    Map<String, @Nullable Object> result = new LinkedHashMap<>(file);
    changes.forEach(
        (key, change) ->
            result.put(
                key,
                change instanceof Map<?, ?> to && file.get(key) instanceof Map<?, ?> from
                    ? merged(ConfigReader.copy(from), ConfigReader.copy(to))
                    : change));
    if (changes.containsKey(PARAMETERS) || changes.containsKey(SCALING)) {
      Object change = changes.get(changes.containsKey(PARAMETERS) ? PARAMETERS : SCALING);
      result.remove(SCALING);
      result.put(PARAMETERS, rope(rope(file), change));
    }
    if (changes.containsKey(THETA)
        && result.get(PARAMETERS) instanceof Map<?, ?> rope
        && !(changes.get(PARAMETERS) instanceof Map<?, ?> given && given.containsKey(THETA))) {
      Map<String, @Nullable Object> without = ConfigReader.copy(rope);
      without.remove(THETA); // else it would win over the one beside it
      result.put(PARAMETERS, without);
    }
    return result;
  }

  private static Map<String, @Nullable Object> rope(Map<String, @Nullable Object> file) {
    for (String name : new String[] {PARAMETERS, SCALING}) {
      if (file.get(name) instanceof Map<?, ?> rope) {
        return ConfigReader.copy(rope);
      }
    }
    return new LinkedHashMap<>();
  }

  /** Null turns scaling off; the reader refuses what is no object. */
  private static @Nullable Object rope(Map<String, @Nullable Object> old, @Nullable Object change) {
    if (change != null && !(change instanceof Map<?, ?>)) {
      return change;
    }
    Map<String, @Nullable Object> given =
        change instanceof Map<?, ?> map ? ConfigReader.copy(map) : new LinkedHashMap<>();
    boolean isWhole = change == null || given.containsKey("rope_type") || given.containsKey("type");
    Map<String, @Nullable Object> result = new LinkedHashMap<>();
    if (!isWhole) {
      result.putAll(old);
    } else if (old.containsKey(THETA)) {
      result.put(THETA, old.get(THETA));
    }
    result.putAll(given);
    return result;
  }
}
