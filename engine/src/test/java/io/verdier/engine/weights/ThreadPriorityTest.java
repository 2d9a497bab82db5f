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

  /** Of the calling thread, as the kernel tells it (proc(5), /proc/pid/stat). */
  private static String nice() throws Exception {
    String stat = Files.readString(Path.of("/proc/thread-self/stat"));
    return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[NICE_FIELD];
  }
}
