package io.verdier.engine.backend;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Memory of the machine or container. Stateless. */
public final class HostMemory {
  private static final Path MEMINFO = Path.of("/proc/meminfo");
  private static final Path CGROUP_LIMIT = Path.of("/sys/fs/cgroup/memory.max");
  private static final Path CGROUP_USED = Path.of("/sys/fs/cgroup/memory.current");

  private HostMemory() {}

  /**
   * Bytes that could be used without swapping; where the system does not say, what the heap may
   * grow to.
   */
  public static long freeBytes() {
    try {
      return Math.min(machine(), container());
    } catch (IOException | NumberFormatException e) {
      return Runtime.getRuntime().maxMemory(); // not Linux: the JVM's own idea of a fair share
    }
  }

  private static long machine() throws IOException {
    List<String> lines = Files.readAllLines(MEMINFO);
    for (String line : lines) {
      if (line.startsWith("MemAvailable:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
      }
    }
    throw new IOException("no MemAvailable");
  }

  private static long container() throws IOException {
    if (!Files.isReadable(CGROUP_LIMIT) || !Files.isReadable(CGROUP_USED)) {
      return Long.MAX_VALUE;
    }
    String limit = Files.readString(CGROUP_LIMIT).strip();
    if (limit.equals("max")) {
      return Long.MAX_VALUE;
    }
    long used = Long.parseLong(Files.readString(CGROUP_USED).strip());
    return Math.max(0, Long.parseLong(limit) - used);
  }
}
