package io.verdier.engine.weights;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
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
 *
 * <p>Shards that are there are all opened at once, so that whatever is wrong with one of them is
 * known before the first weight is read. Where some are still on their way, each is opened when its
 * first tensor is asked for: the layers of those that have come are packed meanwhile. Names are
 * known from the index in any case.
 */
public final class WeightMap implements Weights {
  public static final String SINGLE_FILE = "model.safetensors";
  public static final String INDEX_FILE = "model.safetensors.index.json";
  private static final long INDEX_BYTES_MAX = 100L << 20;

  private final CheckpointFiles files;
  private final Arena arena = Arena.ofShared();
  private final Map<String, SafetensorsFile> opened = new LinkedHashMap<>(); // by file name
  private final Map<String, String> places; // tensors' names to file names
  private final Set<String> used = new HashSet<>();
  private @Nullable DummyWeights shapes;

  private WeightMap(CheckpointFiles files) {
    this.files = files;
    try {
      places = places();
      if (!files.areComing()) {
        openAll();
      }
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
    return open(CheckpointFiles.in(directory));
  }

  /**
   * The same of files that may be on their way.
   *
   * @throws WeightsException as {@link #open(Path)}; of files that are not there yet it is thrown
   *     by whoever needs them, as is what {@link Arrivals} throw
   */
  public static WeightMap open(CheckpointFiles files) {
    return new WeightMap(files);
  }

  /** Whether there is a checkpoint in a directory, usable or not. */
  public static boolean isIn(Path directory) {
    return Files.isRegularFile(directory.resolve(SINGLE_FILE))
        || Files.isRegularFile(directory.resolve(INDEX_FILE));
  }

  /** The type that most of the weights have, in bytes; float32 if there are no weights. */
  public DType mainType() {
    Map<DType, Long> bytes = new EnumMap<>(DType.class);
    for (String name : places.keySet()) {
      StoredTensor tensor = stored(name);
      if (tensor.dtype().isWeight()) {
        bytes.merge(tensor.dtype(), tensor.data().byteSize(), Long::sum);
      }
    }
    return bytes.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElse(DType.F32);
  }

  /**
   * Bytes of all tensors as they are stored; while some are on their way, of the files. Other files
   * in the directory do not count.
   */
  public long bytes() {
    return files.areComing()
        ? files.weightBytes()
        : places.keySet().stream().mapToLong(name -> stored(name).data().byteSize()).sum();
  }

  /**
   * Itself: what is mapped and not read costs nothing. Nobody waits for what is on its way: then
   * matrices are supposed to be of the largest type.
   */
  @Override
  public Weights shapes() {
    if (!files.areComing()) {
      return this;
    }
    DummyWeights known = shapes;
    if (known == null) {
      known = new DummyWeights(DType.F32);
      shapes = known;
    }
    return known.shapes();
  }

  @Override
  public boolean contains(String name) {
    return places.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    if (!places.containsKey(name)) {
      throw new WeightsException("the checkpoint has no tensor " + name + ".");
    }
    used.add(name);
    return stored(name).requireShape(shape);
  }

  @Override
  public Set<String> unused() {
    Set<String> rest = new TreeSet<>(places.keySet());
    rest.removeAll(used);
    return rest;
  }

  @Override
  public Optional<Checkpoint> checkpoint() {
    openAll();
    try {
      List<Checkpoint.StoredFile> stored = new ArrayList<>();
      for (SafetensorsFile file : opened.values()) {
        stored.add(file.identity());
      }
      stored.sort(Comparator.comparing(Checkpoint.StoredFile::path));
      return Optional.of(new Checkpoint(stored));
    } catch (IOException e) {
      throw new WeightsException("the checkpoint's files changed while they were read.", e);
    }
  }

  /** Whether some of it may not be there yet. */
  public boolean isComing() {
    return files.areComing();
  }

  /** Unmaps the files; the tensors must not be used afterwards. */
  @Override
  public void close() {
    if (shapes != null) {
      shapes.close();
    }
    arena.close();
  }

  private Map<String, String> places() {
    Path index = files.directory().resolve(INDEX_FILE);
    boolean isSingle = Files.isRegularFile(files.directory().resolve(SINGLE_FILE));
    return !isSingle && Files.isRegularFile(index) ? ofShards(index) : ofOneFile();
  }

  /** The names are in the file itself, so it is opened at once. */
  private Map<String, String> ofOneFile() {
    Path path = files.await(SINGLE_FILE);
    if (!Files.isRegularFile(path)) {
      throw new WeightsException(
          "the model's directory has neither " + SINGLE_FILE + " nor " + INDEX_FILE + ".");
    }
    SafetensorsFile file = SafetensorsFile.open(path, arena);
    opened.put(SINGLE_FILE, file);
    Map<String, String> names = new LinkedHashMap<>();
    file.tensors().keySet().forEach(name -> names.put(name, SINGLE_FILE));
    return names;
  }

  private static Map<String, String> ofShards(Path index) {
    Map<?, ?> stored = weightMap(index);
    Map<String, String> names = LinkedHashMap.newLinkedHashMap(stored.size());
    for (Map.Entry<?, ?> place : stored.entrySet()) {
      String name = String.valueOf(place.getKey());
      names.put(name, shardName(name, place.getValue()));
    }
    return names;
  }

  private void openAll() {
    places.values().stream().distinct().forEach(this::shard);
  }

  private StoredTensor stored(String name) {
    String shard = String.valueOf(places.get(name));
    StoredTensor tensor = shard(shard).tensors().get(name);
    if (tensor == null) {
      throw misplaced(name, shard);
    }
    return tensor;
  }

  private static WeightsException misplaced(String name, String shard) {
    return new WeightsException(
        INDEX_FILE + ": tensor " + name + " should be in " + shard + " but is not.");
  }

  /** A file, once it is there; it must have all that the index looks for in it. */
  private SafetensorsFile shard(String name) {
    SafetensorsFile known = opened.get(name);
    if (known != null) {
      return known;
    }
    SafetensorsFile file = SafetensorsFile.open(files.await(name), arena);
    for (Map.Entry<String, String> place : places.entrySet()) {
      if (place.getValue().equals(name) && !file.tensors().containsKey(place.getKey())) {
        throw misplaced(place.getKey(), name);
      }
    }
    opened.put(name, file);
    return file;
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
