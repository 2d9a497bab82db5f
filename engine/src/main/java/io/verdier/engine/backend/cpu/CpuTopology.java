package io.verdier.engine.backend.cpu;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** What the machine has. Stateless. */
public final class CpuTopology {
  private static final Path CPUS = Path.of("/sys/devices/system/cpu");

  private CpuTopology() {}

  /**
   * Physical cores that this process may use: two threads of one core share the units that these
   * kernels keep busy, so a second one per core only adds waiting. Where the operating system does
   * not say (or a container has less), what the JVM says.
   */
  public static int cores() {
    int available = Runtime.getRuntime().availableProcessors();
    Set<String> cores = new HashSet<>();
    try (DirectoryStream<Path> cpus = Files.newDirectoryStream(CPUS, "cpu[0-9]*")) {
      for (Path cpu : cpus) {
        Path topology = cpu.resolve("topology");
        if (Files.isReadable(topology.resolve("core_id"))) {
          String socket = Files.readString(topology.resolve("physical_package_id")).strip();
          cores.add(socket + ":" + Files.readString(topology.resolve("core_id")).strip());
        }
      }
    } catch (IOException e) {
      return available; // not Linux, or hidden: the JVM's count is still right, if generous
    }
    return cores.isEmpty() ? available : Math.min(available, cores.size());
  }
}
