package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.BackendContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/**
 * The contract on the device of these tests, and on an emulated one that has fewer instructions and
 * a cache of eight bits.
 *
 * <p>Operands hold eight bits of a number, so its step is 2^-8. Queries, keys, values and the
 * weights of a softmax are rounded alike; what they add up to is of order 1.
 */
class CudaBackendTest {

  abstract static class CudaContract extends BackendContract {
    private final CudaBackend backend;

    CudaContract(CudaBackend backend) {
      super(backend);
      this.backend = backend;
    }

    @Override
    protected float[][] read(Tensor tensor) {
      return TestCuda.read(backend, tensor);
    }

    @Override
    protected double operandStep() {
      return 0x1p-8;
    }

    @Override
    protected double attentionTolerance() {
      return 0.06;
    }
  }

  @Nested
  class Newest extends CudaContract {
    Newest() {
      super(TestCuda.backend(Options.defaults()));
    }
  }

  /** Keys and values hold four bits of a number, so their step is 2^-4. */
  @Nested
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  class AmpereWithNarrowCache extends CudaContract {
    AmpereWithNarrowCache() {
      super(
          new CudaBackend(TestCuda.emulation().as(8, 0), Options.defaults().with(CacheFormat.FP8)));
    }

    @Override
    protected double attentionTolerance() {
      return 0.5;
    }
  }
}
