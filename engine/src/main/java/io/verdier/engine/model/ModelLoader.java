package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.PackedPlace;
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
   * @param weightType of weights that are made up; a checkpoint's tensors say their own
   */
  public record Description(
      ModelSpec spec, GenerationDefaults generation, int lengthMax, DType weightType) {}

  /**
   * Reads the small files only: enough to tokenize, to plan, or to run without a backend.
   *
   * @throws ModelException if the model cannot be served, or not with {@code --max-model-len}
   */
  public static Description describe(Path directory, ServerConfig config) {
    ConfigReader reader = ConfigReader.read(directory.resolve(CONFIG_FILE));
    ModelSpec spec = ModelFamily.read(reader);
    GenerationDefaults generation =
        GenerationDefaults.read(directory, reader, spec.vocabSize(), config.model());
    return new Description(
        spec, generation, lengthMax(spec, config.model()), weightType(reader, config.model()));
  }

  private static DType weightType(ConfigReader reader, ServerConfig.Model asked) {
    String named = reader.text("torch_dtype", reader.text("dtype", "float32")); // of old and new
    return switch (asked.dtype()) {
      case BFLOAT16 -> DType.BF16;
      case FLOAT16 -> DType.F16;
      case FLOAT32 -> DType.F32;
      case AUTO ->
          switch (named) {
            case "bfloat16" -> DType.BF16;
            case "float16" -> DType.F16;
            default -> DType.F32; // what Hugging Face takes where nothing is said
          };
    };
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
      KvPlan plan = kvPlan(directory, config, backend, description);
      return load(directory, config, backend, description, plan, progress);
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

  private static KvPlan kvPlan(
      Path directory, ServerConfig config, Backend backend, Description description) {
    ModelSpec spec = description.spec();
    long tokenBytes = backend.kvTokenBytes(spec.layers(), spec.kvHeads(), spec.headDim());
    long bytesMax = backend.kvBytesMax(weightBytes(directory, config, description));
    return kvPlan(description, config, tokenBytes, bytesMax);
  }

  private static LoadedModel load(
      Path directory,
      ServerConfig config,
      Backend backend,
      Description description,
      KvPlan plan,
      LoadProgress progress) {
    ModelSpec spec = description.spec();
    LOG.info(
        "Memory plan: weights {} MiB as stored, KV cache {} MiB ({} blocks of {} tokens)",
        weightBytes(directory, config, description) >> 20,
        plan.bytes() >> 20,
        plan.blocks(),
        plan.blockTokens());
    KvStorage cache = cache(spec, backend, plan);
    DecoderWeights weights;
    try (Weights stored = weights(directory, config, description)) {
      weights =
          backend.takeOver(
              packedPlace(config, stored),
              () -> DecoderWeights.load(spec, stored, backend, progress));
    }
    int tokensMax = config.scheduling().batchedTokensMax();
    Transformer transformer = new Transformer(spec, weights, backend, tokensMax);
    return new LoadedModel(
        spec, description.generation(), description.lengthMax(), plan, backend, transformer, cache);
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

  /** What the weights will take, roughly: they come before the cache. */
  private static long weightBytes(Path directory, ServerConfig config, Description description) {
    return switch (config.model().loadFormat()) {
      case AUTO -> WeightMap.bytes(directory);
      case DUMMY -> description.spec().parameters() * description.weightType().bytes();
    };
  }

  private static KvStorage cache(ModelSpec spec, Backend backend, KvPlan plan) {
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
