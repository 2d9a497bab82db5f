package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is idle, by the kernel's files as they look at such times. */
class HostMemoryTest {
  private static final long GIB = 1L << 30;
  @TempDir Path proc;
  @TempDir Path cgroup;

  @BeforeEach
  void writeMachine() throws IOException {
    Files.writeString(
        proc.resolve("meminfo"),
        "MemTotal:       67108864 kB\nMemFree:         1048576 kB\nMemAvailable:   52428800 kB\n");
    status(0);
  }

  private void status(long mappedBytes) throws IOException {
    Path self = Files.createDirectories(proc.resolve("self"));
    Files.writeString(
        self.resolve("status"),
        "Name:\tjava\nRssAnon:\t 1000 kB\nRssFile:\t%8d kB\n".formatted(mappedBytes >> 10));
  }

  private void container(String limit, long current, long inactiveFile) throws IOException {
    Files.writeString(cgroup.resolve("memory.max"), limit + "\n");
    Files.writeString(cgroup.resolve("memory.current"), current + "\n");
    Files.writeString(
        cgroup.resolve("memory.stat"),
        "anon 1\nfile 99\ninactive_anon 7\nactive_file 5\ninactive_file %d\n"
            .formatted(inactiveFile));
  }

  private long freeBytes() {
    return HostMemory.freeBytes(proc, cgroup);
  }

  @Test
  void freeBytes_noContainer_isWhatTheMachineHas() throws IOException {
    assertThat(freeBytes()).isEqualTo(50 * GIB);
    container("max", 60 * GIB, 0);
    assertThat(freeBytes()).isEqualTo(50 * GIB);
  }

  @Test
  void freeBytes_weightsWereReadThroughThePageCache_theirPagesAreIdle() throws IOException {
    container(Long.toString(32 * GIB), 31 * GIB, 28 * GIB);
    assertThat(freeBytes()).isEqualTo(29 * GIB);
  }

  @Test
  void freeBytes_weightsStayMapped_theirPagesAreNotIdle() throws IOException {
    container(Long.toString(32 * GIB), 31 * GIB, 28 * GIB);
    status(10 * GIB);
    assertThat(freeBytes()).isEqualTo(19 * GIB);
    container("max", 60 * GIB, 0);
    assertThat(freeBytes()).isEqualTo(40 * GIB);
  }

  @Test
  void freeBytes_machineHasLessThanTheLimit_isTheMachines() throws IOException {
    container(Long.toString(64 * GIB), 10 * GIB, 8 * GIB);
    assertThat(freeBytes()).isEqualTo(50 * GIB);
  }

  @Test
  void freeBytes_allInUse_isNone() throws IOException {
    container(Long.toString(8 * GIB), 9 * GIB, 0);
    assertThat(freeBytes()).isZero();
  }

  @Test
  void freeBytes_systemSaysNothing_isTheHeaps() throws IOException {
    Files.delete(proc.resolve("meminfo"));
    assertThat(freeBytes()).isEqualTo(Runtime.getRuntime().maxMemory());
    assertThat(HostMemory.freeBytes()).isPositive();
  }
}
