package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.BackendContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import java.util.Arrays;
import java.util.OptionalInt;
import org.junit.jupiter.api.Nested;

/** The contract, with each form of the kernels and with one thread and several. */
class CpuBackendTest {

  /** How tests look into this backend's tensors. */
  abstract static class CpuContract extends BackendContract {
    CpuContract(CpuBackend backend) {
      super(backend);
    }

    @Override
    protected float[][] read(Tensor tensor) {
      CpuTensor source = (CpuTensor) tensor;
      float[][] rows = new float[source.rows()][];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = Arrays.copyOfRange(source.data, source.at(i), source.at(i) + source.columns());
      }
      return rows;
    }
  }

  @Nested
  class Vectors extends CpuContract {
    Vectors() {
      super(new CpuBackend(OptionalInt.of(3), KernelForm.VECTOR));
    }
  }

  @Nested
  class Loops extends CpuContract {
    Loops() {
      super(new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR));
    }
  }
}
