package io.verdier.engine.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What {@code tokenizer_config.json} says of a tokenizer beside its tokens; older checkpoints have
 * the special ones in {@code special_tokens_map.json}. Immutable.
 *
 * @param directory that holds the files
 * @param values of the first file; none without it
 */
public record TokenizerConfig(Path directory, Map<String, Object> values) {
  static final String FILE = "tokenizer.json";
  private static final Set<String> LLAMA = Set.of("LlamaTokenizer", "LlamaTokenizerFast");

  /**
   * Reads the files that are there.
   *
   * @throws io.verdier.engine.RejectedException if one is not a JSON object
   */
  public static TokenizerConfig read(Path directory) {
    return new TokenizerConfig(
        directory, ChatTemplateFiles.json(directory.resolve("tokenizer_config.json")));
  }

  /** Whether it is of the classes that frame a text by the flags below, and not by their file. */
  boolean isLlama() {
    return values.get("tokenizer_class") instanceof String type && LLAMA.contains(type);
  }

  /** Empty: the file does not say. */
  Optional<Boolean> flag(String key) {
    return values.get(key) instanceof Boolean flag ? Optional.of(flag) : Optional.empty();
  }

  /**
   * The text of a special token.
   *
   * @param key such as {@code eos_token}
   */
  Optional<String> token(String key) {
    String own = ChatTemplateFiles.tokenText(values.get(key));
    if (own != null) {
      return Optional.of(own);
    }
    Map<String, Object> map = ChatTemplateFiles.json(directory.resolve("special_tokens_map.json"));
    String mapped = ChatTemplateFiles.tokenText(map.get(key));
    if (mapped != null || values.containsKey(key) || !isLlama()) {
      return Optional.ofNullable(mapped);
    }
    return Optional.ofNullable(Map.of("bos_token", "<s>", "eos_token", "</s>").get(key));
  }

  /**
   * The id of {@code eos_token}; empty: there is none, or the vocabulary does not have it.
   *
   * @throws IOException if {@code tokenizer.json} is there and cannot be read
   */
  public OptionalInt endToken() throws IOException {
    Optional<String> text = token("eos_token");
    if (text.isEmpty()) {
      return OptionalInt.empty();
    }
    OptionalInt listed = listedId(text.get());
    Path file = directory.resolve(FILE);
    return listed.isPresent() || !Files.isRegularFile(file)
        ? listed
        : VocabularyReader.idOf(Files.readAllBytes(file), text.get());
  }

  /** Newer files list the added tokens a second time, which saves reading the large file. */
  private OptionalInt listedId(String text) {
    if (values.get("added_tokens_decoder") instanceof Map<?, ?> byId) {
      for (Map.Entry<?, ?> entry : byId.entrySet()) {
        String id = String.valueOf(entry.getKey());
        if (text.equals(ChatTemplateFiles.tokenText(entry.getValue())) && id.matches("\\d{1,9}")) {
          return OptionalInt.of(Integer.parseInt(id));
        }
      }
    }
    return OptionalInt.empty();
  }
}
