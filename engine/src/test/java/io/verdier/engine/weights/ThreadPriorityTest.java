package io.verdier.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(OS.LINUX)
class ThreadPriorityTest {
  private static final int NICE_FIELD = 16; // behind the name, which may hold blanks

  @Test
  void giveWay_changesTheCallingThreadAlone() throws Exception {
    String before = nice();
    FutureTask<String> other =
        new FutureTask<>(
            () -> {
              ThreadPriority.giveWay();
              ThreadPriority.giveWay();
              return nice();
            });
    Thread thread = new Thread(other);
    thread.start();

    assertThat(Integer.parseInt(other.get())).isGreaterThanOrEqualTo(ThreadPriority.NICE);
    assertThat(nice()).isEqualTo(before);
    thread.join();
  }

  @Test
  void letPass_everyCoreComputes_restsLongerThanItWorks() throws Exception {
    int cores = Runtime.getRuntime().availableProcessors();
    ThreadPriority.addComputing(cores);
    try {
      assertThat(restedPerWorked(true)).isGreaterThan(ThreadPriority.REST * 0.9);
    } finally {
      ThreadPriority.addComputing(-cores);
    }
  }

  @Test
  void letPass_aCoreIsFree_goesOn() throws Exception {
    assertThat(restedPerWorked(false)).isLessThan(1);
  }

  /** Of five pieces of work on a thread that gives way; the least of three tries. */
  private static double restedPerWorked(boolean others) throws Exception {
    FutureTask<Double> measured =
        new FutureTask<>(
            () -> {
              ThreadPriority.giveWay();
              double least = Double.MAX_VALUE;
              for (int i = 0; i < 3; i++) {
                least = Math.min(least, rested(others));
              }
              return least;
            });
    Thread thread = new Thread(measured);
    thread.start();
    thread.join();
    return measured.get();
  }

  private static double rested(boolean others) {
    long worked = 0;
    long rested = 0;
    for (int i = 0; i < 5; i++) {
      if (others) {
        ThreadPriority.computes();
      }
      ThreadPriority.letPass(0);
      long began = System.nanoTime();
      while (System.nanoTime() - began < 200_000) {
        Thread.onSpinWait();
      }
      long done = System.nanoTime();
      ThreadPriority.letPass(ThreadPriority.BYTES_BETWEEN);
      worked += Math.min(done - began, 2_000_000);
      rested += System.nanoTime() - done;
    }
    return (double) rested / worked;
  }

  /** Of the calling thread, as the kernel tells it (proc(5), /proc/pid/stat). */
  private static String nice() throws Exception {
    String stat = Files.readString(Path.of("/proc/thread-self/stat"));
    return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[NICE_FIELD];
  }
}
