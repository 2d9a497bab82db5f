package io.verdier.verticles.launch;

import io.verdier.conf.Environment;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.weights.DType;
import io.verdier.verticles.bench.BenchGrammar;
import io.verdier.verticles.bench.BenchKernels;
import io.verdier.verticles.bench.BenchServe;
import io.verdier.verticles.bench.offline.BenchOffline;
import java.util.List;
import java.util.Map;

/**
 * The command line: {@code serve}, {@code bench serve}, {@code bench offline}, {@code bench
 * kernels}, {@code bench grammar}, {@code health}, {@code selfcheck}, {@code version}.
 */
public final class Main {
  private static final String USAGE =
      """
      verdier: LLM inference server

        verdier serve [--model DIRECTORY] [flags]   serve a model; without --model the embedded demo model
        verdier serve --help                        all flags
        verdier bench serve [flags]                 measure a running server; --help lists the flags
        verdier bench offline [flags]               measure the engine alone; --help lists the flags
        verdier bench kernels [flags]               measure the CPU kernels beside the machine's limits
        verdier bench grammar [flags]               measure constraints over JSON schemas; --help lists the flags
        verdier health [--port N]                   exit 0 when the server on this host is ready
        verdier selfcheck                           answer chats alone and as a cluster; exit 0 when all is well
        verdier version

      From a source tree also: verdier build, verdier test.
      """;

  private Main() {}

  public static void main(String[] argv) {
    int status = run(List.of(argv));
    if (status != Command.STAYS) {
      System.exit(status);
    }
  }

  private static int run(List<String> argv) {
    Map<String, String> environment = Environment.ofProcess();
    String command = argv.isEmpty() ? "" : argv.getFirst();
    List<String> rest = argv.isEmpty() ? argv : argv.subList(1, argv.size());
    return switch (command) {
      case "serve" -> ServeCommand.run(rest, environment);
      case "bench" -> bench(rest, environment);
      case "health" -> HealthCommand.run(rest, environment);
      case "selfcheck" -> SelfcheckCommand.run(environment);
      case "version", "--version" -> Command.print(Version.TEXT);
      case "help", "--help", "-h" -> Command.print(USAGE.stripTrailing());
      default -> isServe(command) ? ServeCommand.run(argv, environment) : misused(command);
    };
  }

  /** Flags alone, or the words that start vLLM: containers are started so. */
  private static boolean isServe(String word) {
    return word.startsWith("-") || word.contains("/") || word.matches("python.*|vllm.*");
  }

  private static int misused(String command) {
    if (!command.isEmpty()) {
      System.err.println("verdier: there is no command '" + command + "'.");
    }
    System.err.println(USAGE.stripTrailing());
    return Command.MISUSED;
  }

  /** What is measured has had its warm-up, so it need not begin with the kernels for the cold. */
  private static Backend warmBackend(ServerConfig config, DType weights, Rank rank) {
    return BackendOpener.open(
        config, config.backend(), weights, CpuBackend.KernelForm.VECTOR, rank);
  }

  private static int bench(List<String> argv, Map<String, String> environment) {
    List<String> rest = argv.isEmpty() ? argv : argv.subList(1, argv.size());
    try {
      return switch (argv.isEmpty() ? "" : argv.getFirst()) {
        case "serve" -> BenchServe.run(rest, System.out);
        case "grammar" -> BenchGrammar.run(rest, System.out);
        case "kernels" -> BenchKernels.run(rest, environment, System.out);
        case "offline" -> BenchOffline.run(rest, environment, Main::warmBackend, System.out);
        default -> {
          System.err.println(
              "verdier bench: say what to measure: bench serve, bench offline, bench kernels or bench"
                  + " grammar");
          yield Command.MISUSED;
        }
      };
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Command.FAILED;
    }
  }
}
