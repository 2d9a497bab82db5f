package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.CollectivesContract;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** On emulated devices: all but NCCL itself, which wants a GPU for each rank. */
@DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
class CudaCollectivesTest extends CollectivesContract {
  @Override
  protected Backend open() {
    return new CudaBackend(TestCuda.emulation(), Options.defaults());
  }

  @Override
  protected float[][] read(Backend backend, Tensor tensor) {
    return TestCuda.read((CudaBackend) backend, tensor);
  }
}
