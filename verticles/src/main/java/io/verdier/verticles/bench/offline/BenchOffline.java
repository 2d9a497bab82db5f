package io.verdier.verticles.bench.offline;

import io.verdier.conf.LoadResult;
import io.verdier.conf.Nearest;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Probe;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.SampleVocabulary;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.PublishedConfigs;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.WeightsException;
import io.verdier.verticles.bench.offline.OfflineEngine.Run;
import io.verdier.verticles.bench.offline.OfflineOptions.UsageException;
import io.verdier.verticles.bench.offline.OfflineResult.Subject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * The command {@code bench offline}: loads a model, warms up, probes, measures, probes again,
 * reports. Owned by the thread that runs it.
 */
public final class BenchOffline {
  private final OfflineOptions options;
  private final BenchBackends backends;
  private final IntFunction<Probe> hostProbes;
  private final PrintStream out;

  private BenchOffline(
      OfflineOptions options,
      BenchBackends backends,
      IntFunction<Probe> hostProbes,
      PrintStream out) {
    this.options = options;
    this.backends = backends;
    this.hostProbes = hostProbes;
    this.out = out;
  }

  /**
   * Runs the command.
   *
   * @param argv what follows {@code bench offline}
   * @param backends as those of a server
   * @return exit code: 0 when all was measured, 1 when the model cannot run or gives other tokens
   *     in another run, 2 when the arguments are wrong
   */
  public static int run(
      List<String> argv, Map<String, String> environment, BenchBackends backends, PrintStream out) {
    return run(argv, environment, backends, HostProbe::new, out);
  }

  /**
   * @param hostProbes makes the probe for a number of threads where the backend has none
   */
  static int run(
      List<String> argv,
      Map<String, String> environment,
      BenchBackends backends,
      IntFunction<Probe> hostProbes,
      PrintStream out) {
    if (argv.contains(OfflineFlag.HELP.flag()) || argv.contains("-h")) {
      out.print(OfflineFlag.usage());
      return 0;
    }
    try {
      OfflineOptions options = OfflineOptions.parse(argv, environment);
      return new BenchOffline(options, backends, hostProbes, out).measure();
    } catch (UsageException problems) {
      out.println(problems.getMessage());
      return 2;
    } catch (ModelException unusable) {
      out.println("The model cannot run: " + unusable.getMessage());
      return 1;
    } catch (WeightsException unusable) {
      out.println("The weights cannot be read: " + unusable.getMessage());
      out.println("With --load-format dummy, random ones are taken instead.");
      return 1;
    } catch (IOException failure) {
      out.println("A file cannot be read or written: " + failure.getMessage());
      return 1;
    }
  }

  private int measure() throws IOException {
    Path temporary = Files.createTempDirectory("verdier-bench");
    try {
      return measure(directory(temporary));
    } finally {
      Files.deleteIfExists(temporary.resolve(ModelLoader.CONFIG_FILE));
      Files.delete(temporary);
    }
  }

  /** The directory of the model: its own, or a temporary one that gets its configuration. */
  private Path directory(Path temporary) throws IOException {
    String model = options.modelConfig();
    if (PublishedConfigs.NAMES.contains(model)) {
      PublishedConfigs.write(model, temporary);
      return temporary;
    }
    Path path = Path.of(model);
    if (Files.isRegularFile(path)) {
      Files.copy(path, temporary.resolve(ModelLoader.CONFIG_FILE));
      return temporary;
    }
    if (Files.isDirectory(path)) {
      return path;
    }
    String hint = Nearest.hint(model, PublishedConfigs.NAMES);
    String known =
        hint.isEmpty() ? "; known are " + String.join(", ", PublishedConfigs.NAMES) : hint;
    throw new UsageException(
        List.of(
            OfflineFlag.MODEL_CONFIG.flag()
                + ": "
                + model
                + " is neither a file nor a name"
                + known));
  }

  private int measure(Path directory) throws IOException {
    requireLength(directory);
    LoadResult.Loaded engineFlags = options.engine();
    engineFlags.notices().forEach(notice -> out.println("note: " + notice));
    ServerConfig config = engineFlags.config();
    if (config.backend().kind() == BackendKind.NULL) {
      throw new UsageException(List.of("--backend is null; there is nothing to measure in it"));
    }
    DType type = ModelLoader.describe(directory, config).weightType();
    int ranks = config.backend().ranks();
    long start = System.nanoTime();
    OpTimes operations = options.profile() ? new OpTimes() : null;
    LoadedModel model =
        ModelLoader.load(
            directory,
            config,
            rank -> timed(operations, backends.open(config, type, rank)),
            (done, total) -> {});
    double loadSeconds = (System.nanoTime() - start) / 1e9;
    if (options.prefixTiers()) {
      return new PrefixBench(options, config, directory).measure(model, out);
    }
    try (OfflineEngine engine =
        new OfflineEngine(model, config, options, guide(model), operations)) {
      Measured measured = new Measured(engine, model, type, ranks, loadSeconds);
      if (ranks == 1 || model.backend().threads() == 0) {
        return measure(measured, model.backend());
      }
      try (Backend whole = backends.open(config, type, Rank.ALONE)) { // each rank has a part
        return measure(measured, whole);
      }
    }
  }

