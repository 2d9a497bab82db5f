package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.Rehearsal;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.WeightMap;
import io.verdier.engine.weights.Weights;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * From a directory in Hugging Face's layout to a model that runs. Stateless; call it on the thread
 * that may take its time.
 *
 * <p>Everything that can be refused from numbers is refused before the first weight is read.
 */
public final class ModelLoader {
  private static final Logger LOG = LoggerFactory.getLogger(ModelLoader.class);

  public static final String CONFIG_FILE = "config.json";

  private ModelLoader() {}

  /**
   * What can be known of a model without its weights. Immutable.
   *
   * @param weightType asked for, or the checkpoint's: how a CPU computes; type of made-up weights
   */
  public record Description(
      ModelSpec spec, GenerationDefaults generation, int lengthMax, DType weightType) {}

  /**
   * Reads the small files and, at most, headers of the large ones: enough to tokenize, to plan, or
   * to run without a backend.
   *
   * @throws ModelException if the model cannot be served, or not with {@code --max-model-len}
   */
  public static Description describe(Path directory, ServerConfig config) {
    ConfigReader reader = ConfigReader.read(directory.resolve(CONFIG_FILE));
    ModelSpec spec = ModelFamily.read(reader);
    GenerationDefaults generation =
        GenerationDefaults.read(directory, reader, spec.vocabSize(), config.model());
    return new Description(
        spec,
        generation,
        lengthMax(spec, config.model()),
        weightType(directory, reader, config.model()));
  }

  private static DType weightType(Path directory, ConfigReader reader, ServerConfig.Model asked) {
    return switch (asked.dtype()) {
      case BFLOAT16 -> DType.BF16;
      case FLOAT16 -> DType.F16;
      case FLOAT32 -> DType.F32;
      case AUTO ->
          switch (reader.text("torch_dtype", reader.text("dtype", ""))) { // of old and new
            case "bfloat16" -> DType.BF16;
            case "float16" -> DType.F16;
            case "" -> storedType(directory, asked);
            default -> DType.F32;
          };
    };
  }

  /** Where the configuration says nothing, the checkpoint does; else it is Hugging Face's rule. */
  private static DType storedType(Path directory, ServerConfig.Model asked) {
    if (asked.loadFormat() == LoadFormat.DUMMY || !WeightMap.isIn(directory)) {
      return DType.F32;
    }
    try (WeightMap stored = WeightMap.open(directory)) {
      return stored.mainType();
    }
  }

  /**
   * Loads a model onto a backend. The backend belongs to the result, and is closed when loading
   * fails.
   *
   * @throws ModelException as {@link #describe}, or if the KV cache is too small
   * @throws io.verdier.engine.weights.WeightsException if the checkpoint is unusable
   */
  public static LoadedModel load(
      Path directory, ServerConfig config, Backend backend, LoadProgress progress) {
    try {
      Description description = describe(directory, config);
      try (Weights stored = weights(directory, config, description)) {
        return load(config, backend, description, stored, progress);
      }
    } catch (RuntimeException | Error e) {
      backend.close();
      throw e;
    }
  }

  /**
   * Plans the KV cache of a model that is not loaded.
   *
   * @param tokenBytes that a token takes over all layers
   * @param bytesMax memory that there is for it
   */
  public static KvPlan kvPlan(
      Description description, ServerConfig config, long tokenBytes, long bytesMax) {
    return KvPlan.of(config, description.lengthMax(), tokenBytes, bytesMax);
  }

