package io.verdier.engine.run;

import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import org.jspecify.annotations.Nullable;

/** Another's sampling, except that the choice for one seed fails. */
final class FaultySampling implements RowSampling {
  private final RowSampling real;
  private final long seed;
  private final Throwable fault;
  private @Nullable WantedRows wanted;
  private int from;

  FaultySampling(RowSampling real, long seed, Throwable fault) {
    this.real = real;
    this.seed = seed;
    this.fault = fault;
  }

  @Override
  public int rowsMax() {
    return real.rowsMax();
  }

  @Override
  public void run(WantedRows rows, int first, int count) {
    wanted = rows;
    from = first;
    real.run(rows, first, count);
  }

  @Override
  public Sampled sampled(int index) {
    if (wanted != null && wanted.sequence(from + index).params().seed() == seed) {
      throw sneaky(fault);
    }
    return real.sampled(index);
  }

  /** Throws what is unchecked in fact, if not in type. */
  private static RuntimeException sneaky(Throwable fault) {
    if (fault instanceof Error error) {
      throw error;
    }
    return (RuntimeException) fault;
  }

  @Override
  public TokenLogprobs scored(int index) {
    return real.scored(index);
  }

  @Override
  public void forget(TokenHistory history) {
    real.forget(history);
  }
}
