package io.verdier.engine.run;

import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import org.jspecify.annotations.Nullable;

/** Brings logits to the host and chooses there. Owned by the executor thread. */
final class HostSampling implements RowSampling, RowResults {
  private static final int ROWS_MAX = 64; // more rows read the output matrix no less often
  private static final int LOGITS_FLOATS_MAX = 16 << 20; // 64 MiB, or one row

  private final Transformer transformer;
  private final Sampler sampler;
  private final int vocabSize;
  private final int rowsMax;
  private final float[] logits; // [rowsMax, vocab]
  private @Nullable WantedRows wanted; // whose rows from `from` on the logits are of
  private int from;

  HostSampling(LoadedModel model) {
    transformer = model.transformer();
    vocabSize = model.spec().vocabSize();
    sampler = new Sampler(vocabSize, model.generation().endTokenIds());
    int most = Math.min(ROWS_MAX, transformer.logitsRowsMax());
    rowsMax = Math.clamp(LOGITS_FLOATS_MAX / vocabSize, 1, most);
    logits = new float[rowsMax * vocabSize];
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
    return this;
  }

  @Override
  public void await() {} // it was waited for their logits

  @Override
  public boolean outlivesNext() {
    return false;
  }

  @Override
  public Sampled sampled(int index) {
    RunningSequence sequence = wanted().sequence(from + index);
    return sampler.sample(
        logits, index * vocabSize, sequence.history(), sequence.params(), sequence.mask());
  }

  @Override
  public TokenLogprobs scored(int index) {
    int top = wanted().sequence(from + index).params().promptLogprobs();
    return sampler.score(logits, index * vocabSize, wanted().given(from + index), top);
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
