package io.verdier.engine.weights;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Lets a thread that reads weights give way to those that compute steps. Thread-safe.
 *
 * <p>Reading an adapter and laying it out takes tenths of a second of a core, which threads that
 * compute on all of them would notice. Linux weighs every thread by its own nice value; Java's
 * priorities do nothing there. On other systems the value is the whole process's, so nothing is
 * changed.
 */
public final class ThreadPriority {
  /** A tenth of the weight of other threads, and all of a core that nobody wants. */
  static final int NICE = 10;

  private static final int PROCESS = 0; // which means the calling thread
  private static final @Nullable MethodHandle SET = find();

  /** Some hundred microseconds of work. */
  static final int BYTES_BETWEEN = 512 << 10;

  /** Where every core computes, a thread that gives way rests so many times as long as it works. */
  static final int REST = 15;

  /** Longer than that a thread did not work, but waited for a core. */
  private static final long WORKED_NANOS_MAX = 2_000_000;

  /** Steps follow each other sooner. */
  private static final long STEPS_NANOS = 5_000_000;

  private static final ThreadLocal<Giving> GIVING = new ThreadLocal<>();
  private static final AtomicInteger COMPUTING = new AtomicInteger(); // threads, of all pools
  private static final AtomicLong COMPUTED = new AtomicLong(); // when one last had work

  /** Of a thread that gives way. */
  private static final class Giving {
    private long bytes; // since it last let others pass
    private long began = System.nanoTime(); // when that was over

    void pass() {
      long now = System.nanoTime();
      bytes = 0;
      if (COMPUTING.get() >= Runtime.getRuntime().availableProcessors()
          && now - COMPUTED.getOpaque() < STEPS_NANOS) {
        LockSupport.parkNanos(REST * Math.min(now - began, WORKED_NANOS_MAX));
      }
      began = System.nanoTime();
    }
  }

  private ThreadPriority() {}

  private static @Nullable MethodHandle find() {
    if (!System.getProperty("os.name", "").equals("Linux")) {
      return null;
    }
    FunctionDescriptor type =
        FunctionDescriptor.of(
            ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
    Linker linker = Linker.nativeLinker();
    return linker
        .defaultLookup()
        .find("setpriority")
        .map(function -> linker.downcallHandle(function, type))
        .orElse(null);
  }

  /** From now on the calling thread gives way; that cannot be taken back. */
  public static void giveWay() {
    GIVING.set(new Giving());
    if (SET == null) {
      return;
    }
    try {
      int status = (int) SET.invokeExact(PROCESS, 0, NICE);
      assert status <= 0; // refused where the thread has given way further already
    } catch (Throwable impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /**
   * Lets threads compute that would have to share their cores with the calling one, if that gives
   * way and there is no core without such a thread: it rests. The weight alone decides who gets how
   * much of a core, but in slices of milliseconds, and while one thread waits for its core all
   * others of its product wait for it.
   *
   * @param bytes that the calling thread has worked on since it last said so
   */
  public static void letPass(long bytes) {
    Giving giving = GIVING.get();
    if (giving != null) {
      giving.bytes += bytes;
      if (giving.bytes >= BYTES_BETWEEN) {
        giving.pass();
      }
    }
  }

  /** So many more threads compute steps; negative: fewer. */
  public static void addComputing(int threads) {
    COMPUTING.addAndGet(threads);
  }

  /** They have work. */
  public static void computes() {
    COMPUTED.setOpaque(System.nanoTime());
  }
}
