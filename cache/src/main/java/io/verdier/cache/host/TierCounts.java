package io.verdier.cache.host;

/**
 * What a tier has done, for the metrics. Immutable; all but the last three only grow.
 *
 * @param queriedTokens prompt tokens that were looked for here, because no tier before had them
 * @param hitTokens those found
 * @param blocksIn blocks that came into the tier, from the device or its next neighbour
 * @param blocksOut blocks that were copied from it towards the device
 * @param evictions blocks that gave way to others
 * @param dropped blocks that were to come and did not, because the tier had no time or room
 * @param sequences that wait for blocks from here now
 * @param slotsUsed blocks that it holds now
 * @param slots blocks that it can hold
 */
public record TierCounts(
    long queriedTokens,
    long hitTokens,
    long blocksIn,
    long blocksOut,
    long evictions,
    long dropped,
    int sequences,
    int slotsUsed,
    int slots) {

  /** Of a tier that is not there. */
  public static final TierCounts NONE = new TierCounts(0, 0, 0, 0, 0, 0, 0, 0, 0);
}
