package io.verdier.engine.weights;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * All tensors of a checkpoint by name, from one file or from shards. Owned by the thread that loads
 * the model. Remembers which names were asked for, so that a loader can notice weights that the
 * model's formulas never use: such a model would run, and be wrong.
 */
public final class WeightMap implements Weights {
  public static final String SINGLE_FILE = "model.safetensors";
  public static final String INDEX_FILE = "model.safetensors.index.json";
  private static final long INDEX_BYTES_MAX = 100L << 20;

  private final Arena arena = Arena.ofShared();
  private final List<SafetensorsFile> files = new ArrayList<>();
  private final Map<String, StoredTensor> tensors;
  private final Set<String> used = new HashSet<>();

  private WeightMap(Path directory) {
    try {
      tensors = read(directory);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  /**
   * Opens the checkpoint in a directory: {@value #SINGLE_FILE}, or the shards that {@value
   * #INDEX_FILE} names.
   *
   * @throws WeightsException if there is none, or one of its files breaks the format
   */
  public static WeightMap open(Path directory) {
    return new WeightMap(directory);
  }

  /** Whether there is a checkpoint in a directory, usable or not. */
  public static boolean isIn(Path directory) {
    return Files.isRegularFile(directory.resolve(SINGLE_FILE))
        || Files.isRegularFile(directory.resolve(INDEX_FILE));
  }

  /** The type that most of the weights have, in bytes; float32 if there are no weights. */
  public DType mainType() {
    Map<DType, Long> bytes = new EnumMap<>(DType.class);
    for (StoredTensor tensor : tensors.values()) {
      if (tensor.dtype().isWeight()) {
        bytes.merge(tensor.dtype(), tensor.data().byteSize(), Long::sum);
      }
    }
    return bytes.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElse(DType.F32);
  }

  /** Bytes of all tensors as they are stored. Other files in the directory do not count. */
  public long bytes() {
    return tensors.values().stream().mapToLong(tensor -> tensor.data().byteSize()).sum();
  }

  /** Itself: what is mapped and not read costs nothing. */
  @Override
  public WeightMap shapes() {
    return this;
  }

  @Override
  public boolean contains(String name) {
    return tensors.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new WeightsException("the checkpoint has no tensor " + name + ".");
    }
    used.add(name);
    return tensor.requireShape(shape);
  }

  @Override
  public Set<String> unused() {
    Set<String> rest = new TreeSet<>(tensors.keySet());
    rest.removeAll(used);
    return rest;
  }

  @Override
  public Optional<Checkpoint> checkpoint() {
    try {
      List<Checkpoint.StoredFile> stored = new ArrayList<>();
      for (SafetensorsFile file : files) {
        stored.add(file.identity());
      }
      stored.sort(Comparator.comparing(Checkpoint.StoredFile::path));
      return Optional.of(new Checkpoint(stored));
    } catch (IOException e) {
      throw new WeightsException("the checkpoint's files changed while they were read.", e);
    }
  }

  /** Unmaps the files; the tensors must not be used afterwards. */
  @Override
  public void close() {
    arena.close();
  }

  private Map<String, StoredTensor> read(Path directory) {
    Path single = directory.resolve(SINGLE_FILE);
    if (Files.isRegularFile(single)) {
      return file(single).tensors();
    }
    Path index = directory.resolve(INDEX_FILE);
    if (Files.isRegularFile(index)) {
      return readShards(directory, index);
    }
    throw new WeightsException(
        "the model's directory has neither " + SINGLE_FILE + " nor " + INDEX_FILE + ".");
  }

  private SafetensorsFile file(Path path) {
    SafetensorsFile file = SafetensorsFile.open(path, arena);
    files.add(file);
    return file;
  }

  private Map<String, StoredTensor> readShards(Path directory, Path index) {
    Map<?, ?> places = weightMap(index);
    Map<String, SafetensorsFile> shards = new HashMap<>();
    Map<String, StoredTensor> tensors = LinkedHashMap.newLinkedHashMap(places.size());
    for (Map.Entry<?, ?> place : places.entrySet()) {
      String name = String.valueOf(place.getKey());
      String shardName = shardName(name, place.getValue());
      SafetensorsFile shard = shards.get(shardName);
      if (shard == null) {
        shard = file(directory.resolve(shardName));
        shards.put(shardName, shard);
      }
      StoredTensor tensor = shard.tensors().get(name);
      if (tensor == null) {
        throw new WeightsException(
            INDEX_FILE + ": tensor " + name + " should be in " + shardName + " but is not.");
      }
      tensors.put(name, tensor);
    }
    return tensors;
  }

  private static Map<?, ?> weightMap(Path index) {
    Map<String, @Nullable Object> root;
    try {
      long size = Files.size(index);
      if (size > INDEX_BYTES_MAX) {
        throw new WeightsException(
            INDEX_FILE + ": " + size + " bytes; at most " + INDEX_BYTES_MAX + " are read.");
      }
      root = JsonFile.object(Files.readAllBytes(index));
    } catch (IOException e) {
      throw new WeightsException(
          INDEX_FILE + ": not a valid JSON object (" + JsonFile.reason(e) + ").", e);
    }
    if (root.get("weight_map") instanceof Map<?, ?> places && !places.isEmpty()) {
      return places;
    }
    throw new WeightsException(
        INDEX_FILE + ": needs an object weight_map from tensor names to file names.");
  }

  /** A shard is a plain file name beside the index: a path could point anywhere. */
  private static String shardName(String tensor, @Nullable Object value) {
    String name = value instanceof String text ? text : "";
    boolean plain = name.matches("[A-Za-z0-9._-]{1,200}") && !name.startsWith(".");
    if (!plain || !name.endsWith(".safetensors")) {
      throw new WeightsException(
          INDEX_FILE
              + ": tensor "
              + tensor
              + " lies in "
              + value
              + "; a shard must be a plain file name that ends in .safetensors.");
    }
    return name;
  }
}
