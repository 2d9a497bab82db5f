package io.verdier.verticles.balance;

import io.verdier.conf.ClusterConfig.Routing;
import java.util.List;
import java.util.Optional;

/**
 * The choice of an engine. Owned by whoever owns the candidates.
 *
 * <p>It is the least cost, in characters to be read: those of the prompt that the engine does not
 * know yet, and {@link #LIVE_CHARS} for each sequence that it has. So a conversation goes on where
 * it began, until that engine has so many more sequences than another that reading the prompt again
 * is the shorter wait. {@link Routing} has the other choices. Equal costs take turns.
 */
public final class Balance {
  /** A running sequence delays others about as much as reading so many characters does. */
  public static final int LIVE_CHARS = 512;

  private final Routing routing;
  private int turn;

  public Balance(Routing routing) {
    this.routing = routing;
  }

  /**
   * @param usable in the same order each time
   * @param prefixes of the prompt, as {@link Prefixes#of} gives them
   * @return empty if there is none
   */
  public <C extends Candidate> Optional<C> choose(List<C> usable, long[] prefixes) {
    C best = null;
    long least = Long.MAX_VALUE;
    turn++;
    for (int i = 0; i < usable.size(); i++) {
      C candidate = usable.get(Math.floorMod(i + turn, usable.size()));
      long cost = cost(candidate, prefixes) + candidate.doubt();
      if (cost < least) {
        least = cost;
        best = candidate;
      }
    }
    return Optional.ofNullable(best);
  }

  /** In characters; where all are equal, whose turn it is gets the request. */
  private long cost(Candidate candidate, long[] prefixes) {
    long busy = (long) LIVE_CHARS * candidate.load();
    return switch (routing) {
      case PREFIX ->
          ((long) prefixes.length - candidate.known(prefixes)) * Prefixes.CHUNK_CHARS + busy;
      case LEAST_LOAD -> busy;
      case ROUND_ROBIN -> 0;
    };
  }
}
