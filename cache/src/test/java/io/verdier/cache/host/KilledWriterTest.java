package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.host.DiskFile.Found;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * SIGKILL at random points of writing, by processes that find what those before them left: whatever
 * is found under a name has that name's contents, to the bit. {@code -Dverdier.kills=50} takes some
 * 15 s, nearly all of them for starting processes.
 */
class KilledWriterTest {
  private static final int KILLS = Integer.getInteger("verdier.kills", 25);
  private static final int WRITES_MAX = 12; // that are awaited before a kill

  @TempDir Path directory;

  @Test
  void kill_atRandomPoints_nothingHalfWrittenIsUsed() throws Exception {
    long seed = Long.getLong("seed", System.nanoTime());
    Random random = new Random(seed);
    int used = 0;
    int lost = 0;
    for (int kill = 1; kill <= KILLS; kill++) {
      Process process = start(random.nextLong());
      for (int left = 1 + random.nextInt(WRITES_MAX); left > 0; left--) { // also on a busy machine
        assertThat(process.getInputStream().read()).isEqualTo(DiskWriterProcess.WRITTEN);
      }
      LockSupport.parkNanos(random.nextInt(5_000_000));
      process.destroyForcibly().waitFor();
      try (DiskFile file =
          DiskDirectory.open(
                  directory,
                  DiskFileTest.identity(1),
                  DiskDirectory.Engine.ALONE,
                  DiskWriterProcess.BYTES_MAX)
              .orElseThrow()) {
        used += check(file, "seed %d, kill %d".formatted(seed, kill));
        lost += file.slots() - file.found().size();
      }
    }
    assertThat(used).as("blocks that survived").isGreaterThan(2 * KILLS);
    assertThat(lost).as("slots that were being written").isPositive();
  }

  private static int check(DiskFile file, String when) {
    MemorySegment to = Arena.ofAuto().allocate(DiskFileTest.BLOCK_BYTES);
    int used = 0;
    for (Found found : file.found()) {
      if (file.read(found.slot(), found.name(), to)) {
        int number = (int) found.name().a();
        assertThat(found.name()).as(when).isEqualTo(DiskWriterProcess.name(number));
        assertThat(to.mismatch(DiskFileTest.block(number))).as(when).isEqualTo(-1);
        used++;
      }
    }
    return used;
  }

  private Process start(long seed) throws IOException {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            DiskWriterProcess.class.getName(),
            directory.toString(),
            Long.toString(seed));
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }
}
