package io.verdier.verticles.http;

import io.verdier.verticles.bus.ServerState;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Thread-safe: the one gate for work, shared by all HTTP instances through one atomic count (see
 * docs/adr/0002-shared-admission-counter.md).
 *
 * <p>A request holds one place from the moment its headers are accepted, so that bodies being read
 * are bounded too (in time as well, see {@link BodyReader}), and one place per sequence once it is
 * parsed. Places come back one by one as the engine says that sequences have ended, wanted or not;
 * the last one not before the answer has left, so that answers nobody reads are bounded, and a
 * drain waits for their last bytes.
 */
public final class Admission {
  private final int placesMax;
  private final BodyBudget bodies;
  private final AtomicInteger taken = new AtomicInteger();
  private final AtomicInteger requests = new AtomicInteger();
  private volatile ServerState state = new ServerState.Loading();

  /**
   * @param placesMax sequences alive at once, waiting and running together
   * @param bodies of the requests whose bodies are being read
   */
  public Admission(int placesMax, BodyBudget bodies) {
    if (placesMax < 1) {
      throw new IllegalArgumentException("placesMax " + placesMax);
    }
    this.placesMax = placesMax;
    this.bodies = bodies;
  }

  public int placesMax() {
    return placesMax;
  }

  /** What holds the bodies that are being read. */
  public BodyBudget bodies() {
    return bodies;
  }

  /** Places taken now. */
  public int taken() {
    return taken.get();
  }

  /** Requests that were admitted and whose answer has not left, however many places they hold. */
  public int requests() {
    return requests.get();
  }

  /** Takes one place; empty when none is left. */
  public Optional<Permit> admit() {
    if (!take(1)) {
      return Optional.empty();
    }
    requests.incrementAndGet();
    return Optional.of(new Permit());
  }

  /** The latest state that was announced, for instances that start later. */
  public ServerState state() {
    return state;
  }

  /**
   * Remembers an announcement. States only move forward, so the order of instances is no matter;
   * but for those of equal rank, of which each instance minds what it heard itself.
   */
  public synchronized void onState(ServerState announced) {
    if (rank(announced) >= rank(state)) {
      state = announced;
    }
  }

  private static int rank(ServerState state) {
    return switch (state) {
      case ServerState.Loading ignored -> 0;
      case ServerState.Ready ignored -> 1;
      case ServerState.Adrift ignored -> 1;
      case ServerState.Draining ignored -> 2;
      case ServerState.Stopping ignored -> 3;
      case ServerState.Failed ignored -> 4;
    };
  }

  private boolean take(int places) {
    int now = taken.get();
    while (now + places <= placesMax) {
      int witness = taken.compareAndExchange(now, now + places);
      if (witness == now) {
        return true;
      }
      now = witness;
    }
    return false;
  }

  /**
   * Places of one request: one per sequence whose end is not back, and at least one while its
   * answer has not left. Owned by the event loop of its connection.
   */
  public final class Permit {
    private int held = 1;
    private int sequences;
    private boolean closed;

    private Permit() {}

    /** Changes the one place into {@code places}; false, and nothing changed, if they are taken. */
    boolean extend(int places) {
      if (held != 1 || sequences != 0 || closed || places < 1) {
        throw new IllegalStateException("permit of " + held + " extended to " + places);
      }
      if (places > 1 && !take(places - 1)) {
        return false;
      }
      held = places;
      sequences = places;
      return true;
    }

    /** One sequence ended. */
    void releaseOne() {
      if (sequences > 0) {
        sequences--;
        settle();
      }
    }

    /** The answer has left, or there will be none. */
    void close() {
      if (!closed) {
        requests.decrementAndGet();
      }
      closed = true;
      settle();
    }

    private void settle() {
      int needed = Math.max(sequences, closed ? 0 : 1);
      taken.addAndGet(needed - held);
      held = needed;
    }
  }
}