  private static Backend timed(@Nullable OpTimes operations, Backend backend) {
    if (operations == null) {
      return backend;
    }
    if (backend.threads() == 0) {
      backend.close();
      throw new UsageException(
          List.of(
              OfflineFlag.PROFILE.flag()
                  + " times a CPU backend; this is "
                  + backend.description()));
    }
    return operations.around(backend);
  }

  /**
   * Over a made-up vocabulary of the model's size: a model with random weights has no tokenizer,
   * and what a constraint costs does not depend on which tokens spell what.
   */
  private @Nullable Guide guide(LoadedModel model) throws IOException {
    if (options.jsonSchema().isEmpty()) {
      return null;
    }
    String schema = Files.readString(Path.of(options.jsonSchema().get()));
    try {
      Constraint constraint = new Constraint.JsonSchema(schema, Constraint.JsonStyle.USUAL);
      List<byte[]> tokens = SampleVocabulary.tokens(model.spec().vocabSize(), 0);
      TokenTrie trie = TokenTrie.of(tokens.size(), tokens::get);
      return new Guide(GrammarCompiler.compile(constraint, Budget.defaults()), trie);
    } catch (GrammarException unusable) {
      throw new UsageException(List.of("--json-schema: " + unusable.getMessage()));
    }
  }

  private record Measured(
      OfflineEngine engine, LoadedModel model, DType weights, int ranks, double loadSeconds) {

    String backend() {
      String one = model.backend().description();
      return ranks == 1 ? one : one + ", " + ranks + " ranks";
    }
  }

  /**
   * @param machine whose limits are measured beside the model
   */
  private int measure(Measured measured, Backend machine) throws IOException {
    OfflineEngine engine = measured.engine;
    LoadedModel model = measured.model;
    int threads = machine.threads();
    Probe probe = machine.probe().orElseGet(() -> hostProbes.apply(Math.max(1, threads)));
    warmUp(engine);
    Probe.Rates before = probe.measure();
    List<Run> runs = new ArrayList<>();
    for (int i = 0; i < options.repeats(); i++) {
      runs.add(engine.run());
    }
    Probe.Rates after = probe.measure();
    model.memoryPlan().ifPresent(plan -> out.println(plan.text()));
    model.memoryTaken().ifPresent(out::println);
    Subject subject =
        new Subject(
            model.spec(),
            measured.weights.toString(),
            measured.backend(),
            threads,
            model.kvPlan(),
            model.transformer().weightBytesPerStep(),
            measured.loadSeconds);
    return report(subject, before, after, runs);
  }

  private int report(Subject subject, Probe.Rates before, Probe.Rates after, List<Run> runs)
      throws IOException {
    List<String> hashes = runs.stream().map(run -> hash(run.tokens())).distinct().toList();
    if (hashes.size() > 1) {
      out.println("The runs gave different tokens, and must not: " + String.join(", ", hashes));
      return 1;
    }
    OfflineResult result =
        new OfflineResult(options, subject, before, after, runs, hashes.getFirst());
    OfflineReport.print(result, out);
    if (options.resultFile().isPresent()) {
      Path file = Path.of(options.resultFile().get());
      Files.writeString(file, OfflineReport.json(result).encodePrettily() + "\n");
    }
    return 0;
  }

  /** Refused here, because elsewhere the text would name flags that nobody gave. */
  private void requireLength(Path directory) {
    int lengthMax = ModelLoader.describe(directory, options.asked().config()).lengthMax();
    if (options.lengthMax() > lengthMax) {
      throw new UsageException(
          List.of(
              "prompt or context and answer have "
                  + options.lengthMax()
                  + " tokens together; this model accepts "
                  + lengthMax
                  + ". Lower --input-len, --context or --output-len"));
    }
  }

  private void warmUp(OfflineEngine engine) {
    long due = System.nanoTime() + (long) (options.warmUpSeconds() * 1e9);
    do {
      engine.run();
    } while (System.nanoTime() < due);
  }

  /** Of all tokens by order of the prompts: equal tokens, equal hash. */
  private static String hash(int[][] tokens) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (int[] answer : tokens) {
        ByteBuffer bytes = ByteBuffer.allocate(answer.length * Integer.BYTES);
        bytes.asIntBuffer().put(answer);
        digest.update(bytes);
      }
      return HexFormat.of().formatHex(digest.digest(), 0, 8);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
