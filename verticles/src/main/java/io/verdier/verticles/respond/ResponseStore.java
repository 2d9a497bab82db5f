package io.verdier.verticles.respond;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.BackgroundResponse.Page;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.bus.StoredResponse.Stage;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Responses by id, the oldest of which make way. Owned by the verticle's thread.
 *
 * <p>All three bounds hold at once: number, bytes and age. Age is that of the response, not of its
 * last use: what a client relies on does not depend on who else asked. A response that is being
 * made in the background counts, but neither ages nor makes way: its client was promised to find
 * it. So none begins where those alone fill the store, and events that would overfill it are given
 * up.
 */
final class ResponseStore {
  /** What an object costs beside its characters, about: header, references, table of a map. */
  private static final int OBJECT_BYTES = 64;

  /** Who may wait for one response at a time. */
  static final int WAITERS_MAX = 256;

  /** Of events in one answer; several such answers may wait to be read. */
  private static final int PAGE_BYTES_MAX = 64 * 1024;

  private final int entriesMax;
  private final long bytesMax;
  private final long ageMaxNanos;
  private final Map<String, Entry> entries = new LinkedHashMap<>(); // the oldest first
  private long bytes;

  /** Somebody who waits for what comes of a response. Hears of one thing, once. */
  interface Waiter {
    /** It has come further, has ended or was dropped. */
    void onNews();

    /** Nobody wants to know any more. */
    void onLeft();
  }

  /** One response, and who waits for what comes of it. */
  private static final class Entry {
    private final boolean background;
    private StoredResponse response;
    private @Nullable EventLog events; // null: they are not kept
    private boolean lostEvents;
    private long bytes;
    private long storedNanos;
    private Map<String, Waiter> waiting = new LinkedHashMap<>(); // by name

    Entry(StoredResponse response, boolean background, @Nullable EventLog events, long nowNanos) {
      this.response = response;
      this.background = background;
      this.events = events;
      this.storedNanos = nowNanos;
    }

    boolean isUnderWay() {
      return response.stage() == Stage.UNDER_WAY;
    }

    long size() {
      return ResponseStore.size(response) + (events == null ? 0 : events.size());
    }
  }

  ResponseStore(int entriesMax, long bytesMax, long ageMaxNanos) {
    this.entriesMax = entriesMax;
    this.bytesMax = bytesMax;
    this.ageMaxNanos = ageMaxNanos;
  }

  /**
   * A response is made in the background from now on.
   *
   * @throws RejectedException if those that are being made fill the store
   */
  void begin(String id, byte[] json, boolean keepsEvents, long nowNanos) {
    StoredResponse response = new StoredResponse(id, Stage.UNDER_WAY, json, List.of());
    Entry entry = new Entry(response, true, keepsEvents ? new EventLog() : null, nowNanos);
    add(entry);
    trim(nowNanos);
    if (isTooMuch()) {
      remove(id);
      throw new RejectedException(
          ErrorCode.OVERLOADED,
          "The responses that are being made in the background fill what the server keeps"
              + " (--max-stored-responses, --max-stored-response-bytes). Try again later.",
          "background");
    }
  }

  /**
   * One that is under way has come further; nothing where it was dropped.
   *
   * @param json null: as before
   */
  void advance(String id, byte @Nullable [] json, byte[] events, long nowNanos) {
    Entry entry = entries.get(id);
    if (entry == null || !entry.isUnderWay()) {
      return;
    }
    if (json != null) {
      entry.response = new StoredResponse(id, Stage.UNDER_WAY, json, List.of());
    }
    if (entry.events != null) {
      entry.events.append(events);
    }
    recount(entry);
    if (isTooMuch()) {
      trim(nowNanos);
    }
    boolean tooMuch = isTooMuch() || (entry.events != null && entry.events.isFull());
    if (tooMuch && entry.events != null) {
      entry.events = null;
      entry.lostEvents = true;
      recount(entry);
    }
    wake(entry);
  }

  /** Keeps a response that has ended, unless it is larger than all that may be kept. */
  void put(StoredResponse response, long nowNanos) {
    Entry before = remove(response.id());
    if (before != null && !before.isUnderWay()) {
      throw new IllegalStateException("two responses have the id " + response.id());
    }
    Entry entry =
        new Entry(response, before != null, before == null ? null : before.events, nowNanos);
    entry.lostEvents = before != null && before.lostEvents;
    if (entry.size() <= bytesMax) {
      add(entry); // as the youngest
      trim(nowNanos);
    }
    if (before != null) {
      wake(before);
    }
  }

