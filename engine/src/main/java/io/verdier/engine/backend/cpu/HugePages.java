package io.verdier.engine.backend.cpu;

import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Pages of 2 MiB, where the system has them. Thread-safe: stateless. */
final class HugePages {
  static final long BYTES = 2L << 20;
  private static final int MADV_HUGEPAGE = 14; // Linux
  private static final int PROBES = 16;
  private static final Path ENABLED = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");
  private static final Path MAPPINGS = Path.of("/proc/self/smaps");

  private HugePages() {}

  /**
   * Asks for huge pages. Of a mapped file that is also the way to have it read from the disk in
   * such large pieces.
   */
  static void advise(MemorySegment segment) {
    Linker linker = Linker.nativeLinker();
    Optional<MemorySegment> madvise = linker.defaultLookup().find("madvise");
    if (madvise.isEmpty() || !Files.exists(ENABLED)) {
      return; // not Linux, where the number would mean something else
    }
    long page = segment.address() & -PackedFile.PAGE_BYTES;
    long bytes = segment.address() + segment.byteSize() - page;
    MethodHandle advise =
        linker.downcallHandle(
            madvise.get(),
            FunctionDescriptor.of(
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_INT));
    try {
      int ignored = (int) advise.invokeExact(page, bytes, MADV_HUGEPAGE); // advice only
    } catch (Throwable t) {
      throw new IllegalStateException("madvise failed", t);
    }
  }

  /**
   * Whether a mapped file is served by pages as large as any that memory of our own could have.
   *
   * @param mapping not read from before, so that the probes decide what is mapped
   */
  static boolean carry(MemorySegment mapping) {
    try {
      if (!Files.exists(ENABLED) || Files.readString(ENABLED).contains("[never]")) {
        return true;
      }
      for (int i = 0; i < PROBES; i++) {
        mapping.get(ValueLayout.JAVA_BYTE, mapping.byteSize() / PROBES * i);
      }
      return hugeBytes(mapping.address()) >= Math.min(PROBES / 2 * BYTES, mapping.byteSize() / 2);
    } catch (IOException hidden) {
      return true; // nobody can tell: then what costs no memory
    }
  }

  /** Of the file mapping that begins at an address. */
  private static long hugeBytes(long address) throws IOException {
    String begin = Long.toHexString(address) + "-";
    try (BufferedReader lines = Files.newBufferedReader(MAPPINGS)) {
      boolean found = false;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        found |= line.startsWith(begin);
        if (found && line.startsWith("FilePmdMapped:")) {
          return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
        }
      }
    }
    return 0;
  }
}
