package io.verdier.verticles.respond;

import io.verdier.verticles.bus.StoredResponse;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Responses by id, the oldest of which make way. Owned by the verticle's thread.
 *
 * <p>All three bounds hold at once: number, bytes and age. Age is that of the response, not of its
 * last use: what a client relies on does not depend on who else asked.
 */
final class ResponseStore {
  /** What an object costs beside its characters, about: header, references, table of a map. */
  private static final int OBJECT_BYTES = 64;

  private final int entriesMax;
  private final long bytesMax;
  private final long ageMaxNanos;
  private final Map<String, Entry> entries = new HashMap<>();
  private final Deque<Entry> byAge = new ArrayDeque<>();
  private long bytes;

  private record Entry(StoredResponse response, long bytes, long storedNanos) {}

  ResponseStore(int entriesMax, long bytesMax, long ageMaxNanos) {
    this.entriesMax = entriesMax;
    this.bytesMax = bytesMax;
    this.ageMaxNanos = ageMaxNanos;
  }

  /** Keeps the response, unless it is larger than all that may be kept. */
  void put(StoredResponse response, long nowNanos) {
    Entry entry = new Entry(response, size(response), nowNanos);
    if (entry.bytes() > bytesMax) {
      return;
    }
    if (entries.put(response.id(), entry) != null) {
      throw new IllegalStateException("two responses have the id " + response.id());
    }
    byAge.add(entry);
    bytes += entry.bytes();
    trim(nowNanos);
  }

  Optional<StoredResponse> get(String id, long nowNanos) {
    trim(nowNanos);
    return Optional.ofNullable(entries.get(id)).map(Entry::response);
  }

  /** Drops what is too old or too much. */
  void trim(long nowNanos) {
    while (!byAge.isEmpty()) {
      Entry oldest = byAge.getFirst();
      if (byAge.size() <= entriesMax
          && bytes <= bytesMax
          && nowNanos - oldest.storedNanos() < ageMaxNanos) {
        return;
      }
      byAge.removeFirst();
      entries.remove(oldest.response().id());
      bytes -= oldest.bytes();
    }
  }

  int size() {
    return byAge.size();
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
