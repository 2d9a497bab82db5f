package io.verdier.engine.grammar;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The masks that were made last, of all grammars over a vocabulary. Owned by one thread, as are the
 * {@link TokenGrammar}s that share it. What was used longest ago is given up first, and made again
 * if it is asked for.
 */
public final class MaskStore {
  /** 64 MiB: some 4,000 masks of 128,000 tokens. */
  public static final long BYTES_MAX = 64L << 20;

  private static final long BYTES_OF_ENTRY = 150; // key, value and link

  private final long bytesMax;
  private final LinkedHashMap<Object, Entry> kept = new LinkedHashMap<>(16, 0.75f, true);
  private long bytes;

  private record Entry(TokenGrammar owner, Object value, long bytes) {}

  public MaskStore() {
    this(BYTES_MAX);
  }

  public MaskStore(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  @Nullable Object get(Object key) {
    Entry entry = kept.get(key);
    return entry == null ? null : entry.value;
  }

  void put(TokenGrammar owner, Object key, Object value, long valueBytes) {
    Entry before = kept.put(key, new Entry(owner, value, valueBytes + BYTES_OF_ENTRY));
    bytes += valueBytes + BYTES_OF_ENTRY - (before == null ? 0 : before.bytes);
    Iterator<Map.Entry<Object, Entry>> oldest = kept.entrySet().iterator();
    while (bytes > bytesMax && kept.size() > 1) {
      bytes -= oldest.next().getValue().bytes;
      oldest.remove();
    }
  }

  /** Gives up all that an owner put in. */
  void forget(TokenGrammar owner) {
    Iterator<Entry> entries = kept.values().iterator();
    while (entries.hasNext()) {
      Entry entry = entries.next();
      if (entry.owner == owner) {
        bytes -= entry.bytes;
        entries.remove();
      }
    }
  }

  /** At most what it was made for, and one entry. */
  public long bytes() {
    return bytes;
  }
}
