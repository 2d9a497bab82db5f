package io.verdier.verticles.cluster.keep;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.RemoteDone.Answer;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.host.RemoteWork.Write;
import io.verdier.cache.kv.BlockHash;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.verticles.bus.CacheNodes.Address;
import io.verdier.verticles.cluster.keep.CacheFrame.Ask;
import io.verdier.verticles.cluster.keep.CacheFrame.Erase;
import io.verdier.verticles.cluster.keep.CacheFrame.Forget;
import io.verdier.verticles.cluster.keep.CacheFrame.Found;
import io.verdier.verticles.cluster.keep.CacheFrame.Get;
import io.verdier.verticles.cluster.keep.CacheFrame.Given;
import io.verdier.verticles.cluster.keep.CacheFrame.Hello;
import io.verdier.verticles.cluster.keep.CacheFrame.Kept;
import io.verdier.verticles.cluster.keep.CacheFrame.Missing;
import io.verdier.verticles.cluster.keep.CacheFrame.Put;
import io.verdier.verticles.cluster.keep.CacheFrame.Refused;
import io.verdier.verticles.cluster.keep.CacheFrame.Welcome;
import io.verdier.verticles.cluster.socket.SealedSocket;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an engine has to do with one cache node, over one connection after the other. Owned by the
 * engine's {@link RemoteVerticle}. No clock: the owner says how much time has passed.
 *
 * <pre>
 *   APART ──connect──▶ CALLING ──Welcome──▶ OPEN
 *     ▲                   │                   │ closed, silent for too long, or one piece of
 *     └───── pause ◀──────┴───────────────────┘ work not done in {@value #WORK_MILLIS_MAX} ms
 * </pre>
 *
 * <p>Everything that was begun is settled, as failed when the connection goes. What comes for it
 * later is not listened to: a slot of host memory is filled only while somebody waits for it.
 */
final class CacheLink implements SealedSocket.Listener<CacheFrame> {
  private static final Logger LOG = LoggerFactory.getLogger(CacheLink.class);

  private static final long PAUSE_MILLIS_MIN = 250;
  private static final long PAUSE_MILLIS_MAX = 8_000;

  /** However steadily its bytes trickle, so slow a cache node is of no use. */
  private static final long WORK_MILLIS_MAX = 10_000;

  final Address address;
  private final RemoteTier tier;
  private final long patienceMillis;
  private final Consumer<RemoteDone> done;
  private final Map<Long, Pending> pending = new LinkedHashMap<>(); // oldest first
  private State state = State.APART;
  private @Nullable SealedSocket<CacheFrame> socket; // of the last call, open or to be opened
  private long calls;
  private long ids;
  private long nowMillis; // that this node was awake
  private long heardMillis;
  private long pauseMillis = PAUSE_MILLIS_MIN;
  private long pausedUntilMillis;

  private enum State {
    APART,
    CALLING,
    OPEN
  }

  /** What an answer is awaited for; a question before writes has several. */
  private record Pending(long sinceMillis, List<? extends RemoteWork> work, Step step) {}

  private enum Step {
    ASKING,
    GETTING,
    /** Which of these are there already? */
    PROBING,
    PUTTING
  }

  /**
   * @param patienceMillis after so much silence it is given up for a while
   * @param done what has come of the work
   */
  CacheLink(Address address, RemoteTier tier, long patienceMillis, Consumer<RemoteDone> done) {
    this.address = address;
    this.tier = tier;
    this.patienceMillis = patienceMillis;
    this.done = done;
  }

  boolean isOpen() {
    return state == State.OPEN;
  }

  /** Whether a connection is to be made now. */
  boolean wantsCall() {
    return state == State.APART && nowMillis >= pausedUntilMillis;
  }

  /** One is being made; returns the number of this call. */
  long call() {
    state = State.CALLING;
    heardMillis = nowMillis;
    return ++calls;
  }

  /** It was made, maybe too late: a connection that nobody waits for must not stay. */
  void onCalled(long call, SealedSocket<CacheFrame> made) {
    if (isAwaited(call)) {
      socket = made;
    } else {
      made.close("nobody waits for it any more");
    }
  }

  /** It could not be made. */
  void onCallFailed(long call) {
    if (isAwaited(call)) {
      part("");
    }
  }

  private boolean isAwaited(long call) {
    return state == State.CALLING && call == calls && socket == null;
  }

  // ---- Work ----------------------------------------------------------------------------------

  void ask(RemoteWork.Ask ask) {
    send(new Ask(begin(List.of(ask), Step.ASKING), ask.names()));
  }

  void read(RemoteWork.Read read) {
    send(new Get(begin(List.of(read), Step.GETTING), read.name()));
  }

  /** Those that are there already are not sent. */
  void write(List<Write> writes) {
    List<BlockHash> names = writes.stream().map(Write::name).toList();
    send(new Ask(begin(writes, Step.PROBING), names));
  }

  /** What was to be written under this name is not. */
  void erase(BlockHash name) {
    for (Map.Entry<Long, Pending> entry : pending.entrySet()) {
      Pending probing = entry.getValue();
      if (probing.step == Step.PROBING) {
        List<RemoteWork> left = new ArrayList<>();
        for (RemoteWork work : probing.work) {
          if (work instanceof Write write && write.name().equals(name)) {
            done.accept(new Settled(write.id(), Outcome.FAILED));
            left.add(new RemoteWork.Erase(name)); // keeps the place of its answer
          } else {
            left.add(work);
          }
        }
        entry.setValue(new Pending(probing.sinceMillis, left, Step.PROBING));
      }
    }
    send(new Erase(name));
  }

  void forget() {
    send(new Forget());
  }

  private long begin(List<? extends RemoteWork> work, Step step) {
    if (pending.isEmpty()) {
      heardMillis = nowMillis; // it had nothing to say before
    }
    pending.put(ids, new Pending(nowMillis, work, step));
    return ids++;
  }

  private void send(CacheFrame frame) {
    SealedSocket<CacheFrame> current = socket;
    if (current != null) {
      current.send(frame);
    }
  }

  // ---- What comes ----------------------------------------------------------------------------

  @Override
  public void onOpen(SealedSocket<CacheFrame> opened) {
    if (opened == socket) {
      opened.send(new Hello(tier.identity(), tier.blockBytes()));
    }
  }

  @Override
  public void onFrame(SealedSocket<CacheFrame> from, CacheFrame frame) {
    if (from != socket) {
      return;
    }
    heardMillis = nowMillis;
    switch (frame) {
      case Welcome ignored -> {
        if (state == State.CALLING) {
          LOG.info("Cache node {}:{} keeps prefixes", address.host(), address.port());
          state = State.OPEN;
        }
      }
      case Refused refused -> {
        LOG.warn("A cache node keeps nothing of this engine: {}", refused.reason());
        pauseMillis = PAUSE_MILLIS_MAX;
        part("it refuses");
      }
      case Found found -> onFound(found);
      case Given given -> onGiven(given);
      case Missing missing -> settle(take(missing.id(), Step.GETTING), Outcome.FAILED);
      case Kept kept ->
          settle(take(kept.id(), Step.PUTTING), kept.isKept() ? Outcome.DONE : Outcome.FAILED);
      case Hello _, Ask _, Get _, Put _, Erase _, Forget _ ->
          part("that is not a cache node's word");
    }
  }

  private @Nullable Pending take(long id, Step... steps) {
    Pending one = pending.get(id);
    if (one == null || !List.of(steps).contains(one.step)) {
      part("it answers what was not asked");
      return null;
    }
    pauseMillis = PAUSE_MILLIS_MIN;
    return pending.remove(id);
  }

  private void onFound(Found found) {
    Pending asked = take(found.id(), Step.ASKING, Step.PROBING);
    if (asked == null) {
      return;
    }
    BitSet there = BitSet.valueOf(found.there());
    if (asked.step == Step.ASKING && asked.work.getFirst() instanceof RemoteWork.Ask ask) {
      done.accept(new Answer(ask.id(), there.nextClearBit(0)));
      return;
    }
    for (int i = 0; i < asked.work.size(); i++) {
      if (asked.work.get(i) instanceof Write write) {
        put(write, there.get(i));
      }
    }
  }

  private void put(Write write, boolean isThere) {
    Block block = isThere ? null : tier.copyOf(write.hostSlot());
    if (block == null) {
      done.accept(new Settled(write.id(), isThere ? Outcome.WAS_THERE : Outcome.FAILED));
      return;
    }
    send(new Put(begin(List.of(write), Step.PUTTING), write.name(), block));
  }

  private void onGiven(Given given) {
    Pending reading = take(given.id(), Step.GETTING);
    if (reading != null && reading.work.getFirst() instanceof RemoteWork.Read read) {
      boolean isWhole = tier.fill(read.hostSlot(), given.block());
      if (!isWhole) {
        send(new Erase(read.name())); // else nobody would ever bring it again
      }
      settle(reading, isWhole ? Outcome.DONE : Outcome.FAILED);
    }
  }

  private void settle(@Nullable Pending over, Outcome outcome) {
    if (over != null) {
      over.work.forEach(work -> settle(work, outcome));
    }
  }

  private void settle(RemoteWork work, Outcome outcome) {
    switch (work) {
      case RemoteWork.Ask ask -> done.accept(new Answer(ask.id(), 0));
      case RemoteWork.Read read -> done.accept(new Settled(read.id(), outcome));
      case Write write -> done.accept(new Settled(write.id(), outcome));
      case RemoteWork.Erase _, RemoteWork.Forget _ -> {} // nobody waits
    }
  }

  // ---- The end of a connection ---------------------------------------------------------------

  /** So much time has passed. */
  void tick(long millis) {
    nowMillis += millis;
    boolean awaits = state == State.CALLING || !pending.isEmpty();
    if (awaits && nowMillis - heardMillis > patienceMillis) {
      part("it has said nothing for " + (nowMillis - heardMillis) + " ms");
    } else if (!pending.isEmpty()
        && nowMillis - pending.values().iterator().next().sinceMillis
            > Math.max(WORK_MILLIS_MAX, patienceMillis)) {
      part("it is too slow");
    }
  }

  @Override
  public void onClosed(SealedSocket<CacheFrame> closed, String problem) {
    if (closed == socket) {
      part(problem.isEmpty() ? "it closed the connection" : problem);
    }
  }

  /** It is not in sight any more. */
  void close() {
    part("");
  }

  private void part(String why) {
    if (state == State.OPEN && !why.isEmpty()) {
      LOG.warn("Cache node {}:{} is not used now: {}", address.host(), address.port(), why);
    }
    state = State.APART;
    pausedUntilMillis = nowMillis + pauseMillis;
    pauseMillis = Math.min(2 * pauseMillis, PAUSE_MILLIS_MAX);
    SealedSocket<CacheFrame> old = socket;
    socket = null;
    if (old != null) {
      old.close(why);
    }
    List<Pending> lost = List.copyOf(pending.values());
    pending.clear();
    lost.forEach(over -> settle(over, Outcome.FAILED));
  }
}
