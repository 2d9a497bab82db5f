package io.verdier.verticles.bench;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarRates;
import io.verdier.engine.grammar.GrammarRates.Rate;
import io.verdier.engine.grammar.SampleVocabulary;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.text.Tokenizer;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * The command {@code bench grammar}: what constraints cost, over schemas of the size of tools'.
 * Stateless.
 *
 * <p>All schemas are measured twice, and the first time, which warms up the machine and the
 * vocabulary's own sets, is not reported. States and masks are a grammar's own: in the reported
 * round each is new again.
 */
public final class BenchGrammar {
  private static final String SCHEMAS = "schemas.json";

  private BenchGrammar() {}

  private record Line(String name, Rate rate) {}

  /**
   * Runs the command.
   *
   * @param argv what follows {@code bench grammar}
   * @return exit code: 0 when all was measured, 1 when a file cannot be read or written, 2 when the
   *     arguments are wrong
   */
  public static int run(List<String> argv, PrintStream out) {
    List<String> problems = new ArrayList<>();
    Map<GrammarFlag, String> flags = GrammarFlag.parse(argv, problems);
    if (flags.containsKey(GrammarFlag.HELP)) {
      out.print(GrammarFlag.usage());
      return 0;
    }
    long vocabulary = number(flags, GrammarFlag.VOCAB_SIZE, 256, 1 << 22, problems);
    long documents = number(flags, GrammarFlag.DOCUMENTS, 1, 100_000, problems);
    long seed = number(flags, GrammarFlag.SEED, Long.MIN_VALUE, Long.MAX_VALUE, problems);
    if (!problems.isEmpty()) {
      problems.forEach(out::println);
      return 2;
    }
    try {
      String model = flags.get(GrammarFlag.MODEL);
      TokenTrie trie = model == null ? madeUp((int) vocabulary, seed) : ofModel(Path.of(model));
      List<Line> lines = measure(trie, (int) documents, seed);
      print(trie, lines, out);
      String file = flags.get(GrammarFlag.JSON);
      if (file != null) {
        Files.writeString(Path.of(file), json(trie, lines).encodePrettily() + "\n");
      }
      return 0;
    } catch (IOException failure) {
      out.println("A file cannot be read or written: " + failure.getMessage());
      return 1;
    }
  }

  private static long number(
      Map<GrammarFlag, String> flags, GrammarFlag flag, long min, long max, List<String> problems) {
    String text = Objects.requireNonNull(flags.get(flag));
    try {
      long value = Long.parseLong(text);
      if (value >= min && value <= max) {
        return value;
      }
    } catch (NumberFormatException notANumber) {
      // The same problem as one out of range.
    }
    problems.add(
        flag.flag() + " is " + text + "; it must be a whole number from " + min + " to " + max);
    return min;
  }

  private static TokenTrie madeUp(int size, long seed) {
    List<byte[]> tokens = SampleVocabulary.tokens(size, seed);
    return TokenTrie.of(tokens.size(), tokens::get);
  }

  private static TokenTrie ofModel(Path directory) throws IOException {
    Path unpacked = Files.createTempDirectory("verdier-bench");
    try (Tokenizer tokenizer = Tokenizer.load(directory, unpacked)) {
      return TokenTrie.of(
          tokenizer.vocabSize(),
          id ->
              tokenizer.contains(id) && !tokenizer.isSpecial(id) ? tokenizer.tokenBytes(id) : null);
    } finally {
      delete(unpacked); // a library that is loaded needs its file no longer
    }
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  private static List<Line> measure(TokenTrie trie, int documents, long seed) throws IOException {
    GrammarRates rates = new GrammarRates(trie, System::nanoTime);
    JsonObject schemas = new JsonObject(schemas());
    List<Line> lines = new ArrayList<>();
    for (int round = 0; round < 2; round++) {
      lines.clear();
      for (String name : schemas.fieldNames()) {
        String schema = schemas.getJsonObject(name).encode();
        Constraint constraint = new Constraint.JsonSchema(schema, Constraint.JsonStyle.USUAL);
        lines.add(new Line(name, rates.measure(constraint, documents, seed)));
      }
    }
    return lines;
  }

  private static String schemas() throws IOException {
    try (InputStream in = BenchGrammar.class.getResourceAsStream(SCHEMAS)) {
      return new String(Objects.requireNonNull(in, SCHEMAS).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static void print(TokenTrie trie, List<Line> lines, PrintStream out) {
    out.printf(Locale.ROOT, "%d tokens, second of two rounds%n%n", trie.vocabularySize());
    out.printf(
        "%-16s %10s %7s %11s %9s %7s %9s %9s %9s %9s%n",
        "schema",
        "compile ms",
        "states",
        "grammar KiB",
        "all KiB",
        "masks",
        "median us",
        "p99 us",
        "max us",
        "next ns");
    for (Line line : lines) {
      Rate rate = line.rate;
      long[] masks = sorted(List.of(line));
      out.printf(
          Locale.ROOT,
          "%-16s %10.2f %7d %11.1f %9.0f %7d %9.2f %9.1f %9.1f %9.0f%n",
          line.name,
          rate.compileNanos() / 1e6,
          rate.states(),
          rate.grammarBytes() / 1024.0,
          rate.bytes() / 1024.0,
          masks.length,
          Rate.microsAt(masks, 0.5),
          Rate.microsAt(masks, 0.99),
          Rate.microsAt(masks, 1),
          rate.advanceNanosPerToken());
    }
    JsonObject all = all(lines);
    out.printf(
        Locale.ROOT,
        "%nall: compile median %.2f ms, max %.2f ms; mask median %.2f us, p99 %.1f us, max %.1f us;"
            + " next %.0f ns a token%n",
        all.getDouble("compile_ms_median"),
        all.getDouble("compile_ms_max"),
        all.getDouble("mask_us_median"),
        all.getDouble("mask_us_p99"),
        all.getDouble("mask_us_max"),
        all.getDouble("next_ns"));
  }

  private static long[] sorted(List<Line> lines) {
    return lines.stream().flatMapToLong(l -> Arrays.stream(l.rate.maskNanos())).sorted().toArray();
  }

  private static JsonObject all(List<Line> lines) {
    double[] compiles = lines.stream().mapToDouble(l -> l.rate.compileNanos() / 1e6).toArray();
    Arrays.sort(compiles);
    double advance = lines.stream().mapToLong(l -> l.rate.advanceNanos()).sum();
    long[] masks = sorted(lines);
    return new JsonObject()
        .put("compile_ms_median", compiles[compiles.length / 2])
        .put("compile_ms_max", compiles[compiles.length - 1])
        .put("masks", masks.length)
        .put("mask_us_median", Rate.microsAt(masks, 0.5))
        .put("mask_us_p99", Rate.microsAt(masks, 0.99))
        .put("mask_us_max", Rate.microsAt(masks, 1))
        .put("next_ns", advance / masks.length);
  }

  private static JsonObject json(TokenTrie trie, List<Line> lines) {
    JsonArray schemas = new JsonArray();
    for (Line line : lines) {
      schemas.add(
          all(List.of(line))
              .put("schema", line.name)
              .put("states", line.rate.states())
              .put("grammar_bytes", line.rate.grammarBytes())
              .put("bytes", line.rate.bytes()));
    }
    return new JsonObject()
        .put("vocabulary", trie.vocabularySize())
        .put("all", all(lines))
        .put("schemas", schemas);
  }
}