  /** One that was begun is not made after all. */
  void drop(String id) {
    Entry entry = remove(id);
    if (entry != null) {
      wake(entry);
    }
  }

  Optional<StoredResponse> get(String id, long nowNanos) {
    trim(nowNanos);
    return Optional.ofNullable(entries.get(id)).map(entry -> entry.response);
  }

  /** Whether the response was, or is being, made in the background. */
  boolean isBackground(String id) {
    Entry entry = entries.get(id);
    return entry != null && entry.background;
  }

  /**
   * Calls when there is news of the response.
   *
   * @param name of the waiter, for {@link #leave}
   * @throws RejectedException if too many wait for it already
   */
  void await(String id, String name, Waiter waiter) {
    Entry entry = entries.get(id);
    if (entry == null || !entry.isUnderWay()) {
      throw new IllegalStateException("nothing more will come of " + id);
    }
    if (entry.waiting.size() >= WAITERS_MAX) {
      throw new RejectedException(
          ErrorCode.OVERLOADED,
          "%d requests wait for the response, and no more can. Try again later."
              .formatted(WAITERS_MAX),
          null);
    }
    entry.waiting.put(name, waiter);
  }

  /** Who waited for the response, if anybody of that name did, does not any more. */
  void leave(String id, String name) {
    Entry entry = entries.get(id);
    Waiter waiter = entry == null ? null : entry.waiting.remove(name);
    if (waiter != null) {
      waiter.onLeft();
    }
  }

  /**
   * Events behind the one of that number; empty where they are still to come.
   *
   * @throws RejectedException if the response's events are not kept
   */
  Optional<Page> events(String id, int after) {
    Entry entry = entries.get(id);
    if (entry == null || entry.events == null) {
      boolean lost = entry != null && entry.lostEvents;
      throw RejectedException.invalid(
          "stream",
          lost
              ? "The events of the response are no longer kept: they were more than"
                  + " --max-stored-response-bytes leaves room for. Ask without stream."
              : "Only events of a response that was asked for with background and stream are kept."
                  + " Ask without stream.");
    }
    return entry.events.hasAfter(after) || !entry.isUnderWay()
        ? Optional.of(entry.events.page(after, PAGE_BYTES_MAX, !entry.isUnderWay()))
        : Optional.empty();
  }

  /** Drops what is too old or too much. */
  void trim(long nowNanos) {
    Iterator<Entry> oldestFirst = entries.values().iterator();
    while (oldestFirst.hasNext()) {
      Entry entry = oldestFirst.next();
      if (!entry.isUnderWay()) {
        if (!isTooMuch() && nowNanos - entry.storedNanos < ageMaxNanos) {
          return;
        }
        oldestFirst.remove();
        bytes -= entry.bytes;
      }
    }
  }

  private boolean isTooMuch() {
    return entries.size() > entriesMax || bytes > bytesMax;
  }

  private void add(Entry entry) {
    if (entries.put(entry.response.id(), entry) != null) {
      throw new IllegalStateException("two responses have the id " + entry.response.id());
    }
    recount(entry);
  }

  private @Nullable Entry remove(String id) {
    Entry entry = entries.remove(id);
    if (entry != null) {
      bytes -= entry.bytes;
    }
    return entry;
  }

  private void recount(Entry entry) {
    long size = entry.size();
    bytes += size - entry.bytes;
    entry.bytes = size;
  }

  /** Who waits may wait again. */
  private static void wake(Entry entry) {
    Map<String, Waiter> woken = entry.waiting;
    entry.waiting = new LinkedHashMap<>();
    woken.values().forEach(Waiter::onNews);
  }

  int size() {
    return entries.size();
  }

  /** Never less than what the response holds alone; what it shares with others counts for each. */
  private static long size(StoredResponse response) {
    return OBJECT_BYTES + response.json().length + size(response.messages());
  }

  private static long size(@Nullable Object value) {
    return switch (value) {
      case String text -> OBJECT_BYTES + 2L * text.length();
      case List<?> list -> OBJECT_BYTES + list.stream().mapToLong(ResponseStore::size).sum();
      case Map<?, ?> map ->
          OBJECT_BYTES
              + map.entrySet().stream()
                  .mapToLong(entry -> OBJECT_BYTES + size(entry.getKey()) + size(entry.getValue()))
                  .sum();
      case null, default -> OBJECT_BYTES;
    };
  }
}
