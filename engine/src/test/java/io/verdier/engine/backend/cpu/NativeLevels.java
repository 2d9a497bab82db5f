package io.verdier.engine.backend.cpu;

import static org.junit.jupiter.api.Assumptions.abort;

import io.verdier.engine.backend.Backend;
import java.util.List;
import java.util.stream.Stream;

/** What this machine and this build can run; tests of anything else are skipped, and say so. */
public final class NativeLevels {
  private NativeLevels() {}

  /** The level's kernels; skips the test where there are none. */
  static KernelLibrary require(KernelLevel level) {
    KernelChoice.Found found = KernelChoice.find(level);
    return found.library().orElseGet(() -> abort(level.word() + " kernels: " + found.reason()));
  }

  /** A backend of the level; skips the test where there are no kernels. */
  public static Backend backend(KernelLevel level, WeightFormat format, int threads) {
    return new NativeBackend(require(level), format, threads, "test");
  }

  /** The same, of a backend that keeps the packed weights of checkpoints of any size. */
  public static Backend keepingBackend(KernelLevel level, WeightFormat format, int threads) {
    return new NativeBackend(require(level), format, threads, "test", 0);
  }

  /** Waits until such a backend has written its file or given it up. */
  public static void awaitFile(Backend backend) {
    ((NativeBackend) backend).kept().awaitWriter();
  }

  /** Whether a backend got its weights from a file. */
  public static boolean isFromFile(Backend backend) {
    return ((NativeBackend) backend).kept().isFromFile();
  }

  /** All levels that can run here, best first. */
  public static List<KernelLevel> available() {
    return Stream.of(KernelLevel.values())
        .filter(level -> KernelChoice.find(level).library().isPresent())
        .toList();
  }
}
