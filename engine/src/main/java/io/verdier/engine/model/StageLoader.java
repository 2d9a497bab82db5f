package io.verdier.engine.model;

import io.verdier.conf.PipelineConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Stage;
import io.verdier.engine.model.ModelLoader.Description;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.Weights;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Loads the stages of a pipeline that this process has. Owned by the loading thread; used once.
 *
 * <p>All stages of a pipeline have the same number of blocks, for there is one table of them for
 * each sequence. So first every process says how many it has room for, then all load with the least
 * of these.
 */
public final class StageLoader implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(StageLoader.class);

  private final CheckpointFiles files;
  private final ServerConfig config;
  private final Description description;
  private final List<Shard> shards = new ArrayList<>();
  private final List<Backend> backends = new ArrayList<>();
  private final List<MemoryPlan> devices =
      new ArrayList<>(); // of all, or empty: the host's is used
  private final KvPlan plan;
  private boolean handedOver;

  /**
   * Opens the backends and plans their memory.
   *
   * @param files of the model, some of which may be on their way
   * @throws ModelException if the model cannot be served, or not in so many stages, or if the KV
   *     cache is too small
   */
  public StageLoader(CheckpointFiles files, ServerConfig config, StageBackends opener) {
    this.files = files;
    this.config = config;
    description = ModelLoader.describe(files, config);
    PipelineConfig pipeline = config.cluster().pipeline();
    for (int i = 0; i < pipeline.stagesHere(); i++) {
      Stage stage = new Stage(pipeline.firstStage() + i, pipeline.stages());
      shards.add(Shard.of(description.spec(), stage));
    }
    try {
      for (int i = 0; i < shards.size(); i++) {
        backends.add(opener.open(i));
      }
      plan = plan();
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  /** What is known of the model. */
  public Description description() {
    return description;
  }

  /** Blocks that the stages of this process have room for, each. */
  public int blocks() {
    return plan.blocks();
  }

  private KvPlan plan() {
    try (Weights stored = ModelLoader.weights(files, config, description)) {
      for (int i = 0; i < shards.size(); i++) {
        ModelLoader.memoryPlan(config, description, shards.get(i), backends.get(i), stored)
            .ifPresent(devices::add);
      }
      return devices.isEmpty() ? hostPlan(stored) : fullest();
    }
  }

  private KvPlan fullest() {
    devices.forEach(device -> device.text().lines().forEach(LOG::info));
    KvPlan least = devices.getFirst().cache();
    for (MemoryPlan device : devices) {
      least = device.cache().blocks() < least.blocks() ? device.cache() : least;
    }
    return least;
  }

  /** Stages of one process share the host's memory. */
  private KvPlan hostPlan(Weights stored) {
    long all = ModelLoader.weightBytes(description, stored);
    long weightBytes = shards.stream().mapToLong(shard -> shard.weightBytes(all)).sum();
    KvPlan found =
        ModelLoader.kvPlan(
            description, config, tokenBytes(), backends.getFirst().kvBytesMax(weightBytes));
    LOG.info(
        "Memory plan: weights {} MiB as stored of {} MiB, KV cache {} MiB ({} blocks of {} tokens)",
        weightBytes >> 20,
        all >> 20,
        found.bytes() >> 20,
        found.blocks(),
        found.blockTokens());
    return found;
  }

  private long tokenBytes() {
    long bytes = 0;
    for (int i = 0; i < shards.size(); i++) {
      bytes += ModelLoader.tokenBytes(backends.get(i), shards.get(i).local());
    }
    return bytes;
  }

  /**
   * Reads the stages' parts of the checkpoint; of the others not a byte. The backends then belong
   * to the models.
   *
   * @param blocks of every cache, at most {@link #blocks}
   * @return the stages of this process, in order
   * @throws io.verdier.engine.weights.WeightsException if the checkpoint is unusable
   */
  public List<LoadedModel> load(int blocks, LoadProgress progress) {
    if (blocks < 1 || blocks > plan.blocks()) {
      throw new IllegalArgumentException(blocks + " blocks where " + plan.blocks() + " fit");
    }
    List<LoadedModel> models = new ArrayList<>();
    try (Weights stored = ModelLoader.weights(files, config, description)) {
      for (int i = 0; i < shards.size(); i++) {
        models.add(load(i, blocks, stored, progress));
      }
    }
    handedOver = true;
    return List.copyOf(models);
  }

  private LoadedModel load(int index, int blocks, Weights stored, LoadProgress progress) {
    Shard shard = shards.get(index);
    Backend backend = backends.get(index);
    long blockBytes = ModelLoader.tokenBytes(backend, shard.local()) * plan.blockTokens();
    KvPlan own = new KvPlan(blocks, plan.blockTokens(), blocks * blockBytes);
    KvStorage cache = ModelLoader.cache(shard.local(), backend, own);
    DecoderWeights weights = ModelLoader.decoder(config, shard, backend, stored, progress);
    RankPart part = new RankPart(shard, weights, backend, Collectives.alone(), null);
    Transformer transformer = new Transformer(part, config.scheduling().batchedTokensMax());
    transformer.prepare(config.scheduling().sequencesMax(), cache);
    return new LoadedModel(
        description.spec(),
        description.generation(),
        description.lengthMax(),
        own,
        devices.isEmpty() ? Optional.empty() : Optional.of(devices.get(index)),
        backend,
        transformer,
        cache,
        null,
        null);
  }

  /** Closes the backends, unless models have them. */
  @Override
  public void close() {
    if (!handedOver) {
      backends.forEach(Backend::close);
      backends.clear();
    }
  }
}
