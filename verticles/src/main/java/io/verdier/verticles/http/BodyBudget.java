package io.verdier.verticles.http;

import java.util.concurrent.atomic.AtomicLong;

/**
 * Thread-safe: the bytes of request bodies that are being received or decoded, in all HTTP
 * instances together. Each body is bounded by itself, but as many may come at once as {@link
 * Admission} has places.
 */
public final class BodyBudget {
  private final long bytesMax;
  private final AtomicLong held = new AtomicLong();

  /**
   * @param bytesMax of all bodies together
   */
  public BodyBudget(long bytesMax) {
    if (bytesMax < 1) {
      throw new IllegalArgumentException("bytesMax " + bytesMax);
    }
    this.bytesMax = bytesMax;
  }

  /** A quarter of the heap: a body is copied once while it grows, and once where it is decoded. */
  public static BodyBudget ofHeap(long bodyBytesMax) {
    return new BodyBudget(Math.max(bodyBytesMax, Runtime.getRuntime().maxMemory() / 4));
  }

  long bytesMax() {
    return bytesMax;
  }

  /** Bytes held now. */
  public long held() {
    return held.get();
  }

  /** For one body. */
  Share share() {
    return new Share();
  }

  /** What one body holds. Owned by the event loop of its connection. */
  final class Share {
    private long bytes;

    private Share() {}

    /** Takes more; false, and nothing taken, where all bodies together would be too large. */
    boolean take(int more) {
      if (held.addAndGet(more) > bytesMax) {
        held.addAndGet(-more);
        return false;
      }
      bytes += more;
      return true;
    }

    /** Gives all back, once or several times. */
    void close() {
      held.addAndGet(-bytes);
      bytes = 0;
    }
  }
}
