package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.RankFailure;
import io.verdier.engine.model.ModelLoader.Description;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.Weights;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Loads a model onto several ranks: each opens its backend and reads its part of the checkpoint,
 * all at the same time. Owned by the loading thread, which is the first rank's meanwhile; used
 * once.
 */
final class RankLoader {
  private static final Logger LOG = LoggerFactory.getLogger(RankLoader.class);

  private final CheckpointFiles files;
  private final ServerConfig config;
  private final LoadProgress progress;
  private final Description description;
  private final RankThreads threads;
  private final @Nullable Backend[] backends; // by rank, each written by its thread

  /**
   * @throws ModelException if the model cannot be served, or not by so many ranks
   */
  RankLoader(CheckpointFiles files, ServerConfig config, LoadProgress progress) {
    this.files = files;
    this.config = config;
    this.progress = progress;
    int size = config.backend().ranks();
    description = ModelLoader.describe(files, config);
    Shard.of(description.spec(), new Rank(0, size));
    threads = new RankThreads(size);
    backends = new Backend[size];
  }

  /** As {@link ModelLoader#load}. */
  LoadedModel load(RankBackends opener) {
    try {
      threads.each(rank -> backends[rank.index()] = opener.open(rank));
      List<Collectives> collectives = threads.on(this::connected);
      List<Optional<MemoryPlan>> devices = threads.on(this::memoryPlan);
      if (devices.getFirst().isEmpty()) {
        return load(hostPlan(), Optional.empty(), collectives);
      }
      MemoryPlan plan = common(devices.stream().flatMap(Optional::stream).toList());
      plan.text().lines().forEach(LOG::info);
      return load(plan.cache(), Optional.of(plan), collectives);
    } catch (RankFailure e) {
      close();
      // What happened to the rank may be something to tell the operator.
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  private Backend backend(Rank rank) {
    Backend opened = backends[rank.index()];
    if (opened == null) {
      throw new IllegalStateException(rank + " has no backend");
    }
    return opened;
  }

  private Shard shard(Rank rank) {
    return Shard.of(description.spec(), rank);
  }

  /** Before memory is planned: what devices keep for each other is then taken already. */
  private Collectives connected(Rank rank) {
    Collectives joined = backend(rank).collectives(rank, threads.meeting());
    int tokensMax = config.scheduling().batchedTokensMax();
    joined.connect(Transformer.exchangedFloatsMax(shard(rank), tokensMax));
    return joined;
  }

  private Optional<MemoryPlan> memoryPlan(Rank rank) {
    try (Weights stored = ModelLoader.weights(files, config, description)) {
      return ModelLoader.memoryPlan(config, description, shard(rank), backend(rank), stored);
    }
  }

  /** The first device's plan with the cache of the fullest one: all have the same blocks. */
  private static MemoryPlan common(List<MemoryPlan> plans) {
    KvPlan cache =
        plans.stream()
            .map(MemoryPlan::cache)
            .min(Comparator.comparingInt(KvPlan::blocks))
            .orElseThrow();
    MemoryPlan first = plans.getFirst();
    return new MemoryPlan(first.device(), first.needs(), cache, first.lengthMax(), first.sizes());
  }

  /** Ranks of one host share its memory. */
  private KvPlan hostPlan() {
    Rank first = new Rank(0, backends.length);
    long stored;
    try (Weights weights = ModelLoader.weights(files, config, description)) {
      stored = ModelLoader.weightBytes(description, weights);
    }
    long tokenBytes = ModelLoader.tokenBytes(backend(first), shard(first).local());
    KvPlan plan =
        ModelLoader.kvPlan(
            description,
            config,
            tokenBytes * backends.length,
            backend(first).kvBytesMax(shard(first).weightBytes(stored) * backends.length)
                / config.backend().engines());
    LOG.info(
        "Memory plan: weights {} MiB as stored, KV cache {} MiB ({} blocks of {} tokens) of {}"
            + " ranks",
        stored >> 20,
        plan.bytes() >> 20,
        plan.blocks(),
        plan.blockTokens(),
        backends.length);
    return plan;
  }

  private LoadedModel load(
      KvPlan plan, Optional<MemoryPlan> memoryPlan, List<Collectives> collectives) {
    int tokensMax = config.scheduling().batchedTokensMax();
    List<KvStorage> caches =
        threads.on(rank -> ModelLoader.cache(shard(rank).local(), backend(rank), plan));
    List<RankPart> parts = threads.on(rank -> part(rank, collectives.get(rank.index())));
    List<Optional<RankModel>> others =
        threads.on(
            rank ->
                rank.isFirst()
                    ? Optional.empty()
                    : Optional.of(
                        new RankModel(
                            backend(rank),
                            caches.get(rank.index()),
                            new Transformer(parts.get(rank.index()), tokensMax))));
    Transformer transformer =
        new LeadTransformer(
            parts.getFirst(),
            tokensMax,
            threads,
            others.stream().flatMap(Optional::stream).toList());
    return new LoadedModel(
        description.spec(),
        description.generation(),
        description.lengthMax(),
        plan,
        memoryPlan,
        parts.getFirst().backend(),
        transformer,
        new RankKvStorage(caches, threads),
        adapters(parts),
        null);
  }

  private @Nullable LoraSlots adapters(List<RankPart> parts) {
    LoraShape whole = description.adapters();
    return whole == null
        ? null
        : new RankLoraSlots(
            whole,
            parts.stream().map(RankPart::shard).toList(),
            parts.stream().map(RankPart::adapters).filter(Objects::nonNull).toList(),
            threads);
  }

  private RankPart part(Rank rank, Collectives collectives) {
    LoadProgress heard = rank.isFirst() ? progress : (done, total) -> {};
    Shard shard = shard(rank);
    try (Weights stored = ModelLoader.weights(files, config, description)) {
      DecoderWeights weights = ModelLoader.decoder(config, shard, backend(rank), stored, heard);
      LoraSlots adapters = ModelLoader.slots(description, shard, backend(rank));
      return new RankPart(shard, weights, backend(rank), collectives, adapters);
    }
  }

  private void close() {
    threads.meeting().abort(new IllegalStateException("the model was not loaded"));
    threads.end(rank -> close(backends[rank.index()]));
    close(backends[0]);
  }

  private static void close(@Nullable Backend backend) {
    if (backend != null) {
      backend.close();
    }
  }
}
