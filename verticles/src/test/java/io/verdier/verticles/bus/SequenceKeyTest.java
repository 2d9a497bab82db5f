package io.verdier.verticles.bus;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.FinishReason;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Keys say whose a sequence is. */
class SequenceKeyTest {

  @Test
  void key_ofAnyEngineAndInstance_saysBoth() {
    for (int engine : new int[] {0, 1, 255, 0x7fff}) {
      for (int instance : new int[] {0, 7, 255}) {
        long key = SequenceKey.of(engine, instance, (1L << 40) + 5); // the counter may wrap
        assertThat(key).isNotNegative();
        assertThat(SequenceKey.engine(key)).isEqualTo(engine);
        assertThat(SequenceKey.instance(key)).isEqualTo(instance);
      }
    }
  }

  @Test
  void cancel_ofSequencesOfSeveralEngines_isDividedAmongThem() {
    long[] keys = {SequenceKey.of(2, 0, 1), SequenceKey.of(0, 0, 2), SequenceKey.of(2, 0, 3)};
    Map<Integer, Cancel> parts = new Cancel(keys, FinishReason.STOP, true).byEngine();
    assertThat(parts).containsOnlyKeys(0, 2);
    Cancel of2 = Objects.requireNonNull(parts.get(2));
    assertThat(of2.keys()).containsExactly(keys[0], keys[2]);
    assertThat(of2.reason()).isEqualTo(FinishReason.STOP);
    assertThat(of2.silent()).isTrue();
    assertThat(Objects.requireNonNull(parts.get(0)).keys()).containsExactly(keys[1]);
    assertThat(new Cancel(new long[0], FinishReason.STOP, true).byEngine()).isEmpty();
  }
}
