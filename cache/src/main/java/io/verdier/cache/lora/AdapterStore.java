package io.verdier.cache.lora;

import io.verdier.cache.lora.HostAdapters.Evicted;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Brings adapters into host memory for those who want them. Owned by the adapter thread: every call
 * returns at once, and what takes time is left to {@link Hands}, which come back with what became
 * of it.
 *
 * <pre>
 *   want ── fetch ──────▶ line ── fill ──────────▶ host memory ── grant ──▶ pinned until released
 *           from disk or          needs a room;                             then longest unused
 *           from far away         recalls one                               goes first
 * </pre>
 *
 * <p><b>One flight.</b> All who want one source wait for one fetch, and all whose sources turn out
 * to have the same content for one room. A failure is told to those who waited for it, and stands
 * for a {@linkplain Setbacks while}; nobody else hears of it.
 *
 * <p><b>No starvation.</b> While a fetched adapter waits for a room, whoever comes behind waits
 * too, even for one that is there: pins of a popular adapter would never end else. Rooms come back,
 * because sequences end. What is fetched and waits is bounded, so that what it holds on the disk
 * is.
 *
 * <p><b>Content, not names.</b> What is known of a client's source is believed for a minute; then
 * it is asked again for its version, and read anew if that is another one. A source that cannot be
 * asked means what it meant, as long as that is in host memory.
 *
 * @param <A> an adapter that was fetched: open files
 * @param <W> who wants one
 * @param <F> why there is none
 */
public final class AdapterStore<A, W, F> {
  /** Fetches at once, adapters that wait for a room counted in; so many threads are of use. */
  public static final int OPEN_MAX = 16;

  private static final int OPEN_PER_ORIGIN_MAX = 8;
  private static final long BELIEVED_NANOS = 60_000_000_000L;
  private static final int KNOWN_MAX = 4096;

  private final Hands<A, W, F> hands;
  private final LongSupplier nanos;
  private final HostAdapters host;
  private final FetchQueue queue = new FetchQueue(OPEN_PER_ORIGIN_MAX);
  private final Setbacks<F> setbacks = new Setbacks<>();
  private final Map<AdapterSource, List<Want<W>>> flights = new HashMap<>();
  private final Map<AdapterSource, Known> known = new LinkedHashMap<>(); // oldest first
  private final Deque<Ready<A, W>> line = new ArrayDeque<>();
  private final Map<String, Filling<A, W>> fillings = new HashMap<>(); // by identity
  private final Map<Long, Want<W>> waiting = new HashMap<>(); // by sequence
  private final Map<Long, String> granted = new HashMap<>(); // identity by sequence
  private int returning; // rooms that are recalled
  private long loads;
  private long failures;
  private long evictions;

  /**
   * Does what takes time, beside; each call returns at once.
   *
   * @param <A> an adapter that was fetched
   * @param <W> who wants one
   * @param <F> why there is none
   */
  public interface Hands<A, W, F> {
    /**
     * Has the source's files on the disk and reads them; ends in {@link #onFetched} or {@link
     * #onFetchFailed}.
     *
     * @param version of the files that are in host memory: those need not be read; empty: none
     */
    void fetch(AdapterSource source, String version);

    /** Lays it out in a room; ends in {@link #onFilled} or {@link #onFillFailed}. */
    void fill(String identity, A adapter, int room);

    /** Its files are not needed any more. */
    void discard(A adapter);

    /** The device may take it from this room from now on. */
    void lend(String identity, int room);

    /** The device must not take it any more; ends in {@link #onReturned}. */
    void recall(String identity, int room);

    /** It is there, pinned for the sequences that were named. */
    void grant(W who, String identity);

    /** There is none. */
    void refuse(W who, F why);
  }

  /**
   * What a fetch has brought. Immutable but for what it holds.
   *
   * @param identity hash of its content; not read where there is no adapter
   * @param version of its files
   * @param adapter null: the version is the one that was named
   */
  public record Fetched<A>(String identity, String version, @Nullable A adapter) {}

  /**
   * Numbers for the metrics. Immutable.
   *
   * @param loads adapters laid out in host memory so far
   * @param failures fetches and layouts that have failed so far
   * @param evictions adapters that left host memory so far
   * @param hostCount adapters there now
   * @param hostBytes of these
   * @param waiting sequences that wait for one
   */
  public record Stats(
      long loads, long failures, long evictions, int hostCount, long hostBytes, int waiting) {}

