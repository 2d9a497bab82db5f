package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.lora.AdapterSlots;
import java.util.Objects;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters that take turns in a slot, as they do for months where there are more than slots. */
@DisabledIfSystemProperty(named = "verdier.gpu", matches = "true") // no GPU says what it keeps
class AdapterSwapTest {
  private static final int SWAPS = 50;

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void enter_manyTimesInTurns_keepsNothingOfCopiesThatAreDone(int ranks) {
    Options usual = Options.defaults();
    Options options = new Options(true, usual.weights(), usual.cache(), 0.9);
    CudaBackend[] devices = new CudaBackend[ranks];
    try (TestAdapters.Loaded loaded =
        TestAdapters.load(
            rank -> devices[rank.index()] = TestCuda.emulated(1L << 30, options), ranks, 1, 1)) {
      AdapterSlots slots = loaded.slots();
      for (int i = 0; i < SWAPS; i++) {
        String name = TestAdapters.NAMES.get(i % 2);
        slots.leave(slots.enter(Objects.requireNonNull(loaded.identities().get(name))));
      }
      assertThat(slots.loads()).isEqualTo(SWAPS);
      for (CudaBackend device : devices) {
        assertThat(TestCuda.marks(device)).as("one for the slot").isLessThanOrEqualTo(1);
      }
    }
    for (CudaBackend device : devices) {
      assertThat(TestCuda.marks(device)).isZero();
    }
  }
}
