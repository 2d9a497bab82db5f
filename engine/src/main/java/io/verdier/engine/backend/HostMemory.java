package io.verdier.engine.backend;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.NoSuchElementException;
import java.util.OptionalLong;

/** Memory of the machine or container. Stateless. */
public final class HostMemory {
  private static final Path PROC = Path.of("/proc");
  private static final Path CGROUP = Path.of("/sys/fs/cgroup");

  private HostMemory() {}

  /**
   * Bytes that could be used without swapping, and without dropping what this process has mapped:
   * weights that are computed with where they lie. Where the system does not say, what the heap may
   * grow to.
   */
  public static long freeBytes() {
    return freeBytes(PROC, CGROUP);
  }

  /**
   * The same by files that lie elsewhere.
   *
   * @param proc holds {@code meminfo} and {@code self/status}
   * @param cgroup of this process, version 2; need not have a limit
   */
  static long freeBytes(Path proc, Path cgroup) {
    try {
      long mapped = kib(proc.resolve("self/status"), "RssFile:").orElse(0);
      long available = kib(proc.resolve("meminfo"), "MemAvailable:").orElseThrow();
      return Math.max(0, Math.min(available - mapped, container(cgroup, mapped)));
    } catch (IOException | NumberFormatException | NoSuchElementException e) {
      return Runtime.getRuntime().maxMemory(); // not Linux: the JVM's own idea of a fair share
    }
  }

  /**
   * What the limit leaves beside the working set, which is what Kubernetes evicts by: the group's
   * use has pages of files in it that were read once. After a checkpoint was read nothing would
   * seem to be left, though the kernel drops such pages before it refuses memory to anybody.
   *
   * @param mapped bytes of such pages that are to stay
   */
  private static long container(Path cgroup, long mapped) throws IOException {
    Path limit = cgroup.resolve("memory.max");
    Path used = cgroup.resolve("memory.current");
    if (!Files.isReadable(limit) || !Files.isReadable(used)) {
      return Long.MAX_VALUE;
    }
    String bytes = Files.readString(limit).strip();
    if (bytes.equals("max")) {
      return Long.MAX_VALUE;
    }
    long read = number(cgroup.resolve("memory.stat"), "inactive_file ").orElse(0);
    long current = Long.parseLong(Files.readString(used).strip());
    long workingSet = Math.max(0, current - Math.max(0, read - mapped));
    return Long.parseLong(bytes) - workingSet;
  }

  private static OptionalLong kib(Path file, String name) throws IOException {
    OptionalLong found = number(file, name);
    return found.isPresent() ? OptionalLong.of(found.getAsLong() << 10) : found;
  }

  /** Of the line that begins so; empty: there is none. */
  private static OptionalLong number(Path file, String name) throws IOException {
    if (!Files.isReadable(file)) {
      return OptionalLong.empty();
    }
    for (String line : Files.readAllLines(file)) {
      if (line.startsWith(name)) {
        return OptionalLong.of(
            Long.parseLong(line.substring(name.length()).replaceAll("[^0-9]", "")));
      }
    }
    return OptionalLong.empty();
  }
}
