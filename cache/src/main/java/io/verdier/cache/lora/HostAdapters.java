package io.verdier.cache.lora;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Which adapters lie in host memory. Owned by the adapter thread.
 *
 * <p>There is a fixed number of rooms, numbered from 0. A room is free, in its taker's hands, or an
 * adapter's. Sequences pin their adapter from when it is granted until their end; what nobody pins
 * goes when its room is wanted, the one that has been unused longest first.
 */
final class HostAdapters {
  private final Deque<Integer> free = new ArrayDeque<>();
  private final Map<String, Entry> entries = new LinkedHashMap<>(16, 0.75f, true); // by use
  private long bytes;

  /** Owned like the books. An adapter in its room. */
  private static final class Entry {
    private final int room;
    private final long bytes;
    private int pins;

    private Entry(int room, long bytes) {
      this.room = room;
      this.bytes = bytes;
    }
  }

  /** An adapter that is to leave its room. */
  record Evicted(String identity, int room) {}

  HostAdapters(int rooms) {
    for (int room = 0; room < rooms; room++) {
      free.add(room);
    }
  }

  boolean has(String identity) {
    return entries.containsKey(identity);
  }

  int count() {
    return entries.size();
  }

  /** Of all that are there. */
  long bytes() {
    return bytes;
  }

  /** Takes a room that nobody has. */
  OptionalInt takeRoom() {
    Integer room = free.poll();
    return room == null ? OptionalInt.empty() : OptionalInt.of(room);
  }

  void giveBack(int room) {
    free.add(room);
  }

  /** An adapter lies in a room that was taken. */
  void put(String identity, int room, long size) {
    if (entries.put(identity, new Entry(room, size)) != null) {
      throw new IllegalStateException("adapter " + identity + " lies in two rooms");
    }
    bytes += size;
  }

  void pin(String identity) {
    entry(identity).pins++;
  }

  void unpin(String identity) {
    if (--entry(identity).pins < 0) {
      throw new IllegalStateException("adapter " + identity + " is unpinned once too often");
    }
  }

  private Entry entry(String identity) {
    Entry entry = entries.get(identity);
    if (entry == null) {
      throw new IllegalStateException("adapter " + identity + " is not in host memory");
    }
    return entry;
  }

  /** Forgets what has been unused longest; its room is in the caller's hands then. */
  Optional<Evicted> evict() {
    for (Map.Entry<String, Entry> each : entries.entrySet()) {
      Entry entry = each.getValue();
      if (entry.pins == 0) {
        Evicted evicted = new Evicted(each.getKey(), entry.room);
        bytes -= entry.bytes;
        entries.remove(each.getKey());
        return Optional.of(evicted);
      }
    }
    return Optional.empty();
  }
}
