package io.verdier.engine.run;

import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.RemoteTier;
import org.jspecify.annotations.Nullable;

/**
 * Memory behind the device's cache, for a runner that closes it. Handed over whole.
 *
 * @param blocks of the model's cache
 * @param disk behind them; null: none
 * @param remote what cache nodes are given of them; null: there is no cluster
 */
public record HostTier(HostBlocks blocks, @Nullable DiskTier disk, @Nullable RemoteTier remote)
    implements AutoCloseable {

  @Override
  public void close() {
    try (var _ = blocks;
        var _ = remote;
        var _ = disk) {
      // the memory last, whatever the others throw
    }
  }
}
