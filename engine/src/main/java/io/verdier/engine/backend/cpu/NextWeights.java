package io.verdier.engine.backend.cpu;

import java.util.IdentityHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Asks memory for the weights of the product that comes next while threads wait for each other and
 * while something runs that reads no weights: else memory would pause between two products.
 *
 * <p>Steps are the same products in the same order, so whatever followed a product the last time is
 * what comes next. A wrong guess costs a little cache and changes no result: prefetches read
 * nothing, and an address that has become invalid does no harm. Each thread asks for the beginning
 * of the unit that it will most likely get, since each has a second-level cache of its own.
 *
 * <p>Products are told by the executor thread; {@link #slice} is for all threads of the pool.
 */
final class NextWeights implements ComputePool.Idling {
  /** Memory as it is asked. */
  @FunctionalInterface
  interface Memory {
    /** Begins to bring so many lines of 64 bytes nearer to the calling thread. */
    void ask(long address, int lines, int worker);
  }

  /** What of a unit is asked for: a part of the second-level cache. */
  private static final long BYTES_MAX = 256 << 10;

  /** Asked for at once, so that a thread soon looks whether there is work again: some 0.2 µs. */
  private static final int SLICE_LINES = 32;

  private static final int LINE = 64;

  /** Elements between the threads' own, so that they do not share a cache line. */
  private static final int APART = 16;

  private final Memory memory;
  private final int threads;
  private final IdentityHashMap<NativeMatrix, Product> products = new IdentityHashMap<>();
  private final @Nullable Product[] asking; // [threads · APART]: of which product each asks
  private final long[] at; // [threads · APART]: how far each has come
  private @Nullable Product last;
  private volatile @Nullable Product next;

  NextWeights(Memory memory, int threads) {
    this.memory = memory;
    this.threads = threads;
    asking = new @Nullable Product[threads * APART];
    at = new long[threads * APART];
  }

  /** The product that starts now, with its units as they are planned. */
  void begin(NativeMatrix weight, TileUnits units) {
    Product product = products.get(weight);
    if (product == null) {
      product = new Product(threads);
      products.put(weight, product);
    }
    product.plan(weight, units);
    if (last != null) {
      last.next = product;
    }
    last = product;
    next = product.next;
  }

  @Override
  public boolean slice(int worker) {
    Product product = next;
    if (product == null) {
      return false;
    }
    int own = worker * APART;
    if (asking[own] != product) {
      asking[own] = product;
      at[own] = product.from[worker];
    }
    long left = product.to[worker] - at[own];
    if (left <= 0) {
      return false;
    }
    int lines = (int) Math.min(SLICE_LINES, (left + LINE - 1) / LINE);
    memory.ask(at[own], lines, worker);
    at[own] += (long) lines * LINE;
    return true;
  }

  /** Where the threads' units begin, how far each is asked for, and what followed last time. */
  private static final class Product {
    private final long[] from;
    private final long[] to;
    private @Nullable Product next;

    Product(int threads) {
      from = new long[threads];
      to = new long[threads];
    }

    void plan(NativeMatrix weight, TileUnits units) {
      long data = weight.data().address();
      for (int i = 0; i < from.length; i++) {
        int unit = Math.min(i, units.count() - 1);
        from[i] = data + units.firstTile(unit) * weight.tileBytes();
        long end = data + units.firstTile(unit + 1) * weight.tileBytes();
        to[i] = Math.min(end, from[i] + BYTES_MAX);
      }
    }
  }
}
