package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.text.TokenizerConfig;
import io.verdier.engine.weights.CheckpointFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Sampling defaults that a model brings along in {@code generation_config.json}. Immutable.
 *
 * @param topK empty as well for 0, which means off
 * @param maxNewTokens bound on generated tokens for requests that give none
 * @param endTokenIds ids that end a sequence, from this file, {@code config.json} and the
 *     tokenizer's {@code eos_token}; sorted
 */
public record GenerationDefaults(
    OptionalDouble temperature,
    OptionalDouble topP,
    OptionalInt topK,
    OptionalDouble minP,
    OptionalDouble repetitionPenalty,
    OptionalInt maxNewTokens,
    int[] endTokenIds) {
  public static final String FILE = "generation_config.json";

  /**
   * Reads the file of the model's directory, of another one, or none, as {@code
   * --generation-config} says; {@code --override-generation-config} goes before it. Without a file
   * there are no defaults, only the end tokens of {@code config.json} and of the tokenizer.
   *
   * @throws ModelException if a directory is named that has no such file
   */
  static GenerationDefaults read(
      CheckpointFiles files, ConfigReader config, int vocabSize, ServerConfig.Model asked) {
    ConfigReader generation =
        ConfigReader.of("--override-generation-config", asked.generationOverrides())
            .orElse(file(files.directory(), asked.generationConfig().orElse("auto")));
    return new GenerationDefaults(
        decimal(generation, "temperature", 0, 1000),
        decimal(generation, "top_p", 0, 1),
        positive(generation, "top_k"),
        decimal(generation, "min_p", 0, 1),
        decimal(generation, "repetition_penalty", 1e-6, 1000),
        positive(generation, "max_new_tokens"),
        endTokenIds(generation, config, endToken(files.tokenizer(), vocabSize), vocabSize));
  }

  private static ConfigReader file(Path directory, String source) {
    Path file = (source.equals("auto") ? directory : Path.of(source)).resolve(FILE);
    if (source.equals("vllm") || (source.equals("auto") && !Files.isRegularFile(file))) {
      return ConfigReader.of(FILE, Map.of());
    }
    if (!Files.isRegularFile(file)) {
      throw new ModelException(
          "--generation-config is "
              + source
              + ", where there is no "
              + FILE
              + "; name a directory"
              + " that has one, auto for the model's, or vllm for none.");
    }
    return ConfigReader.read(file);
  }

  /** What a base model ends with and its configuration may not know: vLLM looks there too. */
  private static IntStream endToken(Path tokenizer, int vocabSize) {
    try {
      return TokenizerConfig.read(tokenizer).endToken().stream().filter(id -> id < vocabSize);
    } catch (IOException e) {
      throw new ModelException("tokenizer.json cannot be read: " + e.getMessage(), e);
    }
  }

  private static int[] endTokenIds(
      ConfigReader generation, ConfigReader config, IntStream tokenizers, int vocabSize) {
    ConfigReader text = config.object("text_config").map(t -> t.orElse(config)).orElse(config);
    return Stream.of(
            IntStream.of(generation.integers("eos_token_id", 0, vocabSize - 1)),
            IntStream.of(text.integers("eos_token_id", 0, vocabSize - 1)),
            tokenizers)
        .flatMapToInt(ids -> ids)
        .distinct()
        .sorted()
        .toArray();
  }

  private static OptionalDouble decimal(ConfigReader config, String key, double min, double max) {
    return config.has(key)
        ? OptionalDouble.of(config.decimal(key, min, max, min))
        : OptionalDouble.empty();
  }

  private static OptionalInt positive(ConfigReader config, String key) {
    int value = config.integer(key, 0, Integer.MAX_VALUE, 0);
    return value == 0 ? OptionalInt.empty() : OptionalInt.of(value);
  }
}
