package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.BlockHash;
import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * SIGKILL at random points, again and again, and then a server starts on what is left: it serves
 * the golden tokens. {@code -Dverdier.kills=50} kills so often in each test, which takes three
 * minutes instead of twenty seconds.
 */
@Timeout(300)
class KilledStartsIT {
  private static final int KILLS = Integer.getInteger("verdier.kills", 4);
  private static final int KILLED = 128 + 9; // status of a process
  private static final int LONG = 180; // tokens of a prompt that has blocks to speak of
  private static final String[] TIERS = {
    "--max-model-len=640",
    "--num-gpu-blocks-override=48",
    "--host-prefix-kv-cache-min-len=100",
    "--kv-offloading-size=0.1",
    "--enable-prompt-tokens-details",
    "--prefix-cache-size=" + KillVictim.BYTES_MAX
  };

  @TempDir Path directory;
  private final long seed = Long.getLong("seed", System.nanoTime());
  private final Random random = new Random(seed);

  @ParameterizedTest
  @ValueSource(strings = {"gs://bucket/models/demo", "org/demo"})
  void serve_afterKilledDownloads_servesGoldenTokens(String source) throws Exception {
    try (ModelCloud cloud = new ModelCloud()) {
      cloud.shard();
      cloud.pauseNanos = 500_000;
      List<String> flags =
          List.of(
              "--storage-emulator-host=" + cloud.endpoint(),
              "--hf-endpoint=" + cloud.endpoint(),
              "--cache-dir=" + directory,
              "--download-dir=" + directory.resolve("downloads"));
      int whole = 0;
      for (int kills = 0; kills < KILLS; ) {
        Process victim = KillVictim.fetching(source, flags);
        awaitBytes(cloud, victim, cloud.bytesSent.get() + random.nextInt(cloud.bytes()));
        LockSupport.parkNanos(random.nextInt(3_000_000));
        victim.destroyForcibly().waitFor();
        String when = "seed %d, kill %d".formatted(seed, kills);
        assertThat(wrongFiles(cloud.digests())).as(when).isEmpty();
        if (victim.exitValue() == 0) { // all of it had come: begin anew
          whole++;
          delete(directory.resolve("downloads"));
        } else {
          assertThat(victim.exitValue()).as(when).isEqualTo(KILLED);
          kills++;
        }
      }
      System.out.printf(
          "%s: %d kills, %d times all had come, seed %d%n", source, KILLS, whole, seed);
      cloud.pauseNanos = 0;
      List<String> model = new ArrayList<>(flags);
      model.addAll(List.of("--model=" + source, "--revision=v1"));
      try (ServerProcess next = ServerProcess.serve(model.toArray(String[]::new)).awaitReady()) {
        Client client = new Client(next.baseUrl());
        GoldenCase.all().forEach(golden -> golden.require(client));
      }
      assertThat(wrongFiles(cloud.digests())).as("seed %d", seed).isEmpty();
    }
  }

  private static void awaitBytes(ModelCloud cloud, Process process, long bytes) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (cloud.bytesSent.get() < bytes && process.isAlive()) {
      assertThat(System.nanoTime()).as("the download stands still").isLessThan(deadline);
      LockSupport.parkNanos(200_000);
    }
  }

  /** Weights and other files of the model by their final names that are none of the source's. */
  private List<String> wrongFiles(Set<String> right) throws IOException {
    List<String> wrong = new ArrayList<>();
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String name = directory.relativize(file).toString();
        boolean isPartial = name.contains("/partial/") || name.contains(".verdier");
        boolean isModel = name.matches(".*(\\.json|\\.safetensors|/blobs/[^/]*)");
        if (!isPartial && isModel && !right.contains(ModelCloud.sha256(Files.readAllBytes(file)))) {
          wrong.add(name);
        }
      }
    }
    return wrong;
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.toList().reversed()) {
        Files.delete(file);
      }
    }
  }

  @Test
  void serve_afterKilledWritesOfBlocks_servesGoldenTokensFromThem() throws Exception {
    List<GoldenCase> goldens =
        GoldenCase.all().stream().filter(golden -> golden.prompt().size() >= LONG).toList();
    Path own = directory.resolve("prefixes");
    try (ServerProcess first = serve(own)) {
      for (int round = 0; round < 2; round++) {
        goldens.forEach(golden -> golden.require(new Client(first.baseUrl())));
      }
      first.terminate();
      first.exitStatus();
    }
    Path written = directory.resolve("written");
    copy(own, written);
    Map<BlockHash, MemorySegment> blocks = KillVictim.blocks(written);
    assertThat(blocks.size()).as("blocks of the first server").isGreaterThan(30);
    for (int kill = 1; kill <= KILLS; kill++) {
      Process victim = KillVictim.writing(written, own, random.nextLong());
      assertThat(victim.getInputStream().read()).as("it began to write").isEqualTo('w');
      LockSupport.parkNanos(random.nextInt(20_000_000));
      victim.destroyForcibly().waitFor();
      String when = "seed %d, kill %d".formatted(seed, kill);
      Map<BlockHash, MemorySegment> left = KillVictim.blocks(own);
      assertThat(left.size()).as(when).isGreaterThan(blocks.size() / 2);
      left.forEach(
          (name, block) -> assertThat(block.mismatch(blocks.get(name))).as(when).isEqualTo(-1));
    }
    int cached = 0;
    try (ServerProcess next = serve(own)) {
      for (GoldenCase golden : goldens) {
        cached += golden.require(new Client(next.baseUrl()));
      }
    }
    System.out.printf("blocks: %d kills, %d tokens cached, seed %d%n", KILLS, cached, seed);
    assertThat(cached).as("tokens from the disk, seed %d", seed).isGreaterThan(LONG);
  }

  private static ServerProcess serve(Path prefixes) {
    List<String> flags = new ArrayList<>(List.of(TIERS));
    flags.add("--prefix-cache-dir=" + prefixes);
    return ServerProcess.serve(flags.toArray(String[]::new)).awaitReady();
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }
}
