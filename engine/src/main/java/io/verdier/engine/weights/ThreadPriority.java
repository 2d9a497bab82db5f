package io.verdier.engine.weights;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
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
  private static final int BYTES_BETWEEN = 512 << 10;

  private static final ThreadLocal<Giving> GIVING = new ThreadLocal<>();

  /** Of a thread that gives way. */
  private static final class Giving {
    long bytes; // since it last let others pass
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
   * Lets threads pass that have come to want the core meanwhile, if the calling one gives way: the
   * weight alone decides who gets how much of it, and one that computes would wait for milliseconds
   * before it is its turn, while all others of its product wait for it.
   *
   * @param bytes that the calling thread has worked on since it last said so
   */
  @SuppressWarnings("ThreadPriorityCheck") // nothing relies on it but how long others wait
  public static void letPass(long bytes) {
    Giving giving = GIVING.get();
    if (giving != null) {
      giving.bytes += bytes;
      if (giving.bytes >= BYTES_BETWEEN) {
        giving.bytes = 0;
        Thread.yield();
      }
    }
  }
}
