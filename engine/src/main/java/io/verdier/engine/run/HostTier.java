package io.verdier.engine.run;

import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.backend.HostBlocks;
import org.jspecify.annotations.Nullable;

/**
 * Memory behind the device's cache, for a runner that closes it. Handed over whole.
 *
 * @param blocks of the model's cache
 * @param disk behind them; null: none
 */
public record HostTier(HostBlocks blocks, @Nullable DiskTier disk) {}
