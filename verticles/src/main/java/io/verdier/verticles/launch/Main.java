package io.verdier.verticles.launch;

import io.verdier.conf.Environment;
import io.verdier.verticles.bench.BenchServe;
import java.util.List;
import java.util.Map;

/**
 * The command line: {@code serve}, {@code bench serve}, {@code health}, {@code selfcheck}, {@code
 * version}.
 */
public final class Main {
  private static final String USAGE =
      """
      verdier: LLM inference server

        verdier serve [--model DIRECTORY] [flags]   serve a model; without --model the embedded demo model
        verdier serve --help                        all flags
        verdier bench serve [flags]                 measure a running server; --help lists the flags
        verdier health [--port N]                   exit 0 when the server on this host is ready
        verdier selfcheck                           start, answer a chat, stop; exit 0 when all is well
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
      case "bench" -> bench(rest);
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

  private static int bench(List<String> argv) {
    if (argv.isEmpty() || !argv.getFirst().equals("serve")) {
      System.err.println("verdier bench: say what to measure: bench serve");
      return Command.MISUSED;
    }
    try {
      return BenchServe.run(argv.subList(1, argv.size()), System.out);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Command.FAILED;
    }
  }
}
