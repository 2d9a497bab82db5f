package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.LoraSlots;
import org.jspecify.annotations.Nullable;

/**
 * What a rank computes with. Immutable; handed over to the rank's thread.
 *
 * @param weights of the shard, on the backend
 * @param ranks who have the other shards
 * @param adapters slots of {@link AdaptedProducts#shape}; null: no row ever has an adapter
 */
record RankPart(
    Shard shard,
    DecoderWeights weights,
    Backend backend,
    Collectives ranks,
    @Nullable LoraSlots adapters) {}
