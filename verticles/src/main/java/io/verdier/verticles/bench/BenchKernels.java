package io.verdier.verticles.bench;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.cpu.KernelRates;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The command {@code bench kernels}: rates of the CPU kernels beside the limits of the machine,
 * measured in the same run. Stateless. Takes the server's flags, of which {@code --threads} and
 * {@code --cpu-kernels} matter.
 */
public final class BenchKernels {
  private BenchKernels() {}

  /**
   * Runs the command.
   *
   * @param argv what follows {@code bench kernels}
   * @return exit code: 0 when all was measured, 1 when there is nothing to measure, 2 when the
   *     arguments are wrong
   */
  public static int run(List<String> argv, Map<String, String> environment, PrintStream out) {
    return switch (ConfigLoader.load(argv, environment)) {
      case LoadResult.HelpAsked help -> {
        out.println(help.text());
        yield 0;
      }
      case LoadResult.Invalid invalid -> {
        out.println(invalid.text());
        yield 2;
      }
      case LoadResult.Loaded loaded -> measure(loaded.config().backend(), out);
    };
  }

  private static int measure(ServerConfig.Backend config, PrintStream out) {
    try {
      Optional<String> problem =
          KernelRates.measure(config, limits -> print(limits, out), rate -> print(rate, out));
      problem.ifPresent(out::println);
      return problem.isEmpty() ? 0 : 1;
    } catch (IllegalArgumentException refused) {
      out.println(refused.getMessage());
      return 1;
    }
  }

  private static void print(KernelRates.Limits limits, PrintStream out) {
    out.printf(
        Locale.ROOT,
        "%n%s, %d threads: read probe %.1f GB/s, arithmetic probe %.0f GOP/s%n",
        limits.kernels(),
        limits.threads(),
        limits.readGbPerS(),
        limits.dotGops());
    out.printf(
        "%-10s %-28s %5s %10s %7s %10s %7s%n",
        "kernel", "shape", "rows", "GB/s", "of", "GOP/s", "of");
  }

  private static void print(KernelRates.Rate rate, PrintStream out) {
    out.printf(
        Locale.ROOT,
        "%-10s %-28s %5d %10.1f %6.0f%% %10.0f %6.0f%%%n",
        rate.kernel(),
        rate.shape(),
        rate.rows(),
        rate.gbPerS(),
        100 * rate.readShare(),
        rate.gops(),
        100 * rate.dotShare());
  }
}
