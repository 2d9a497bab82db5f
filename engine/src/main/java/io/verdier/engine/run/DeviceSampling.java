package io.verdier.engine.run;

import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.TokenHistory;

/** Lets the device choose by logits that stay there. Owned by the executor thread. */
final class DeviceSampling implements RowSampling {
  private final Transformer transformer;
  private final DeviceSampler sampler;

  DeviceSampling(Transformer transformer, DeviceSampler sampler) {
    this.transformer = transformer;
    this.sampler = sampler;
  }

  @Override
  public int rowsMax() {
    return sampler.rowsMax();
  }

  @Override
  public RowResults run(WantedRows wanted, int from, int count) {
    DeviceSampler.Chunk chunk = sampler.begin(count);
    for (int i = from; i < from + count; i++) {
      RunningSequence sequence = wanted.sequence(i);
      if (wanted.isChosen(i)) {
        chunk.choose(sequence.history(), sequence.params(), sequence.mask());
      } else {
        chunk.score(wanted.given(i), sequence.params().promptLogprobs());
      }
    }
    return transformer.sample(wanted.rows(), from, count, chunk);
  }

  @Override
  public void forget(TokenHistory history) {
    sampler.forget(history);
  }
}
