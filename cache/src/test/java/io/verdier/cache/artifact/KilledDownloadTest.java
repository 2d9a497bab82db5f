package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * SIGKILL at random points of downloads, again and again: no half-written file ever has a name, the
 * next process goes on where the last one was, and the model is there in the end. {@code
 * -Dverdier.kills=25} kills 50 times, 25 for each source, which takes a minute.
 */
class KilledDownloadTest {
  private static final int KILLS = Integer.getInteger("verdier.kills", 8);
  private static final int SHARD_BYTES = 6 << 20;
  private static final int TOTAL_BYTES = SHARD_BYTES * 3 / 2;

  private static final int WAIT_SECONDS = 60;
  @TempDir Path directory;
  private final FakeCloud cloud = new FakeCloud();

  @AfterEach
  void stop() {
    cloud.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"gs://bucket/models/demo", "org/demo"})
  void kill_atRandomPoints_leavesNothingHalfAndIsResumed(String source) throws Exception {
    RemoteFixture.addModel(cloud, SHARD_BYTES);
    cloud.pauseNanos = 100_000;
    long seed = Long.getLong("seed", System.nanoTime());
    Random random = new Random(seed);
    int kills = 0;
    while (kills < KILLS) {
      Process process = DownloadProcess.start(source, cloud, directory);
      long from = cloud.bytesSent.get();
      awaitBytes(process, from + random.nextInt(TOTAL_BYTES / KILLS));
      if (!process.isAlive()) {
        break; // it was faster than this test
      }
      process.destroyForcibly().waitFor();
      kills++;
      assertThat(wrongFiles()).as("seed %d, kill %d", seed, kills).isEmpty();
    }
    cloud.pauseNanos = 0;
    assertThat(DownloadProcess.start(source, cloud, directory).waitFor()).isZero();
    Path model = Path.of(Files.readString(directory.resolve("out.txt")).strip());
    assertThat(RemoteFixture.tree(model).keySet())
        .containsExactlyElementsOf(RemoteFixture.expectedNames());
    assertThat(wrongFiles()).isEmpty();
    // Sent and lost: at most what each connection had asked for, much of it still in its buffers.
    long lost = (long) DownloadProcess.STREAMS * DownloadProcess.RANGE_BYTES;
    long bound = TOTAL_BYTES + kills * lost + (64 << 10);
    assertThat(cloud.bytesSent.get()).as("seed %d, %d kills", seed, kills).isLessThan(bound);
    assertThat(kills).isGreaterThanOrEqualTo(KILLS / 2);
  }

  private void awaitBytes(Process process, long bytes) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
    while (cloud.bytesSent.get() < bytes && process.isAlive()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("the download stands still");
      }
      LockSupport.parkNanos(200_000);
    }
  }

  /** Files under their final names, or blobs, whose bytes are those of no file of the source. */
  private List<String> wrongFiles() throws IOException {
    Set<String> right = new HashSet<>();
    cloud.files.values().forEach(content -> right.add(FakeCloud.digest("SHA-256", content)));
    List<String> wrong = new ArrayList<>();
    RemoteFixture.tree(directory)
        .forEach(
            (name, digest) -> {
              boolean isPartial = name.contains("/partial/") || name.contains(".verdier");
              boolean isBook = name.matches(".*(\\.lock|/used|out\\.txt|refs/.*)|out\\.txt");
              if (!isPartial && !isBook && !right.contains(digest)) {
                wrong.add(name);
              }
            });
    return wrong;
  }

  @Test
  void start_threeProcesses_fetchOnce() throws Exception {
    RemoteFixture.addModel(cloud, SHARD_BYTES);
    List<Process> all = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      all.add(DownloadProcess.start("gs://bucket/models/demo", cloud, directory));
    }
    for (Process process : all) {
      assertThat(process.waitFor()).isZero();
    }
    assertThat(cloud.bytesSent.get()).isLessThan(TOTAL_BYTES + (64 << 10));
  }
}
