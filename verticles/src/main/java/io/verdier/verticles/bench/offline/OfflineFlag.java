package io.verdier.verticles.bench.offline;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The flags of {@code bench offline} beside those of {@code serve}: one row each. */
enum OfflineFlag {
  MODEL_CONFIG(
      "NAME|PATH", null, "a published model's name, a config.json or a directory; or --model"),
  BATCH("N", "1", "sequences that run together; also --batch-size"),
  NUM_PROMPTS("N", null, "prompts in all, so many batches; otherwise one batch"),
  INPUT_LEN("N", null, "tokens of a prompt (128, or 0 with --context: nothing is prefilled)"),
  OUTPUT_LEN("N", "128", "tokens of an answer, at least 2; end tokens do not end it"),
  CONTEXT("N", null, "decode behind so many tokens that are put into the cache uncomputed"),
  TEMPERATURE("T", "0", "sampling temperature; 0 takes the most probable token"),
  PREFIX_TIERS(
      null, null, "time a prompt's first token instead: unseen, and found in each prefix tier"),
  PROFILE(null, null, "time each operation of the CPU backend too, by the shape of its weights"),
  JSON_SCHEMA(
      "FILE", null, "hold all answers to a JSON schema that lets none end early (a long array)"),
  LORA_ROWS(
      "N",
      "0",
      "of each batch, sequences that have an adapter, of --max-loras random ones of full rank"),
  REPEAT("N", "5", "runs that are measured; medians are reported; also --num-iters"),
  WARM_UP_SECONDS("S", "5", "whole runs before, at least one"),
  DEVICE("NAME", null, "the same as --backend"),
  JSON("FILE", null, "write the result as JSON; also --output-json"),
  HELP(null, null, "print this and exit");

  private final @Nullable String placeholder;
  private final @Nullable String fallback;
  private final String help;

  OfflineFlag(@Nullable String placeholder, @Nullable String fallback, String help) {
    this.placeholder = placeholder;
    this.fallback = fallback;
    this.help = help;
  }

  /** With two dashes and dashes between the words. */
  String flag() {
    return "--" + name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  boolean takesValue() {
    return placeholder != null;
  }

  Optional<String> fallback() {
    return Optional.ofNullable(fallback);
  }

  /** The flag as typed: {@code --a-b}, {@code --a_b} or vLLM's name for it. */
  static Optional<OfflineFlag> named(String typed) {
    String flag =
        switch (typed.replace('_', '-')) {
          case "--batch-size" -> BATCH.flag();
          case "--num-iters" -> REPEAT.flag();
          case "--output-json" -> JSON.flag();
          case "-h" -> HELP.flag();
          case String other -> other;
        };
    return Stream.of(values()).filter(row -> row.flag().equals(flag)).findFirst();
  }

  static List<String> names() {
    return Arrays.stream(values()).map(OfflineFlag::flag).toList();
  }

  static String usage() {
    StringBuilder text = new StringBuilder("Usage: verdier bench offline [flags]\n\n");
    for (OfflineFlag row : values()) {
      String left = row.placeholder == null ? row.flag() : row.flag() + " " + row.placeholder;
      String right = row.fallback == null ? row.help : row.help + " (" + row.fallback + ")";
      text.append(String.format(Locale.ROOT, "  %-28s %s%n", left, right));
    }
    return text.append("\nand every flag of verdier serve that the engine knows, such as\n\n")
        .append("  --load-format dummy          random weights: config.json is enough\n")
        .append(
            "  --backend, --threads, --dtype, --quantization, --kv-cache-dtype, --block-size,\n")
        .append("  --max-num-batched-tokens (most tokens of a step), --seed (of the prompts)\n")
        .toString();
  }
}
