package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Rehearsal;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.weights.Weights;
import java.util.Optional;

/**
 * What a model takes of a device's memory beside its KV cache, in bytes. Immutable.
 *
 * @param weights that stay there, slots of adapters included
 * @param activations what steps of the largest size need, sampling included, or what loading needs
 *     for a while if that is more
 * @param graphs of captured steps
 */
public record ModelNeeds(long weights, long activations, long graphs) {
  /** Kernels are loaded when they are first used, and the driver keeps books of its own. */
  private static final long DRIVER_BYTES = 64L << 20;

  /** A request for which the device keeps all that it ever keeps for one. */
  private static final SamplingParams EVERYTHING =
      new SamplingParams(
          1,
          0.9f,
          0,
          0.1f,
          1,
          1,
          1.1f,
          0,
          1,
          0,
          false,
          new int[0],
          new int[0],
          new float[0],
          new int[0],
          new int[0][],
          1,
          -1);

  long all() {
    return weights + activations + graphs;
  }

  /**
   * Bounds of what a step may be.
   *
   * @param tokensMax in a step
   * @param sequencesMax in a step
   */
  public record Sizes(int tokensMax, int sequencesMax) {}

  /**
   * Loads the model on a stage as {@link ModelLoader} does, and runs the steps that need most.
   *
   * @param shard of the model that the device has
   * @param shapes of the weights
   * @param plan an upper bound of the cache: its bytes do not count
   */
  static ModelNeeds rehearsed(
      ModelLoader.Description description,
      Shard shard,
      Sizes sizes,
      Weights shapes,
      KvPlan plan,
      Rehearsal stage) {
    Backend backend = stage.backend();
    long bare = stage.bytes();
    KvStorage cache = ModelLoader.cache(shard.local(), backend, plan);
    long before = stage.bytes();
    DecoderWeights decoder =
        backend.takeOver(
            Optional.empty(),
            () -> DecoderWeights.load(shard, shapes, backend, (done, total) -> {}));
    LoraSlots adapters = ModelLoader.slots(description, shard, backend);
    long weights = stage.bytes() - before;
    Transformer transformer =
        new Transformer(
            new RankPart(shard, decoder, backend, others(shard.rank(), backend), adapters),
            sizes.tokensMax);
    decode(transformer, cache, sizes, Math.min(description.lengthMax(), plan.tokens()));
    if (adapters != null) {
      adapt(transformer, cache, sizes);
    }
    if (shard.stage().isLast()) {
      sample(transformer, description, backend, sizes);
    }
    transformer.prepare(sizes.sequencesMax, cache);
    long rest = stage.bytesMax() - bare - weights - plan.bytes();
    return new ModelNeeds(weights, rest, stage.graphBytes() + DRIVER_BYTES);
  }

  /** Ranks are rehearsed one by one; on a stage nobody waits for the others. */
  private static Collectives others(Rank rank, Backend backend) {
    return rank.isAlone()
        ? Collectives.alone()
        : backend.collectives(rank, new Meeting(rank.size()));
  }

  /** As many sequences as there may be, each becoming as long as it may be, or the cache allows. */
  private static void decode(
      Transformer transformer, KvStorage cache, Sizes sizes, long lengthMax) {
    AttentionBatch batch = new AttentionBatch(sizes.tokensMax, sizes.sequencesMax);
    int sequences = Math.min(sizes.tokensMax, sizes.sequencesMax);
    int[] blocks = new int[cache.shape().blocks()];
    long share = Math.max(1, cache.shape().blocks() / sequences);
    long each = Math.min(lengthMax, share * cache.shape().blockTokens());
    for (long length = 1; length < 2 * lengthMax; length *= 2) {
      int longest = (int) Math.min(length, lengthMax);
      batch.clear();
      batch.add(position -> 0, longest - 1, 1, blocks);
      for (int i = 1; i < sequences; i++) {
        batch.add(position -> 0, (int) Math.min(longest, each) - 1, 1, blocks);
      }
      transformer.forward(batch, cache);
    }
  }

  /** A step full of prompts that all have an adapter. */
  private static void adapt(Transformer transformer, KvStorage cache, Sizes sizes) {
    AttentionBatch batch = new AttentionBatch(sizes.tokensMax, sizes.sequencesMax);
    int sequences = Math.min(sizes.tokensMax, sizes.sequencesMax);
    int[] blocks = new int[cache.shape().blocks()];
    int room = cache.shape().blocks() * cache.shape().blockTokens();
    for (int i = 0; i < sequences; i++) {
      int tokens = (sizes.tokensMax - batch.rows()) / (sequences - i);
      batch.add(position -> 0, 0, Math.min(tokens, room), blocks, 0);
    }
    transformer.forward(batch, cache);
  }

  /** Scores a prompt, then chooses for sequences that ask for everything. */
  private static void sample(
      Transformer transformer, ModelLoader.Description description, Backend backend, Sizes sizes) {
    int vocabSize = description.spec().vocabSize();
    int[] endTokenIds = description.generation().endTokenIds();
    int rowsMax = Math.min(sizes.tokensMax, transformer.logitsRowsMax());
    Optional<DeviceSampler> found = backend.sampler(vocabSize, endTokenIds, rowsMax);
    if (found.isEmpty()) {
      return;
    }
    DeviceSampler sampler = found.get();
    int[] rows = new int[sampler.rowsMax()];
    DeviceSampler.Chunk scored = sampler.begin(rows.length);
    for (int i = 0; i < rows.length; i++) {
      scored.score(0, 1);
    }
    choose(transformer, rows, rows.length, scored);
    int sequences = Math.min(rows.length, sizes.sequencesMax);
    DeviceSampler.Chunk chosen = sampler.begin(sequences);
    for (int i = 0; i < sequences; i++) {
      chosen.choose(new TokenHistory(new int[1], 1), EVERYTHING);
    }
    choose(transformer, rows, sequences, chosen);
  }

  private static void choose(
      Transformer transformer, int[] rows, int count, DeviceSampler.Chunk chunk) {
    if (transformer.ranks() == 1) {
      transformer.sample(rows, 0, count, chunk);
    } else {
      chunk.run(transformer.gatheredLogits(rows, 0, count));
    }
  }
}
