package io.verdier.engine.run;

import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;

/** Another's sampling, except that the choice for one seed fails. */
final class FaultySampling implements RowSampling {
  private final RowSampling real;
  private final long seed;
  private final Throwable fault;

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
  public RowResults run(WantedRows wanted, int from, int count) {
    RowResults results = real.run(wanted, from, count);
    return new RowResults() {
      @Override
      public void await() {
        results.await();
      }

      @Override
      public Sampled sampled(int index) {
        if (wanted.sequence(from + index).params().seed() == seed) {
          throw sneaky(fault);
        }
        return results.sampled(index);
      }

      @Override
      public TokenLogprobs scored(int index) {
        return results.scored(index);
      }

      @Override
      public boolean outlivesNext() {
        return results.outlivesNext();
      }
    };
  }

  /** Throws what is unchecked in fact, if not in type. */
  private static RuntimeException sneaky(Throwable fault) {
    if (fault instanceof Error error) {
      throw error;
    }
    return (RuntimeException) fault;
  }

  @Override
  public void forget(TokenHistory history) {
    real.forget(history);
  }
}
