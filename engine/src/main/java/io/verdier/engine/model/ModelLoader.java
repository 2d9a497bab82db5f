package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Rehearsal;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.WeightMap;
import io.verdier.engine.weights.Weights;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
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
   * @param embedding empty: it generates
   * @param weightType asked for, or the checkpoint's: how a CPU computes; type of made-up weights
   * @param adapters how much room for them was asked for; null: none
   */
  public record Description(
      ModelSpec spec,
      GenerationDefaults generation,
      Optional<EmbeddingSpec> embedding,
      int lengthMax,
      DType weightType,
      @Nullable LoraShape adapters) {}

  /**
   * Reads the small files and, at most, headers of the large ones: enough to tokenize, to plan, or
   * to run without a backend.
   *
   * @throws ModelException if the model cannot be served, or not with {@code --max-model-len}
   */
  public static Description describe(Path directory, ServerConfig config) {
    return describe(CheckpointFiles.in(directory), config);
  }

  /** The same of a model whose weights may be on their way; usually it needs none of them. */
  public static Description describe(CheckpointFiles files, ServerConfig config) {
    ConfigReader file = ConfigReader.read(files.directory().resolve(CONFIG_FILE));
    ConfigReader reader = config.model().configOverrides().map(file::changed).orElse(file);
    ModelSpec spec = ModelFamily.read(reader);
    GenerationDefaults generation =
        GenerationDefaults.read(files, reader, spec.vocabSize(), config.model());
    Optional<EmbeddingSpec> embedding = EmbeddingSpec.read(files, reader, spec, config.pooler());
    return new Description(
        embedding.isPresent() ? spec.withoutHead() : spec,
        generation,
        embedding,
        lengthMax(spec, config.model()),
        weightType(files, reader, config.model()),
        adapters(spec, config.adapters()));
  }

  private static @Nullable LoraShape adapters(ModelSpec spec, ServerConfig.Adapters asked) {
    return asked.enabled()
        ? AdaptedProducts.shape(Shard.of(spec, Rank.ALONE), asked.slots(), asked.rankMax())
        : null;
  }

  /** Takes the room for adapters that was asked for. */
  static @Nullable LoraSlots slots(Description description, Shard shard, Backend backend) {
    LoraShape whole = description.adapters();
    return whole == null
        ? null
        : backend.loraSlots(AdaptedProducts.shape(shard, whole.slots(), whole.rankMax()));
  }

  private static DType weightType(
      CheckpointFiles files, ConfigReader reader, ServerConfig.Model asked) {
    return switch (asked.dtype()) {
      case BFLOAT16 -> DType.BF16;
      case FLOAT16 -> DType.F16;
      case FLOAT32 -> DType.F32;
      case AUTO ->
          switch (reader.text("torch_dtype", reader.text("dtype", ""))) { // of old and new
            case "bfloat16" -> DType.BF16;
            case "float16" -> DType.F16;
            case "" -> storedType(files, asked);
            default -> DType.F32;
          };
    };
  }

  /** Where the configuration says nothing, the checkpoint does; else it is Hugging Face's rule. */
  private static DType storedType(CheckpointFiles files, ServerConfig.Model asked) {
    boolean areThere = files.areComing() || WeightMap.isIn(files.directory());
    if (asked.loadFormat() == LoadFormat.DUMMY || !areThere) {
      return DType.F32;
    }
    try (WeightMap stored = WeightMap.open(files)) {
      return stored.mainType();
    }
  }

  /**
   * Loads a model onto as many ranks as the configuration asks for. Their backends belong to the
   * result, and are closed when loading fails.
   *
   * @throws ModelException as {@link #describe}, if the KV cache is too small, or if so many ranks
   *     cannot share the model
   * @throws io.verdier.engine.weights.WeightsException if the checkpoint is unusable
   */
  public static LoadedModel load(
      Path directory, ServerConfig config, RankBackends backends, LoadProgress progress) {
    return load(CheckpointFiles.in(directory), config, backends, progress);
  }

  /**
   * The same of a model whose weights may be on their way: those that are there are read while the
   * others come.
   */
  public static LoadedModel load(
      CheckpointFiles files, ServerConfig config, RankBackends backends, LoadProgress progress) {
    return config.backend().ranks() == 1
        ? load(files, config, backends.open(Rank.ALONE), progress)
        : new RankLoader(files, config, progress).load(backends);
  }

  /**
   * Loads a model onto a single backend. The backend belongs to the result, and is closed when
   * loading fails.
   *
   * @throws ModelException as {@link #describe}, or if the KV cache is too small
   * @throws io.verdier.engine.weights.WeightsException if the checkpoint is unusable
   */
  public static LoadedModel load(
      Path directory, ServerConfig config, Backend backend, LoadProgress progress) {
    return load(CheckpointFiles.in(directory), config, backend, progress);
  }

  private static LoadedModel load(
      CheckpointFiles files, ServerConfig config, Backend backend, LoadProgress progress) {
    try {
      Description description = describe(files, config);
      try (Weights stored = weights(files, config, description)) {
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
    Shard shard = Shard.of(spec, Rank.ALONE);
    Optional<MemoryPlan> memoryPlan = memoryPlan(config, description, shard, backend, stored);
    memoryPlan.ifPresent(found -> found.text().lines().forEach(LOG::info));
    KvPlan plan =
        memoryPlan
            .map(MemoryPlan::cache)
            .orElseGet(() -> hostPlan(config, backend, description, stored));
    KvStorage cache = cache(spec, backend, plan);
    DecoderWeights weights = decoder(config, shard, backend, stored, progress);
    int tokensMax = config.scheduling().batchedTokensMax();
    LoraSlots adapters = slots(description, shard, backend);
    Transformer transformer =
        new Transformer(
            new RankPart(shard, weights, backend, Collectives.alone(), adapters), tokensMax);
    return new LoadedModel(
        spec,
        description.generation(),
        description.lengthMax(),
        plan,
        memoryPlan,
        backend,
        transformer,
        cache,
        adapters,
        null);
  }

  /**
   * Another engine's part: it computes with the first one's weights. The backend belongs to the
   * result, and is closed when this fails.
   *
   * @param first alone with its weights, on a backend that {@linkplain Backend#sharesWeights
   *     shares} them
   */
  static LoadedModel beside(
      LoadedModel first, Path directory, ServerConfig config, Backend backend) {
    try {
      Description description = describe(directory, config);
      Shard shard = Shard.of(first.spec(), Rank.ALONE);
      KvStorage cache = cache(first.spec(), backend, first.kvPlan());
      LoraSlots adapters = slots(description, shard, backend);
      RankPart part =
          new RankPart(
              shard, first.transformer().weights(), backend, Collectives.alone(), adapters);
      return new LoadedModel(
          first.spec(),
          first.generation(),
          first.lengthMax(),
          first.kvPlan(),
          Optional.empty(),
          backend,
          new Transformer(part, config.scheduling().batchedTokensMax()),
          cache,
          adapters,
          null);
    } catch (RuntimeException | Error e) {
      backend.close();
      throw e;
    }
  }

  /** Shares out the memory of a device that has its own; empty: the host's is taken. */
  static Optional<MemoryPlan> memoryPlan(
      ServerConfig config, Description description, Shard shard, Backend backend, Weights stored) {
    return backend
        .memory()
        .map(
            device ->
                new MemoryPlanner(
                        config,
                        device,
                        description,
                        tokenBytes(backend, shard.local()),
                        (sizes, cache) -> {
                          try (Rehearsal stage = device.rehearsals().get()) {
                            return ModelNeeds.rehearsed(
                                description, shard, sizes, stored.shapes(), cache, stage);
                          }
                        })
                    .plan());
  }

  /**
   * The host's memory is taken page by page, as it is used: a share of it is planned with, which
   * all engines of the process divide.
   */
  private static KvPlan hostPlan(
      ServerConfig config, Backend backend, Description description, Weights stored) {
    long weightBytes = weightBytes(description, stored);
    KvPlan plan =
        kvPlan(
            description,
            config,
            tokenBytes(backend, description.spec()),
            backend.kvBytesMax(weightBytes) / config.backend().engines());
    LOG.info(
        "Memory plan: weights {} MiB as stored, KV cache {} MiB ({} blocks of {} tokens)",
        weightBytes >> 20,
        plan.bytes() >> 20,
        plan.blocks(),
        plan.blockTokens());
    return plan;
  }

  /** What all weights take as they are stored. */
  static long weightBytes(Description description, Weights stored) {
    return switch (stored) {
      case WeightMap checkpoint -> checkpoint.bytes();
      case DummyWeights made -> description.spec().parameters() * description.weightType().bytes();
    };
  }

  static long tokenBytes(Backend backend, ModelSpec spec) {
    return backend.kvTokenBytes(spec.layers(), spec.kvHeads(), spec.headDim());
  }

  /** Reads a shard of the checkpoint; of the others not a byte. */
  static DecoderWeights decoder(
      ServerConfig config, Shard shard, Backend backend, Weights stored, LoadProgress progress) {
    return backend.takeOver(
        packedPlace(config, stored, shard),
        () -> DecoderWeights.load(shard, stored, backend, progress));
  }

  static Weights weights(CheckpointFiles files, ServerConfig config, Description description) {
    return switch (config.model().loadFormat()) {
      case AUTO -> WeightMap.open(files);
      case DUMMY -> new DummyWeights(description.weightType());
    };
  }

  /** Which checkpoint a model is loaded from; empty: its weights are made up. */
  public static Optional<Checkpoint> checkpoint(Path directory, ServerConfig config) {
    return checkpoint(CheckpointFiles.in(directory), config);
  }

  /** The same; waits for files that are on their way. */
  public static Optional<Checkpoint> checkpoint(CheckpointFiles files, ServerConfig config) {
    try (Weights stored = weights(files, config, describe(files, config))) {
      return stored.checkpoint();
    }
  }

  private static Optional<PackedPlace> packedPlace(
      ServerConfig config, Weights stored, Shard shard) {
    Path directory = config.cache().directory().resolve("packed");
    return switch (config.cache().packedWeights()) {
      case AUTO ->
          switch (stored) {
            case WeightMap checkpoint ->
                Optional.of(
                    new PackedPlace(
                        directory,
                        () -> checkpoint.checkpoint().orElseThrow(),
                        shard.rank(),
                        shard.stage(),
                        checkpoint.isComing()));
            case DummyWeights made -> Optional.empty();
          };
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
