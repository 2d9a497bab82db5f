package io.verdier.engine.run;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Brings logits to the host and chooses there, with all threads that compute: a temperature takes
 * half a millisecond for a row of 128,256 logits, which is a fifth of a step of 32 rows on two
 * cores. Owned by the executor thread.
 */
final class HostSampling implements RowSampling, RowResults {
  private static final int ROWS_MAX = 64; // more rows read the output matrix no less often
  private static final int LOGITS_FLOATS_MAX = 16 << 20; // 64 MiB, or one row

  private final Transformer transformer;
  private final Backend backend;
  private final Supplier<Sampler> newSampler;
  private final @Nullable Sampler[] samplers; // by worker, each once it takes part
  private final int vocabSize;
  private final int rowsMax;
  private final float[] logits; // [rowsMax, vocab]
  private final @Nullable Object[] results; // [rowsMax], a Sampled, TokenLogprobs or Throwable
  private final Backend.HostJob evaluating = this::evaluate;
  private @Nullable WantedRows wanted; // whose rows from `from` on the logits are of
  private int from;

  HostSampling(LoadedModel model) {
    transformer = model.transformer();
    vocabSize = model.spec().vocabSize();
    int[] endTokenIds = model.generation().endTokenIds();
    newSampler = () -> new Sampler(vocabSize, endTokenIds);
    backend = model.backend();
    samplers = new Sampler[Math.max(1, backend.threads())];
    int most = Math.min(ROWS_MAX, transformer.logitsRowsMax());
    rowsMax = Math.clamp(LOGITS_FLOATS_MAX / vocabSize, 1, most);
    logits = new float[rowsMax * vocabSize];
    results = new Object[rowsMax];
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public RowResults run(WantedRows rows, int first, int count) {
    wanted = rows;
    from = first;
    transformer.logits(rows.rows(), first, count, logits);
    backend.runOnHost(evaluating, count);
    return this;
  }

  /** A row's result, or what it fails with, which is the business of its sequence alone. */
  private void evaluate(int index, int worker) {
    try {
      results[index] = result(index, sampler(worker));
    } catch (Throwable failed) {
      results[index] = failed;
    }
  }

  private Object result(int index, Sampler sampler) {
    WantedRows rows = wanted();
    RunningSequence sequence = rows.sequence(from + index);
    SamplingParams params = sequence.params();
    int offset = index * vocabSize;
    return rows.isChosen(from + index)
        ? sampler.sample(logits, offset, sequence.history(), params, sequence.mask())
        : sampler.score(logits, offset, rows.given(from + index), params.promptLogprobs());
  }

  private Sampler sampler(int worker) {
    Sampler known = samplers[worker];
    if (known == null) {
      samplers[worker] = known = newSampler.get();
    }
    return known;
  }

  @Override
  public void await() {} // it was waited for their logits

  @Override
  public boolean outlivesNext() {
    return false;
  }

  @Override
  public Sampled sampled(int index) {
    return resultOf(index, Sampled.class);
  }

  @Override
  public TokenLogprobs scored(int index) {
    return resultOf(index, TokenLogprobs.class);
  }

  private <T> T resultOf(int index, Class<T> type) {
    Object result = results[index];
    if (result instanceof RuntimeException failed) {
      throw failed;
    }
    if (result instanceof Error failed) {
      throw failed;
    }
    return type.cast(Objects.requireNonNull(result));
  }

  private WantedRows wanted() {
    WantedRows known = wanted;
    if (known == null) {
      throw new IllegalStateException("no rows were worked out");
    }
    return known;
  }

  @Override
  public void forget(TokenHistory history) {} // it remembers nothing
}