  private static LoadedModel load(
      ServerConfig config,
      Backend backend,
      Description description,
      Weights stored,
      LoadProgress progress) {
    ModelSpec spec = description.spec();
    Optional<MemoryPlan> memoryPlan =
        backend.memory().map(device -> memoryPlan(device, backend, config, description, stored));
    KvPlan plan =
        memoryPlan
            .map(MemoryPlan::cache)
            .orElseGet(() -> hostPlan(config, backend, description, stored));
    KvStorage cache = cache(spec, backend, plan);
    DecoderWeights weights =
        backend.takeOver(
            packedPlace(config, stored),
            () -> DecoderWeights.load(spec, stored, backend, progress));
    int tokensMax = config.scheduling().batchedTokensMax();
    Transformer transformer = new Transformer(spec, weights, backend, tokensMax);
    return new LoadedModel(
        spec,
        description.generation(),
        description.lengthMax(),
        plan,
        memoryPlan,
        backend,
        transformer,
        cache);
  }

  /** Shares out the memory of a device that has its own. */
  private static MemoryPlan memoryPlan(
      DeviceMemory device,
      Backend backend,
      ServerConfig config,
      Description description,
      Weights stored) {
    MemoryPlan plan =
        new MemoryPlanner(
                config,
                device,
                description.lengthMax(),
                tokenBytes(backend, description.spec()),
                (sizes, cache) -> rehearsed(device, description, sizes, stored, cache))
            .plan();
    plan.text().lines().forEach(LOG::info);
    return plan;
  }

  private static ModelNeeds rehearsed(
      DeviceMemory device,
      Description description,
      ModelNeeds.Sizes sizes,
      Weights stored,
      KvPlan cache) {
    try (Rehearsal stage = device.rehearsals().get()) {
      return ModelNeeds.rehearsed(description, sizes, stored.shapes(), cache, stage);
    }
  }

  /** The host's memory is taken page by page, as it is used: a share of it is planned with. */
  private static KvPlan hostPlan(
      ServerConfig config, Backend backend, Description description, Weights stored) {
    long weightBytes =
        switch (stored) {
          case WeightMap checkpoint -> checkpoint.bytes();
          case DummyWeights made ->
              description.spec().parameters() * description.weightType().bytes();
        };
    KvPlan plan =
        kvPlan(
            description,
            config,
            tokenBytes(backend, description.spec()),
            backend.kvBytesMax(weightBytes));
    LOG.info(
        "Memory plan: weights {} MiB as stored, KV cache {} MiB ({} blocks of {} tokens)",
        weightBytes >> 20,
        plan.bytes() >> 20,
        plan.blocks(),
        plan.blockTokens());
    return plan;
  }

  private static long tokenBytes(Backend backend, ModelSpec spec) {
    return backend.kvTokenBytes(spec.layers(), spec.kvHeads(), spec.headDim());
  }

  private static Weights weights(Path directory, ServerConfig config, Description description) {
    return switch (config.model().loadFormat()) {
      case AUTO -> WeightMap.open(directory);
      case DUMMY -> new DummyWeights(description.weightType());
    };
  }

  private static Optional<PackedPlace> packedPlace(ServerConfig config, Weights stored) {
    return switch (config.cache().packedWeights()) {
      case AUTO ->
          stored
              .checkpoint()
              .map(it -> new PackedPlace(config.cache().directory().resolve("packed"), it));
      case OFF -> Optional.empty();
    };
  }

  /** Blocks as planned. */
  static KvStorage cache(ModelSpec spec, Backend backend, KvPlan plan) {
    try {
      return backend.kvStorage(
          new KvShape(
              spec.layers(),
              spec.kvHeads(),
              spec.heads(),
              spec.headDim(),
              plan.blockTokens(),
              plan.blocks()));
    } catch (IllegalArgumentException e) {
      throw new ModelException("--block-size: " + e.getMessage(), e);
    }
  }

  private static int lengthMax(ModelSpec spec, ServerConfig.Model model) {
    int derived = spec.lengthMax();
    int asked = model.maxModelLen().orElse(derived);
    if (asked > derived) {
      throw new ModelException(
          "User-specified max_model_len ("
              + asked
              + ") is greater than the derived max_model_len (max_position_embeddings="
              + derived
              + " in config.json). Lower --max-model-len to "
              + derived
              + " or less.");
    }
    return asked;
  }
}
