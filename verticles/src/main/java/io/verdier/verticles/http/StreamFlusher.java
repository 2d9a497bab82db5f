package io.verdier.verticles.http;

import io.vertx.core.Context;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Owned by one event loop: writes each stream with news once per turn of the loop.
 *
 * <p>Tasks of the loop run in order, so a flush queued at the first delta runs after all messages
 * that were waiting then.
 */
final class StreamFlusher {
  private static final Logger LOG = LoggerFactory.getLogger(StreamFlusher.class);

  private final Context context;
  private List<SseStream> dirty = new ArrayList<>();
  private List<SseStream> writing = new ArrayList<>();

  StreamFlusher(Context context) {
    this.context = context;
  }

  void add(SseStream stream) {
    if (dirty.isEmpty()) {
      context.runOnContext(ignored -> flush());
    }
    dirty.add(stream);
  }

  private void flush() {
    List<SseStream> now = dirty;
    dirty = writing;
    writing = now;
    try {
      now.forEach(StreamFlusher::flush);
    } finally {
      now.clear();
    }
  }

  /** What goes wrong with one stream must not take the others along, now or later. */
  private static void flush(SseStream stream) {
    try {
      stream.flush();
    } catch (RuntimeException | AssertionError bug) {
      LOG.warn("A stream could not be written and is cut", bug);
      stream.cut();
    }
  }
}
