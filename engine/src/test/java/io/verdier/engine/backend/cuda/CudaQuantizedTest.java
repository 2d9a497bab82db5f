package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.QuantizedContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** Weights of fewer bits, on the device of these tests and on one that has fewer instructions. */
class CudaQuantizedTest {
  private static final double FP8_ERROR = 0.035; // three bits behind the point
  private static final double INT8_ERROR = 0.012; // the largest of a row is four deviations
  private static final double INT4_ERROR = 0.11;

  abstract static class Contract extends QuantizedContract {
    private final CudaBackend backend;

    Contract(CudaBackend backend, double errorMax) {
      super(backend, errorMax);
      this.backend = backend;
    }

    @Override
    protected float[][] read(Tensor tensor) {
      return TestCuda.read(backend, tensor);
    }

    static Options weights(WeightFormat format) {
      return new Options(true, format, CacheFormat.BF16, 0.9);
    }
  }

  @Nested
  class Fp8 extends Contract {
    Fp8() {
      super(TestCuda.backend(weights(WeightFormat.FP8)), FP8_ERROR);
    }
  }

  @Nested
  class Int8 extends Contract {
    Int8() {
      super(TestCuda.backend(weights(WeightFormat.INT8)), INT8_ERROR);
    }
  }

  @Nested
  class Int4 extends Contract {
    Int4() {
      super(TestCuda.backend(weights(WeightFormat.INT4)), INT4_ERROR);
    }
  }

  @Nested
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  class Fp8OnAmpere extends Contract {
    Fp8OnAmpere() {
      super(TestCuda.ampere(weights(WeightFormat.FP8)), FP8_ERROR);
    }
  }

  @Nested
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  class Int8OnAmpere extends Contract {
    Int8OnAmpere() {
      super(TestCuda.ampere(weights(WeightFormat.INT8)), INT8_ERROR);
    }
  }

  @Nested
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  class Int4OnAmpere extends Contract {
    Int4OnAmpere() {
      super(TestCuda.ampere(weights(WeightFormat.INT4)), INT4_ERROR);
    }
  }
}
