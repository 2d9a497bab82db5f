package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class VacateTest {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final long BYTES = 192L << 20;

  @Test
  void vacate_writtenMemory_goesBackAndComesAgain() throws IOException {
    assumeThat(STATUS).exists();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = NativeMemory.allocate(BYTES, arena);
      memory.fill((byte) 7);
      long full = residentBytes();
      NativeMemory.vacate(memory);
      assertThat(full - residentBytes()).isGreaterThan(BYTES / 2);
      assertThat(memory.get(ValueLayout.JAVA_BYTE, BYTES / 2)).isZero();
      memory.fill((byte) 9);
      assertThat(memory.get(ValueLayout.JAVA_BYTE, BYTES - 1)).isEqualTo((byte) 9);
    }
  }

  private static long residentBytes() throws IOException {
    return Files.readAllLines(STATUS).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
        .findFirst()
        .orElseThrow();
  }
}
