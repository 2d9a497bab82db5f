package io.verdier.engine.model;

import io.verdier.engine.weights.JsonFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Reads checked values from one JSON object of a model's directory. Immutable. Every number has a
 * range, so that no later product of two of them can overflow and no allocation can be asked for by
 * a damaged file.
 */
public final class ConfigReader {
  private static final long FILE_BYTES_MAX = 16L << 20;

  private final String origin;
  private final Map<String, @Nullable Object> values;

  private ConfigReader(String origin, Map<String, @Nullable Object> values) {
    this.origin = origin;
    this.values = values;
  }

  /** Reads a file that must be there. */
  public static ConfigReader read(Path file) {
    String name = String.valueOf(file.getFileName());
    try {
      return new ConfigReader(name, JsonFile.object(bytes(file)));
    } catch (IOException e) {
      throw new ModelException(name + ": not a valid JSON object (" + JsonFile.reason(e) + ").", e);
    }
  }

  /** Reads a file that must be there, and must hold a list of objects. */
  static List<ConfigReader> readList(Path file) {
    String name = String.valueOf(file.getFileName());
    try {
      List<ConfigReader> readers = new ArrayList<>();
      for (Object item : JsonFile.array(bytes(file))) {
        if (!(item instanceof Map<?, ?> map)) {
          throw new ModelException(name + ": it must hold a list of objects.");
        }
        readers.add(new ConfigReader(name, copy(map)));
      }
      return List.copyOf(readers);
    } catch (IOException e) {
      throw new ModelException(name + ": not a valid JSON array (" + JsonFile.reason(e) + ").", e);
    }
  }

  private static byte[] bytes(Path file) throws IOException {
    String name = String.valueOf(file.getFileName());
    if (!Files.isRegularFile(file)) {
      throw new ModelException("the model's directory has no " + name + ".");
    }
    long size = Files.size(file);
    if (size > FILE_BYTES_MAX) {
      throw new ModelException(name + ": " + size + " bytes; at most " + FILE_BYTES_MAX + ".");
    }
    return Files.readAllBytes(file);
  }

  static Map<String, @Nullable Object> copy(Map<?, ?> map) {
    Map<String, @Nullable Object> copy = new LinkedHashMap<>();
    map.forEach((name, inner) -> copy.put(String.valueOf(name), inner));
    return copy;
  }

  /**
   * The same with changes.
   *
   * @param json as {@link ConfigOverrides} merges it
   */
  ConfigReader changed(String json) {
    return new ConfigReader(origin, ConfigOverrides.applied(values, json));
  }

  /** Values that come from elsewhere than a file. */
  static ConfigReader of(String origin, Map<String, Double> values) {
    return new ConfigReader(origin, new LinkedHashMap<>(values));
  }

  /** Whether the key is there and not null. */
  public boolean has(String key) {
    return values.get(key) != null;
  }

  /** Whether the key is there, if only with null. */
  public boolean mentions(String key) {
    return values.containsKey(key);
  }

  /** A nested object; empty when the key is absent or null. */
  public Optional<ConfigReader> object(String key) {
    Object value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    if (!(value instanceof Map<?, ?> map)) {
      throw wrong(key, "an object");
    }
    return Optional.of(new ConfigReader(origin + ": " + key, copy(map)));
  }

  /** An object like this one, with the keys of another where this one lacks them. */
  ConfigReader orElse(ConfigReader other) {
    Map<String, @Nullable Object> merged = new LinkedHashMap<>(other.values);
    merged.putAll(values);
    return new ConfigReader(origin, merged);
  }

  public int integer(String key, int min, int max) {
    if (!has(key)) {
      throw new ModelException(origin + ": " + key + " is missing.");
    }
    return whole(key, values.get(key), min, max);
  }

  public int integer(String key, int min, int max, int absent) {
    return has(key) ? integer(key, min, max) : absent;
  }

  public double decimal(String key, double min, double max, double absent) {
    Object value = values.get(key);
    if (value == null) {
      return absent;
    }
    double number = value instanceof Number n ? n.doubleValue() : Double.NaN;
    if (!(number >= min && number <= max)) {
      throw wrong(key, "a number from " + min + " to " + max);
    }
    return number;
  }

  public boolean flag(String key, boolean absent) {
    Object value = values.get(key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof Boolean flag)) {
      throw wrong(key, "true or false");
    }
    return flag;
  }

  public String text(String key, String absent) {
    Object value = values.get(key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof String text)) {
      throw wrong(key, "a string");
    }
    return text;
  }

  /** The strings of an array; none when absent. */
  public String[] texts(String key) {
    Object value = values.get(key);
    if (value == null) {
      return new String[0];
    }
    if (!(value instanceof List<?> list) || !list.stream().allMatch(String.class::isInstance)) {
      throw wrong(key, "an array of strings");
    }
    return list.toArray(String[]::new);
  }

  /** A number, or the numbers of an array; none when absent. */
  public int[] integers(String key, int min, int max) {
    Object value = values.get(key);
    if (value == null) {
      return new int[0];
    }
    List<?> list = value instanceof List<?> several ? several : List.of(value);
    return list.stream().mapToInt(item -> whole(key, item, min, max)).toArray();
  }

  private int whole(String key, @Nullable Object value, int min, int max) {
    double number = value instanceof Number n ? n.doubleValue() : Double.NaN;
    if (!(number % 1 == 0 && number >= min && number <= max)) {
      throw wrong(key, "a whole number from " + min + " to " + max);
    }
    return (int) number;
  }

  /** Refuses a value, and says by which rule. */
  public ModelException wrong(String key, String rule) {
    Object value = values.get(key);
    String text = value == null ? "missing" : value.toString();
    String shown = text.length() > 100 ? text.substring(0, 100) + "..." : text;
    return new ModelException(origin + ": " + key + " is " + shown + "; it must be " + rule + ".");
  }

  /** Refuses a string outside a list. */
  ModelException unknown(String key, Object[] known) {
    String names = Arrays.stream(known).map(Object::toString).collect(Collectors.joining(", "));
    return wrong(key, "one of " + names);
  }
}
