package io.verdier.engine.run;

import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;

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
  public void run(WantedRows wanted, int from, int count) {
    sampler.begin(count);
    for (int i = from; i < from + count; i++) {
      RunningSequence sequence = wanted.sequence(i);
      if (wanted.isChosen(i)) {
        sampler.choose(sequence.history(), sequence.params());
      } else {
        sampler.score(wanted.given(i), sequence.params().promptLogprobs());
      }
    }
    transformer.sample(wanted.rows(), from, count, sampler);
  }

  @Override
  public Sampled sampled(int index) {
    return sampler.sampled(index);
  }

  @Override
  public TokenLogprobs scored(int index) {
    return sampler.scored(index);
  }

  @Override
  public void forget(TokenHistory history) {
    sampler.forget(history);
  }
}
