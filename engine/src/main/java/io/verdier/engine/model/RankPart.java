package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;

/**
 * What a rank computes with. Immutable; handed over to the rank's thread.
 *
 * @param weights of the shard, on the backend
 * @param ranks who have the other shards
 */
record RankPart(Shard shard, DecoderWeights weights, Backend backend, Collectives ranks) {}
