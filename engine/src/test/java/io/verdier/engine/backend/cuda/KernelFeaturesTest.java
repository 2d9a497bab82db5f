package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import org.junit.jupiter.api.Test;

/** What kernels were compiled with, and devices that some of them do not fit. */
class KernelFeaturesTest {

  @Test
  void of_loadedKernels_tellsWhatTheyHave() {
    try (CudaBackend backend = TestCuda.backend(Options.defaults())) {
      CudaDriver driver = backend.driver();
      assertThat(KernelFeatures.of(driver)).isEqualTo(driver.device().features());
    }
  }

  /** As an RTX 4090 has: 99 KB, where heads of 256 dimensions take 161. */
  @Test
  void kvStorage_headsTooWideForTheDevice_saysSo() {
    CudaDriver.Device small = new CudaDriver.Device("RTX", 8, 9, 128, 24L << 30, 99 << 10);
    try (CudaRehearsal rehearsal = CudaRehearsal.of(small, Options.defaults())) {
      CudaBackend backend = rehearsal.backend();
      backend.kvStorage(new KvShape(1, 1, 1, 128, 16, 8));
      assertThatThrownBy(() -> backend.kvStorage(new KvShape(1, 1, 1, 160, 16, 8)))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("heads of 160 dimensions need 161 KB")
          .hasMessageContaining("RTX (sm_89)");
    }
  }
}
