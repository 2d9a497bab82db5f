package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.BackendContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import java.util.Arrays;
import java.util.OptionalInt;
import org.junit.jupiter.api.Nested;

/**
 * The contract, with each form of the kernels and with one thread and several; the C kernels of
 * each level that this machine has.
 */
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

  /** The C kernels: bfloat16 inputs of products, bfloat16 cache. */
  abstract static class NativeContract extends BackendContract {
    NativeContract(KernelLevel level, int threads) {
      super(backend(level, threads));
    }

    private static NativeBackend backend(KernelLevel level, int threads) {
      return new NativeBackend(NativeLevels.require(level), WeightFormat.BF16, threads, "test");
    }

    @Override
    protected double operandStep() {
      return 1.0 / 256;
    }

    /** Queries, keys, values and weights are rounded to 8 bits each; results are of order 1. */
    @Override
    protected double attentionTolerance() {
      return 0.04;
    }

    @Override
    protected float[][] read(Tensor tensor) {
      NativeTensor source = (NativeTensor) tensor;
      float[][] rows = new float[source.rows()][source.columns()];
      for (int i = 0; i < rows.length; i++) {
        source.copyOut(i, 0, rows[i], 0, rows[i].length);
      }
      return rows;
    }
  }

  @Nested
  class Amx extends NativeContract {
    Amx() {
      super(KernelLevel.AMX, 2);
    }
  }

  @Nested
  class Avx512 extends NativeContract {
    Avx512() {
      super(KernelLevel.AVX512, 3);
    }
  }

  @Nested
  class Avx2 extends NativeContract {
    Avx2() {
      super(KernelLevel.AVX2, 1);
    }
  }

  @Nested
  class Neon extends NativeContract {
    Neon() {
      super(KernelLevel.NEON, 2);
    }
  }
}
