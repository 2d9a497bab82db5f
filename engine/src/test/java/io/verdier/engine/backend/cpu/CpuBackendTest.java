package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.BackendContract;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import java.util.OptionalInt;
import org.junit.jupiter.api.Nested;

/** The contract, with each form of the kernels and with one thread and several. */
class CpuBackendTest {

  @Nested
  class Vectors extends BackendContract {
    Vectors() {
      super(new CpuBackend(OptionalInt.of(3), KernelForm.VECTOR));
    }
  }

  @Nested
  class Loops extends BackendContract {
    Loops() {
      super(new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR));
    }
  }
}
