package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A disk that is full, for real: a process of its own sees one of 80 MiB, which lies in memory and
 * goes with it. Skipped where the system gives no process a disk of its own.
 */
class FullDiskTest {
  private static final String WEIGHTS = "adapter_model.safetensors";
  private static final byte[] CONTENT = RemoteFixture.bytes(5, 1 << 20);
  @TempDir Path directory;
  private final FakeCloud cloud = new FakeCloud();

  @BeforeEach
  void start() {
    cloud.files.put("adapter_config.json", "{\"r\": 8}".getBytes(StandardCharsets.UTF_8));
    cloud.files.put(WEIGHTS, CONTENT);
  }

  @AfterEach
  void stop() {
    cloud.close();
  }

  private static List<String> inANamespace(Path disk, String... command) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "unshare",
                "-Urm",
                "sh",
                "-c",
                "mount -t tmpfs -o size=80m none \"$0\" && exec \"$@\"",
                disk.toString()));
    all.addAll(List.of(command));
    return all;
  }

  private static boolean canMount(Path disk) throws InterruptedException {
    try {
      return new ProcessBuilder(inANamespace(disk, "true")).start().waitFor() == 0;
    } catch (IOException noSuchCommand) {
      return false;
    }
  }

  @Test
  void fullDisk_isSaidAndLeavesNothingWrong() throws Exception {
    Path disk = Files.createDirectories(directory.resolve("disk"));
    assumeTrue(canMount(disk), "no disk of its own for a process");
    List<String> command =
        inANamespace(
            disk,
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            FullDiskProcess.class.getName(),
            disk.toString());
    command.addAll(cloud.flags());
    command.add("--cache-dir=" + directory.resolve("cache"));
    command.add("--download-dir=" + disk.resolve("downloads"));
    Path out = directory.resolve("out.txt");
    Process process =
        new ProcessBuilder(command)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .redirectOutput(out.toFile())
            .start();
    assertThat(process.waitFor()).isZero();

    List<String> said =
        Files.readAllLines(out).stream() // the log is there too
            .filter(line -> line.matches("(no room|filled meanwhile|block|is there|room again).*"))
            .toList();
    assertThat(said).hasSize(7);
    assertThat(said.get(0))
        .matches("no room: gs://bucket/models/demo: 64\\.0 MiB more are needed in .* are free.*");
    assertThat(said.get(1))
        .startsWith("filled meanwhile: gs://bucket/models/demo: no space is left");
    assertThat(said.subList(2, 6))
        .containsExactly(
            "block on a full disk: false",
            "is there: false",
            "block with room: true",
            "is there: true");
    assertThat(said.get(6)).startsWith("room again: " + disk.resolve("downloads/artifacts"));
  }
}