  private record Known(String identity, String version, long sinceNanos, boolean isUnreachable) {}

  /** Waits for its turn: with files that wait for a room, or for what was there when it came. */
  private record Ready<A, W>(
      AdapterSource source, String identity, @Nullable A adapter, List<Want<W>> wants) {}

  private record Filling<A, W>(AdapterSource source, A adapter, int room, List<Want<W>> wants) {}

  /**
   * @param rooms adapters that host memory may have
   * @param nanos the time
   */
  public AdapterStore(int rooms, Hands<A, W, F> hands, LongSupplier nanos) {
    this.host = new HostAdapters(rooms);
    this.hands = hands;
    this.nanos = nanos;
  }

  public Stats stats() {
    return new Stats(loads, failures, evictions, host.count(), host.bytes(), waiting.size());
  }

  /**
   * Sequences want an adapter. Answered once: by a grant, or a refusal, unless all of them are
   * released before.
   */
  public void want(W who, AdapterSource source, long... keys) {
    Want<W> want = new Want<>(who, source, keys);
    for (long key : keys) {
      waiting.put(key, want);
    }
    enter(want);
  }

  private void enter(Want<W> want) {
    String identity = identity(want.source);
    Filling<A, W> filling = fillings.get(identity);
    if (filling != null) {
      filling.wants.add(want);
    } else if (!host.has(identity)) {
      fly(want);
    } else if (line.isEmpty()) {
      grant(want, identity);
    } else {
      line.add(new Ready<>(want.source, identity, null, List.of(want)));
    }
  }

  /** Of its content, as far as that is known for sure; empty: it is not. */
  private String identity(AdapterSource source) {
    if (!source.identity().isEmpty()) {
      return source.identity();
    }
    Known there = source.isReadAnew() ? null : known.get(source);
    return there != null && nanos.getAsLong() - there.sinceNanos < BELIEVED_NANOS
        ? there.identity
        : "";
  }

  private void fly(Want<W> want) {
    List<Want<W>> flight = flights.get(want.source);
    if (flight != null) {
      flight.add(want);
      return;
    }
    Optional<F> standing = setbacks.of(want.source, nanos.getAsLong());
    if (standing.isPresent() && !want.source.isReadAnew()) {
      refuse(want, standing.get());
      return;
    }
    flights.put(want.source, new ArrayList<>(List.of(want)));
    queue.add(want.source);
    fetchNext();
  }

  private void fetchNext() {
    while (queue.runningCount() + openCount() < OPEN_MAX) {
      Optional<AdapterSource> next = queue.begin();
      if (next.isEmpty()) {
        return;
      }
      AdapterSource source = next.get();
      Known there = source.isReadAnew() ? null : known.get(source);
      hands.fetch(source, there != null && host.has(there.identity) ? there.version : "");
    }
  }

  /** Adapters whose files are open. */
  private int openCount() {
    return fillings.size() + roomless();
  }

  /** Those of them that have no room yet. */
  private int roomless() {
    return (int) line.stream().filter(ready -> ready.adapter != null).count();
  }

  /** A fetch has brought something. */
  public void onFetched(AdapterSource source, Fetched<A> fetched) {
    queue.end(source);
    setbacks.succeeded(source);
    String identity = know(source, fetched);
    line.add(new Ready<>(source, identity, fetched.adapter, landed(source)));
    progress();
  }

  private String know(AdapterSource source, Fetched<A> fetched) {
    Known before = known.remove(source);
    String identity =
        fetched.adapter == null && before != null ? before.identity : fetched.identity;
    known.put(source, new Known(identity, fetched.version, nanos.getAsLong(), false));
    if (known.size() > KNOWN_MAX) {
      known.remove(known.keySet().iterator().next());
    }
    return identity;
  }

  private List<Want<W>> landed(AdapterSource source) {
    List<Want<W>> wants = flights.remove(source);
    if (wants == null) {
      throw new IllegalStateException("nobody wanted " + source.shown());
    }
    return wants;
  }

