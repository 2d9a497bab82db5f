package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.ModelCard;
import java.util.Optional;
import java.util.Set;

/**
 * What a node says of itself once a second. Immutable.
 *
 * @param name for operators
 * @param busAddress {@code host:port} of its event bus: another one is a lie
 * @param httpAddress {@code host:port} of its HTTP server
 * @param version of the program
 * @param card of the model that it generates with; empty: none (yet)
 * @param load how busy it is
 * @param tally what it has done
 * @param prefixes what it has lately read
 * @param room what it keeps for the engines of others
 */
record Announcement(
    String name,
    String busAddress,
    String httpAddress,
    String version,
    Set<Role> roles,
    Phase phase,
    Optional<ModelCard> card,
    Load load,
    Tally tally,
    PrefixSummary prefixes,
    CacheRoom room) {

  /** Of a node that has not announced itself. */
  static final Announcement NOTHING =
      new Announcement(
          "",
          "",
          "",
          "",
          Set.of(),
          Phase.LOADING,
          Optional.empty(),
          Load.NONE,
          Tally.NONE,
          PrefixSummary.EMPTY,
          CacheRoom.NONE);

  Announcement {
    roles = Set.copyOf(roles);
  }

  /** Where a node stands in its life. */
  enum Phase {
    /** Its model is not there yet. */
    LOADING,
    /** It does what its roles say. */
    SERVING,
    /** The same, but an operator has halted its engine: what gets there waits. */
    PAUSED,
    /** It takes no more work and finishes what it has. */
    DRAINING,
    /** It does nothing any more: who has streams there takes them elsewhere now. */
    LEAVING;

    /** Whether it takes work, of whatever its roles are. */
    boolean takesWork() {
      return this == SERVING || this == PAUSED;
    }
  }

  /**
   * How busy a node is; its engines together.
   *
   * @param streams sequences of its own clients, whichever engine has them
   * @param live sequences that its engines have, waiting and running
   * @param running sequences in its engines' steps
   * @param waiting sequences without blocks
   * @param blocksUsed blocks held by sequences
   * @param blocksTotal all blocks; 0: there is no engine
   * @param stepMillis how long the longest step under way has taken; 0: none is
   */
  record Load(
      int streams,
      int live,
      int running,
      int waiting,
      int blocksUsed,
      int blocksTotal,
      long stepMillis) {
    static final Load NONE = new Load(0, 0, 0, 0, 0, 0, 0);
  }

  /**
   * What a node's engines have done since its start, for operators.
   *
   * @param steps with work
   * @param prefixes that it remembers to have read: what {@link PrefixSummary} was made of
   * @param queriedTokens of prompts, looked for in the prefix cache
   * @param hitTokens of those, found
   * @param movedIn sequences that came from other nodes' engines
   * @param movedOut sequences that went on at other nodes' engines, while this one lived
   */
  record Tally(
      long steps, int prefixes, long queriedTokens, long hitTokens, long movedIn, long movedOut) {
    static final Tally NONE = new Tally(0, 0, 0, 0, 0, 0);
  }

  boolean generates() {
    return roles.contains(Role.ENGINE) && card.isPresent();
  }
}
