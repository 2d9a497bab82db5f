package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.CollectivesContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import java.util.OptionalInt;
import org.junit.jupiter.api.Nested;

/** In the memory of one process: on the heap and outside it. */
class CpuCollectivesTest {

  abstract static class HostContract extends CollectivesContract {
    @Override
    protected float[][] read(Backend backend, Tensor tensor) {
      float[][] rows = new float[tensor.rows()][tensor.columns()];
      for (int i = 0; i < rows.length; i++) {
        ((HostRows) tensor).read(i, 0, tensor.columns(), rows[i]);
      }
      return rows;
    }
  }

  @Nested
  class Heap extends HostContract {
    @Override
    protected Backend open() {
      return new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR);
    }
  }

  @Nested
  class OutsideTheHeap extends HostContract {
    @Override
    protected Backend open() {
      return NativeLevels.backend(NativeLevels.available().getFirst(), WeightFormat.BF16, 1);
    }
  }
}
