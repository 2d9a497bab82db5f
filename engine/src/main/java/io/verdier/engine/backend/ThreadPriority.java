package io.verdier.engine.backend;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * Lets a thread give way to those that compute steps. Stateless.
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
}
