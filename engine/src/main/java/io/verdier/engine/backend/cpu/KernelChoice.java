package io.verdier.engine.backend.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Finds the kernels that this machine can run. Thread-safe: the cache of what was found is. */
final class KernelChoice {
  private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

  /** A level is loaded once in a process: the library stays, and finding out is not free. */
  private static final Map<KernelLevel, Found> KNOWN = new EnumMap<>(KernelLevel.class);

  /**
   * A level's kernels, or why there are none. Immutable.
   *
   * @param reason in words that follow the level's name
   */
  record Found(Optional<KernelLibrary> library, String reason) {}

  private KernelChoice() {}

  /** The level's kernels, if this machine has its instructions and this build its library. */
  static Found find(KernelLevel level) {
    synchronized (KNOWN) {
      return KNOWN.computeIfAbsent(level, KernelChoice::look);
    }
  }

  private static Found look(KernelLevel level) {
    String problem = problem(level, machine(), cpuFlags());
    if (!problem.isEmpty()) {
      return new Found(Optional.empty(), problem);
    }
    try {
      return new Found(Optional.of(KernelLibrary.load(level)), "best for this processor");
    } catch (IOException e) {
      return new Found(Optional.empty(), String.valueOf(e.getMessage()));
    }
  }

  /** What a processor lacks for a level; empty: nothing. */
  static String problem(KernelLevel level, String machine, Set<String> flags) {
    if (!level.machine().equals(machine)) {
      return "for another kind of processor";
    }
    Set<String> missing = new TreeSet<>(level.flags());
    missing.removeAll(flags);
    return missing.isEmpty() ? "" : "the processor lacks " + String.join(", ", missing);
  }

  static boolean isForThisMachine(KernelLevel level) {
    return level.machine().equals(machine());
  }

  private static String machine() {
    if (!System.getProperty("os.name", "").toLowerCase(Locale.ROOT).contains("linux")) {
      return "another system";
    }
    String arch = System.getProperty("os.arch", "");
    return arch.equals("amd64") ? "x86_64" : arch;
  }

  /** Of the first processor; a machine with unlike ones reports the common flags in each. */
  private static Set<String> cpuFlags() {
    try {
      return cpuFlags(Files.readAllLines(CPU_INFO));
    } catch (IOException e) {
      return Set.of(); // hidden: then Java computes
    }
  }

  static Set<String> cpuFlags(List<String> cpuInfo) {
    for (String line : cpuInfo) {
      String name = line.split(":", 2)[0].strip();
      if (name.equals("flags") || name.equals("Features")) {
        return new HashSet<>(List.of(line.split(":", 2)[1].strip().split(" ")));
      }
    }
    return Set.of();
  }
}
