package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.sample.RowResults;
import java.util.List;

/**
 * The first rank's transformer, which has the other ranks do what it does. Owned by the executor
 * thread.
 *
 * <p>Whoever runs steps sees one model: it plans, lays out batches and chooses tokens once, and
 * does not know how many ranks compute. Every call that reaches a rank's backend therefore goes
 * through {@link RankThreads}; one that did not would leave the first rank waiting for the others.
 *
 * <p>Devices work on when a call has returned. The first one is waited for, because it has the
 * tokens; the others are {@linkplain Transformer#watch watched}.
 */
final class LeadTransformer extends Transformer {
  private final RankThreads threads;
  private final List<RankModel> others; // of ranks 1..
  private final int vocabSize;
  private final float[][] parts; // [ranks][rows · tokens of the rank]

  /**
   * @param others ranks behind the first, in order
   */
  LeadTransformer(RankPart part, int tokensMax, RankThreads threads, List<RankModel> others) {
    super(part, tokensMax);
    this.threads = threads;
    this.others = List.copyOf(others);
    vocabSize = part.shard().whole().vocabSize();
    parts = new float[others.size() + 1][0];
  }

  private RankModel other(Rank rank) {
    return others.get(rank.index() - 1);
  }

  private Transformer transformer(Rank rank) {
    return rank.isFirst() ? this : other(rank).transformer();
  }

  /** The first rank's part of the caches of all. */
  private static KvStorage first(KvStorage cache) {
    return ((RankKvStorage) cache).first();
  }

  @Override
  public long weightBytesPerStep() {
    return super.weightBytesPerStep()
        + others.stream().mapToLong(it -> it.transformer().weightBytesPerStep()).sum();
  }

  @Override
  public void fill(AttentionBatch batch, KvStorage cache) {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.fill(batch, first(cache));
          } else {
            RankModel other = other(rank);
            other.transformer().fill(other.copyOf(batch), other.cache());
            other.transformer().watch();
          }
        });
  }

  @Override
  public void forward(AttentionBatch batch, KvStorage cache) {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.forward(batch, first(cache));
          } else {
            RankModel other = other(rank);
            other.transformer().forward(other.copyOf(batch), other.cache());
            other.transformer().watch();
          }
        });
  }

  @Override
  public void prepare(int sequencesMax, KvStorage cache) {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.prepare(sequencesMax, first(cache));
          } else {
            other(rank).transformer().prepare(sequencesMax, other(rank).cache());
          }
        });
  }

  @Override
  public void release() {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.release();
          } else {
            other(rank).transformer().release();
          }
        });
  }

  @Override
  public void recall() {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.recall();
          } else {
            other(rank).transformer().recall();
          }
        });
  }

  /** Each rank computes the logits of its tokens and puts them where they belong in the rows. */
  @Override
  public void logits(int[] rows, int from, int count, float[] out) {
    threads.each(
        rank -> {
          int columns = transformer(rank).logitsColumns();
          float[] part = part(rank, count * columns);
          if (rank.isFirst()) {
            super.logits(rows, from, count, part);
          } else {
            transformer(rank).logits(rows, from, count, part);
          }
          int first = transformer(rank).logitsFirst();
          for (int row = 0; row < count; row++) {
            System.arraycopy(part, row * columns, out, row * vocabSize + first, columns);
          }
        });
  }

  private float[] part(Rank rank, int floats) {
    if (parts[rank.index()].length < floats) {
      parts[rank.index()] = new float[floats];
    }
    return parts[rank.index()];
  }

  @Override
  public RowResults sample(int[] rows, int from, int count, DeviceSampler.Chunk chunk) {
    threads.each(
        rank -> {
          Tensor logits = transformer(rank).gatheredLogits(rows, from, count);
          if (rank.isFirst()) {
            chunk.run(logits);
          } else {
            transformer(rank).watch();
          }
        });
    return new RankResults(chunk, threads.meeting());
  }

  /** All ranks have all of the hidden states. */
  @Override
  public void hiddenStates(int[] rows, int from, int count, float[] out) {
    threads.each(
        rank -> {
          if (rank.isFirst()) {
            super.hiddenStates(rows, from, count, out);
          }
        });
  }

  @Override
  public void close() {
    try {
      super.close();
    } finally {
      threads.end(rank -> other(rank).close());
    }
  }
}
