package io.verdier.verticles.bench.offline;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.Flags;
import io.verdier.conf.LoadResult;
import io.verdier.conf.Nearest;
import io.verdier.conf.Problem;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.engine.model.PublishedConfigs;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What to measure. Immutable.
 *
 * @param modelConfig name or path
 * @param prompts in all, worked through in batches
 * @param inputTokens of a prompt; 0: no prefill is measured
 * @param context tokens in the cache when decoding begins; empty: the prompt
 * @param prefixTiers whether first tokens are timed, by the tier that the prompt is found in
 * @param profile whether each operation is timed too
 * @param jsonSchema file of a schema that all answers are held to
 * @param loraRows sequences of a batch that have an adapter
 * @param warmUpSeconds whole runs are repeated for so long before one counts
 * @param engineArgv the flags of {@code serve} among the arguments, at their places
 */
record OfflineOptions(
    String modelConfig,
    int batch,
    int prompts,
    int inputTokens,
    int outputTokens,
    OptionalInt context,
    float temperature,
    boolean prefixTiers,
    boolean profile,
    Optional<String> jsonSchema,
    int loraRows,
    int repeats,
    double warmUpSeconds,
    Optional<String> resultFile,
    List<String> engineArgv,
    Map<String, String> environment) {
  private static final int INPUT_TOKENS = 128;
  private static final int COUNT_MAX = 1 << 24;

  /** Problems with the command line, all of them. */
  static final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UsageException(List<String> problems) {
      super(String.join(System.lineSeparator(), problems), null, false, false);
    }
  }

  OfflineOptions {
    engineArgv = List.copyOf(engineArgv);
    environment = Map.copyOf(environment);
  }

  /**
   * @throws UsageException if anything in {@code argv} or in the server's part of it is wrong
   */
  static OfflineOptions parse(List<String> argv, Map<String, String> environment) {
    Values values = new Values();
    List<String> engineArgv = values.read(argv);
    Optional<LoadResult.Loaded> server = load(engineArgv, environment, values.problems);
    int batch = values.count(OfflineFlag.BATCH, 1);
    Optional<String> context = values.text(OfflineFlag.CONTEXT);
    Optional<String> input = values.text(OfflineFlag.INPUT_LEN);
    if (input.equals(Optional.of("0")) && context.isEmpty()) {
      values.problem(OfflineFlag.INPUT_LEN, "0", "at least 1, except with --context");
    }
    OfflineOptions options =
        new OfflineOptions(
            values.model(server),
            batch,
            values.text(OfflineFlag.NUM_PROMPTS).isEmpty()
                ? batch
                : values.count(OfflineFlag.NUM_PROMPTS, 1),
            input.isEmpty()
                ? (context.isEmpty() ? INPUT_TOKENS : 0)
                : values.count(OfflineFlag.INPUT_LEN, 0),
            values.count(OfflineFlag.OUTPUT_LEN, 2),
            context.isEmpty()
                ? OptionalInt.empty()
                : OptionalInt.of(values.count(OfflineFlag.CONTEXT, 1)),
            (float) values.number(OfflineFlag.TEMPERATURE, 0, 1000, "a number from 0 to 1000"),
            values.text(OfflineFlag.PREFIX_TIERS).isPresent(),
            values.profile(server),
            values.text(OfflineFlag.JSON_SCHEMA),
            values.loraRows(batch, server),
            values.count(OfflineFlag.REPEAT, 1),
            values.number(OfflineFlag.WARM_UP_SECONDS, 0, 3600, "seconds from 0 to 3600"),
            values.text(OfflineFlag.JSON),
            engineArgv,
            environment);
    if (!values.problems.isEmpty()) {
      throw new UsageException(values.problems);
    }
    return options;
  }

  /** Tokens in the cache when decoding begins. */
  int contextTokens() {
    return context.orElse(inputTokens);
  }

  /** Most tokens that a sequence will have. */
  int lengthMax() {
    return Math.max(contextTokens(), inputTokens) + outputTokens;
  }

  /** The server's part as it was asked for. */
  LoadResult.Loaded asked() {
    return loaded(environment);
  }

  /**
   * The configuration of the engine: what was asked for, and the sizes that follow from batch and
   * lengths unless they were asked for as well.
   */
  LoadResult.Loaded engine() {
    int blockTokens = asked().config().cache().blockTokens();
    long perSequence = Math.ceilDiv(lengthMax(), blockTokens) + 1L; // one to spare
    Map<String, String> derived = new HashMap<>(environment);
    derived.put("VERDIER_MAX_NUM_SEQS", Integer.toString(batch));
    derived.put("VERDIER_MAX_MODEL_LEN", Integer.toString(lengthMax()));
    derived.put("VERDIER_NUM_GPU_BLOCKS_OVERRIDE", Long.toString(perSequence * batch));
    if (prefixTiers && !asked().config().cache().tiers().isWanted()) {
      derived.put("VERDIER_KV_OFFLOADING_SIZE", "1");
    }
    return loaded(derived);
  }

  private LoadResult.Loaded loaded(Map<String, String> variables) {
    List<String> problems = new ArrayList<>();
    return load(engineArgv, variables, problems).orElseThrow(() -> new UsageException(problems));
  }

  private static Optional<LoadResult.Loaded> load(
      List<String> argv, Map<String, String> environment, List<String> problems) {
    return switch (ConfigLoader.load(argv, environment)) {
      case LoadResult.Loaded loaded -> {
        if (loaded.config().cluster().pipeline().isWanted()) {
          problems.add(
              "--pipeline-parallel-size: the engine is measured in one piece; measure a server in"
                  + " stages with bench serve");
          yield Optional.empty();
        }
        yield Optional.of(loaded);
      }
      case LoadResult.HelpAsked help -> throw new IllegalStateException(help.text());
      case LoadResult.Invalid invalid -> {
        invalid.problems().stream().map(Problem::text).forEach(problems::add);
        yield Optional.empty();
      }
    };
  }

  /** Owned by the caller. Reads values, and notes what is wrong instead of stopping at it. */
  private static final class Values {
    private final Map<OfflineFlag, String> given = new EnumMap<>(OfflineFlag.class);
    private final List<String> problems = new ArrayList<>();

    /**
     * Takes our own flags out of a command line. What is left has its place still, so that the
     * server's errors count arguments as they were typed; it skips {@code --} alone.
     */
    List<String> read(List<String> argv) {
      List<String> rest = new ArrayList<>(argv);
      for (int i = 0; i < argv.size(); i++) {
        String argument = argv.get(i);
        int equals = argument.indexOf('=');
        String name = equals < 0 ? argument : argument.substring(0, equals);
        Optional<OfflineFlag> flag = OfflineFlag.named(name);
        String hint = Nearest.hint(name.replace('_', '-'), OfflineFlag.names());
        if (flag.isEmpty() && (hint.isEmpty() || Flags.contains(name))) {
          continue;
        }
        rest.set(i, "--");
        if (flag.isEmpty()) {
          problems.add("unknown flag " + name + hint);
        } else if (equals >= 0) {
          given.put(flag.get(), argument.substring(equals + 1));
        } else if (!flag.get().takesValue()) {
          given.put(flag.get(), "true");
        } else if (i + 1 < argv.size()) {
          given.put(flag.get(), argv.get(++i));
          rest.set(i, "--");
        } else {
          problems.add(argument + " needs a value");
        }
      }
      text(OfflineFlag.DEVICE).ifPresent(device -> rest.add("--backend=" + device));
      return rest;
    }

    Optional<String> text(OfflineFlag flag) {
      return Optional.ofNullable(given.get(flag)).or(flag::fallback);
    }

    String model(Optional<LoadResult.Loaded> server) {
      Optional<String> model =
          text(OfflineFlag.MODEL_CONFIG)
              .or(() -> server.flatMap(loaded -> loaded.config().model().source()));
      if (model.isEmpty() && server.isPresent()) {
        problem(OfflineFlag.MODEL_CONFIG, "missing", "one of " + names() + ", or a path");
      }
      return model.orElse("");
    }

    private static String names() {
      return String.join(", ", PublishedConfigs.NAMES);
    }

    boolean profile(Optional<LoadResult.Loaded> server) {
      boolean asked = text(OfflineFlag.PROFILE).isPresent();
      if (asked && server.isPresent()) {
        ServerConfig config = server.get().config();
        if (config.backend().ranks() > 1 || config.backend().kind() == BackendKind.CUDA) {
          problems.add(
              OfflineFlag.PROFILE.flag()
                  + " times a single CPU backend; use a profiler of the device for others");
        }
      }
      return asked;
    }

    int loraRows(int batch, Optional<LoadResult.Loaded> server) {
      int rows = count(OfflineFlag.LORA_ROWS, 0);
      if (rows > batch) {
        problem(OfflineFlag.LORA_ROWS, "" + rows, "at most --batch, " + batch);
      }
      if (rows > 0 && server.isPresent() && !server.get().config().adapters().enabled()) {
        problem(OfflineFlag.LORA_ROWS, "" + rows, "0 without --enable-lora");
      }
      return rows;
    }

    int count(OfflineFlag flag, int min) {
      String range = "a whole number from " + min + " to " + COUNT_MAX;
      double number = number(flag, min, COUNT_MAX, range);
      if (number != Math.rint(number)) {
        problem(flag, text(flag).orElseThrow(), range);
      }
      return (int) number;
    }

    double number(OfflineFlag flag, double min, double max, String range) {
      String text = text(flag).orElseThrow();
      try {
        double number = Double.parseDouble(text);
        if (number >= min && number <= max) {
          return number;
        }
      } catch (NumberFormatException notANumber) {
        // The same problem as a number out of range.
      }
      problem(flag, text, range);
      return min;
    }

    void problem(OfflineFlag flag, String value, String range) {
      problems.add(flag.flag() + " is " + value + "; it must be " + range);
    }
  }
}
