package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.HostMemory;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalInt;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

/** How much of the host's memory keeps prefixes, by the flags that say so. */
class TierSizeTest {

  /** Bytes of the tier; others take and free memory meanwhile. */
  private static long tierBytes(String... flags) throws IOException {
    ServerConfig asked = TestConfig.of(flags);
    ServerConfig config = TestConfig.of(256, 4, OptionalInt.of(64), asked.cache());
    try (LoadedModel model =
        ModelLoader.load(
            Golden.DRAFT,
            config,
            new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR),
            (done, total) -> {})) {
      Optional<TierSetup> setup = TierSetup.of(config, Golden.DRAFT, model, 0, "test");
      if (setup.isEmpty()) {
        return 0;
      }
      try (var blocks = setup.get().host().blocks()) {
        return blocks.slots() * setup.get().blockBytes();
      }
    }
  }

  @Test
  void of_shareOfIdleMemory_isTaken() throws IOException {
    String small = "--kv-cache-memory-bytes=1048576";
    long idle = HostMemory.freeBytes();
    long some = tierBytes(small, "--host-prefix-kv-cache-utilization-target=0.004");
    assertThat(some).isCloseTo((long) (0.004 * idle), Percentage.withPercentage(50));
    long more = tierBytes(small, "--host-prefix-kv-cache-utilization-target=0.016");
    assertThat(more).isCloseTo((long) (0.016 * idle), Percentage.withPercentage(50));
    assertThat(tierBytes(small, "--host-prefix-kv-cache-utilization-target=0")).isZero();
    assertThat(tierBytes(small, "--kv-offloading-size=0.01"))
        .isCloseTo(10L << 20, Percentage.withPercentage(10));
  }
}
