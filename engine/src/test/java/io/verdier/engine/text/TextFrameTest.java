package io.verdier.engine.text;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What is put around a bare text, by what {@code tokenizer_config.json} says and what {@code
 * tokenizer.json} does.
 */
class TextFrameTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String BOS = "<|begin_of_text|>";
  private static final String EOS = "<|end_of_text|>";
  private static final String NONE = "null";
  private static final String BYTES =
      "{'type': 'ByteLevel', 'add_prefix_space': true, 'trim_offsets': false, 'use_regex': true}";
  private static final String TOKENS =
      "'bos_token': {'__type': 'AddedToken', 'content': '%s'}, 'eos_token': '%s'"
          .formatted(BOS, EOS);

  @TempDir Path directory;

  /** The file has no template, as those of DeepSeek's distilled models. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "LlamaTokenizerFast | | B a | B a B b",
        "LlamaTokenizer | | B a | B a B b",
        "LlamaTokenizerFast | \"add_bos_token\": true, \"add_eos_token\": false | B a | B a B b",
        "LlamaTokenizerFast | \"add_bos_token\": true, \"add_eos_token\": true | B a E | B a E B b E",
        "LlamaTokenizerFast | \"add_bos_token\": false, \"add_eos_token\": true | a E | a E b E",
        "LlamaTokenizerFast | \"add_bos_token\": false | a | a b",
        "LlamaTokenizerFast | \"add_bos_token\": null | B a | B a B b",
        "PreTrainedTokenizerFast | \"add_bos_token\": true | a | a b",
        "Qwen2Tokenizer | \"add_bos_token\": true | a | a b",
      })
  void encode_fileWithoutTemplate_framesAsItsClassDoes(
      String type, String flags, String one, String pair) throws IOException {
    for (String processor : new String[] {NONE, BYTES, ""}) {
      write(processor, config(type, flags));
      try (Tokenizer tokenizer = load()) {
        assertThat(spelled(tokenizer, tokenizer.encode("a", true))).isEqualTo(one);
        assertThat(spelled(tokenizer, tokenizer.encodePair("a", "b"))).isEqualTo(pair);
        assertThat(spelled(tokenizer, tokenizer.encode("a", false))).isEqualTo("a");
        assertThat(tokenizer.addsBos()).isEqualTo(one.startsWith("B"));
      }
    }
  }

  /** The demo's own file has a template of a Sequence, as those of Llama 3. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "PreTrainedTokenizerFast | \"add_bos_token\": false | B a",
        "LlamaTokenizerFast | | B a",
        "LlamaTokenizerFast | \"add_bos_token\": true, \"add_eos_token\": false | B a",
        "LlamaTokenizerFast | \"add_eos_token\": true | B a E",
        "LlamaTokenizer | \"add_bos_token\": false | a"
      })
  void encode_fileWithTemplate_keepsItUnlessAFlagSays(String type, String flags, String one)
      throws IOException {
    Files.copy(
        DemoTokenizer.directory().resolve("tokenizer.json"), directory.resolve("tokenizer.json"));
    Files.writeString(directory.resolve("tokenizer_config.json"), config(type, flags));
    try (Tokenizer tokenizer = load()) {
      assertThat(spelled(tokenizer, tokenizer.encode("a", true))).isEqualTo(one);
    }
  }

  @Test
  void complete_nothingToSay_isTheSameFile() throws IOException {
    byte[] json = Files.readAllBytes(DemoTokenizer.directory().resolve("tokenizer.json"));
    Vocabulary vocabulary = VocabularyReader.read(json);
    Files.writeString(directory.resolve("tokenizer_config.json"), config("LlamaTokenizer", ""));
    assertThat(TextFrame.complete(json, TokenizerConfig.read(directory), vocabulary))
        .isSameAs(json);
  }

  /** As old checkpoints are, whose tokens have a file of their own, or those of the class. */
  @Test
  void encode_tokensElsewhere_areFound() throws IOException {
    write(NONE, "{\"tokenizer_class\": \"LlamaTokenizer\"}");
    try (Tokenizer tokenizer = load()) {
      assertThat(tokenizer.addsBos()).as("the vocabulary has no <s>").isFalse();
    }
    Files.writeString(
        directory.resolve("special_tokens_map.json"), "{\"bos_token\": \"%s\"}".formatted(BOS));
    try (Tokenizer tokenizer = load()) {
      assertThat(spelled(tokenizer, tokenizer.encode("a", true))).isEqualTo("B a");
    }
  }

  private static String config(String type, String flags) {
    String given = flags == null || flags.isEmpty() ? "" : ", " + flags;
    return "{'tokenizer_class': '%s', %s".formatted(type, TOKENS).replace('\'', '"') + given + "}";
  }

  /** The demo's file with another post-processor; empty: with none. */
  private void write(String processor, String config) throws IOException {
    Path demo = DemoTokenizer.directory().resolve("tokenizer.json");
    ObjectNode file = (ObjectNode) JSON.readTree(demo.toFile());
    file.remove("post_processor");
    if (!processor.isEmpty()) {
      JsonNode value = JSON.readTree(processor.replace('\'', '"'));
      file.set("post_processor", value);
    }
    Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(file));
    Files.writeString(directory.resolve("tokenizer_config.json"), config);
  }

  private Tokenizer load() throws IOException {
    return Tokenizer.load(directory, DemoTokenizer.NATIVE_CACHE);
  }

  private static String spelled(Tokenizer tokenizer, int[] ids) {
    return Arrays.stream(ids)
        .mapToObj(tokenizer::spelling)
        .map(token -> token.equals(BOS) ? "B" : token.equals(EOS) ? "E" : token)
        .collect(Collectors.joining(" "));
  }
}
