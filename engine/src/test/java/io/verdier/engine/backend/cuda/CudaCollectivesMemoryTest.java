package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Rehearsal;
import io.verdier.engine.backend.Tensor;
import org.junit.jupiter.api.Test;

/** What exchanging takes of a device, by the books that plans are made with. */
class CudaCollectivesMemoryTest {
  private static final int ROWS = 2048;
  private static final int COLUMNS = 8192;
  private static final long BUFFER_BYTES = 64L << 20;

  /** All addends of these rows are 512 MiB. */
  @Test
  void allReduceSum_prefillOfEightRanks_takesABoundedBufferThatWasReserved() {
    CudaBackend.Options options = CudaBackend.Options.defaults();
    try (Rehearsal stage =
        TestCuda.memory("GPU", 80L << 30, 80L << 30, options).rehearsals().get()) {
      Backend backend = stage.backend();
      Collectives collectives = backend.collectives(new Rank(3, 8), new Meeting(8));
      Tensor residual = backend.tensor(ROWS, COLUMNS);
      long before = stage.bytes();

      collectives.connect((long) ROWS * COLUMNS);
      assertThat(stage.bytes()).as("connecting keeps nothing").isEqualTo(before);
      collectives.reserve(residual);
      assertThat(stage.bytes() - before).isEqualTo(BUFFER_BYTES);
      for (int rows : new int[] {1, 7, ROWS}) {
        residual.select(0, rows);
        collectives.allReduceSum(residual);
      }
      assertThat(stage.bytes() - before).isEqualTo(BUFFER_BYTES);
    }
  }
}