  /**
   * A fetch has failed because nobody answers for the source: neither that there is another
   * version, nor that there is none any more.
   *
   * @return whether it is news that what is in host memory is served instead
   */
  public boolean onUnreachable(AdapterSource source, F why) {
    Known there = source.isReadAnew() ? null : known.get(source);
    if (there == null || !host.has(there.identity)) {
      onFetchFailed(source, why);
      return false;
    }
    queue.end(source);
    known.put(source, new Known(there.identity, there.version, nanos.getAsLong(), true));
    line.add(new Ready<>(source, there.identity, null, landed(source)));
    progress();
    return !there.isUnreachable;
  }

  /** A fetch has failed. */
  public void onFetchFailed(AdapterSource source, F why) {
    queue.end(source);
    known.remove(source);
    fail(source, landed(source), why);
    progress();
  }

  private void fail(AdapterSource source, List<Want<W>> wants, F why) {
    failures++;
    setbacks.failed(source, why, nanos.getAsLong());
    wants.forEach(want -> refuse(want, why));
  }

  /** Serves the line from its head, as far as there is room. */
  private void progress() {
    while (!line.isEmpty()) {
      Ready<A, W> head = line.getFirst();
      Filling<A, W> filling = fillings.get(head.identity);
      boolean isWanted = head.wants.stream().anyMatch(want -> !want.keys.isEmpty());
      if (isWanted && !host.has(head.identity) && filling == null && head.adapter != null) {
        OptionalInt room = host.takeRoom();
        if (room.isEmpty()) {
          recall();
          break;
        }
        line.removeFirst();
        fillings.put(
            head.identity,
            new Filling<>(head.source, head.adapter, room.getAsInt(), new ArrayList<>(head.wants)));
        hands.fill(head.identity, head.adapter, room.getAsInt());
        continue;
      }
      line.removeFirst();
      if (head.adapter != null) {
        hands.discard(head.adapter);
      }
      if (host.has(head.identity)) {
        head.wants.forEach(want -> grant(want, head.identity));
      } else if (filling != null) {
        filling.wants.addAll(head.wants);
      } else { // it has gone meanwhile
        head.wants.stream().filter(want -> !want.keys.isEmpty()).forEach(this::fly);
      }
    }
    fetchNext();
  }

  /** As many rooms as are waited for, if so many are unused. */
  private void recall() {
    while (returning < roomless()) {
      Optional<Evicted> evicted = host.evict();
      if (evicted.isEmpty()) {
        return;
      }
      evictions++;
      returning++;
      hands.recall(evicted.get().identity(), evicted.get().room());
    }
  }

  /** The device is done with what was in this room. */
  public void onReturned(int room) {
    returning--;
    host.giveBack(room);
    progress();
  }

  /** An adapter lies in its room, and takes so many bytes. */
  public void onFilled(String identity, long bytes) {
    Filling<A, W> filling = filled(identity);
    loads++;
    host.put(identity, filling.room, bytes);
    hands.lend(identity, filling.room);
    filling.wants.forEach(want -> grant(want, identity));
    progress();
  }

  /** An adapter could not be laid out. */
  public void onFillFailed(String identity, F why) {
    Filling<A, W> filling = filled(identity);
    host.giveBack(filling.room);
    fail(filling.source, filling.wants, why);
    progress();
  }

  private Filling<A, W> filled(String identity) {
    Filling<A, W> filling = fillings.remove(identity);
    if (filling == null) {
      throw new IllegalStateException("nobody lays out " + identity);
    }
    hands.discard(filling.adapter);
    return filling;
  }

  private void grant(Want<W> want, String identity) {
    if (want.keys.isEmpty()) {
      return; // all of them are gone
    }
    for (long key : want.keys) {
      waiting.remove(key);
      host.pin(identity);
      granted.put(key, identity);
    }
    hands.grant(want.who, identity);
  }

  private void refuse(Want<W> want, F why) {
    if (!want.keys.isEmpty()) {
      want.keys.forEach(waiting::remove);
      hands.refuse(want.who, why);
    }
  }

  /** Sequences have ended, wherever they were; those that want nothing are ignored. */
  public void release(long... keys) {
    for (long key : keys) {
      String identity = granted.remove(key);
      if (identity != null) {
        host.unpin(identity);
      }
      Want<W> want = waiting.remove(key);
      if (want != null) {
        want.keys.remove(key);
      }
    }
    progress();
  }
}
