package io.verdier.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Vocabularies that are not byte-level, and files that are not vocabularies. */
class OtherVocabulariesTest {
  private static final List<String> TEXTS =
      List.of(
          "hello world",
          "hello  world hello",
          " hello",
          "\uD83E\uDD8A hello \u65E5\u672C world",
          "hello\nworld",
          "",
          "\u00E9\u00E9 \uD83E\uDD8A\uD83E\uDD8A");

  @TempDir Path directory;

  @Test
  void sentencePiece_streamedText_equalsDecodedText() throws IOException {
    try (Tokenizer tokenizer = load(sentencePiece())) {
      for (String text : TEXTS) {
        int[] ids = tokenizer.encode(text, false);
        assertThat(joined(tokenizer, ids)).isEqualTo(tokenizer.decode(ids, true)).isEqualTo(text);
      }
    }
  }

  @Test
  void sentencePiece_randomWords_streamAsDecoded() throws IOException {
    Random random = SeededRandom.of("sentencePiece");
    try (Tokenizer tokenizer = load(sentencePiece())) {
      for (int round = 0; round < 300; round++) {
        StringBuilder text = new StringBuilder();
        for (int n = random.nextInt(12); n > 0; n--) {
          text.append(random.nextInt(4) == 0 ? " " : TEXTS.get(random.nextInt(TEXTS.size())));
        }
        int[] ids = tokenizer.encode(text.toString(), false);
        assertThat(joined(tokenizer, ids))
            .as("seed %d, round %d", SeededRandom.SEED, round)
            .isEqualTo(text.toString());
      }
    }
  }

  @Test
  void sentencePiece_tokens_haveTheirExactBytes() throws IOException {
    try (Tokenizer tokenizer = load(sentencePiece())) {
      assertThat(tokenizer.tokenBytes(tokenizer.idOf("\u2581hello").orElseThrow()))
          .isEqualTo(" hello".getBytes(StandardCharsets.UTF_8));
      assertThat(tokenizer.tokenBytes(tokenizer.idOf("<0xF0>").orElseThrow()))
          .containsExactly(0xF0);
      assertThat(tokenizer.tokenBytes(tokenizer.idOf("</s>").orElseThrow()))
          .isEqualTo("</s>".getBytes(StandardCharsets.UTF_8));
      assertThat(tokenizer.isSpecial(2)).isTrue();
      assertThat(tokenizer.addsBos()).isFalse();
    }
  }

  @Test
  void sentencePiece_continuation_keepsItsFirstSpace() throws IOException {
    try (Tokenizer tokenizer = load(sentencePiece())) {
      int[] hello = tokenizer.encode("hello", false);
      int[] world = {tokenizer.idOf("\u2581world").orElseThrow()};
      assertThat(tokenizer.detokenizer(true, new int[0]).append(world)).isEqualTo("world");
      assertThat(tokenizer.detokenizer(true, hello).append(world)).isEqualTo(" world");
    }
  }

  @Test
  void sentencePiece_visibleToken_staysThoughSpecialOnesAreLeftOut() throws IOException {
    try (Tokenizer tokenizer = load(sentencePiece())) {
      int[] hello = tokenizer.encode("hello", false);
      int world = tokenizer.idOf("\u2581world").orElseThrow();
      int[] next = {2, world, tokenizer.idOf("<unk>").orElseThrow()}; // 2 is </s>
      Detokenizer detokenizer = tokenizer.detokenizer(true, Set.of("</s>"), hello);
      assertThat(detokenizer.append(next)).isEqualTo("</s> world");
      assertThat(tokenizer.detokenizer(true, hello).append(next)).isEqualTo(" world");
    }
  }

  @Test
  void sentencePiece_bytesWithoutEnd_doNotWaitForEver() throws IOException {
    try (Tokenizer tokenizer = load(sentencePiece())) {
      Detokenizer detokenizer = tokenizer.detokenizer(true, new int[0]);
      int f0 = tokenizer.idOf("<0xF0>").orElseThrow();
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < 100; i++) {
        detokenizer.append(f0, text);
      }
      assertThat(text.length()).isGreaterThan(90);
      detokenizer.finish(text);
      assertThat(text.toString()).isEqualTo("\uFFFD".repeat(100));
    }
  }

  @Test
  void wordPiece_streamedText_equalsDecodedText() throws IOException {
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "WordPiece");
    model.put("unk_token", "[UNK]");
    model.put("continuing_subword_prefix", "##");
    model.put("max_input_chars_per_word", 100);
    model.put("vocab", Map.of("[UNK]", 0, "play", 1, "##ing", 2, "the", 3, "game", 4));
    Map<String, Object> file = file(model, List.of(added(0, "[UNK]")));
    file.put("pre_tokenizer", Map.of("type", "BertPreTokenizer"));
    file.put("decoder", Map.of("type", "WordPiece", "prefix", "##", "cleanup", false));
    try (Tokenizer tokenizer = load(file)) {
      int[] ids = tokenizer.encode("playing the game", false);
      assertThat(ids).containsExactly(1, 2, 3, 4);
      assertThat(joined(tokenizer, ids)).isEqualTo("playing the game");
    }
  }

  @Test
  void unigram_vocabularyByPosition_isRead() throws IOException {
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "Unigram");
    model.put("unk_id", 0);
    model.put(
        "vocab", List.of(List.of("<unk>", 0.0), List.of("\u2581a", -1.0), List.of("b", -2.0)));
    Map<String, Object> file = file(model, List.of());
    file.put(
        "pre_tokenizer",
        Map.of("type", "Metaspace", "replacement", "\u2581", "prepend_scheme", "always"));
    file.put(
        "decoder",
        Map.of("type", "Metaspace", "replacement", "\u2581", "prepend_scheme", "always"));
    try (Tokenizer tokenizer = load(file)) {
      int[] ids = tokenizer.encode("a ab", false);
      assertThat(ids).containsExactly(1, 1, 2);
      assertThat(joined(tokenizer, ids)).isEqualTo("a ab");
      assertThat(tokenizer.vocabSize()).isEqualTo(3);
    }
  }

  @Test
  void file_withTruncationAndPadding_neitherTruncatesNorPads() throws IOException {
    Map<String, Object> file = sentencePiece();
    file.put(
        "truncation",
        Map.of("direction", "Right", "max_length", 3, "strategy", "LongestFirst", "stride", 0));
    Map<String, Object> padding = new LinkedHashMap<>();
    padding.put("strategy", Map.of("Fixed", 64));
    padding.put("direction", "Right");
    padding.put("pad_to_multiple_of", null);
    padding.put("pad_id", 0);
    padding.put("pad_type_id", 0);
    padding.put("pad_token", "<unk>");
    file.put("padding", padding);
    try (Tokenizer tokenizer = load(file)) {
      assertThat(tokenizer.encode("hello world hello world hello", false)).hasSize(5);
    }
  }

  @Test
  void file_missingOrDamaged_isRefusedWithReason() throws IOException {
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> Tokenizer.load(directory, DemoTokenizer.NATIVE_CACHE))
        .withMessageContaining("has no tokenizer.json");
    refused("{\"model\": {}}", "no model.vocab");
    refused("[]", "the file is not START_OBJECT");
    refused("{\"model\": {\"vocab\": {\"a\": ", "not valid JSON");
    refused("{\"model\": {\"vocab\": {\"a\": 4294967296}}}", "token id 4294967296 is outside");
    refused("{\"model\": {\"vocab\": {\"a\": -1}}}", "token id -1 is outside");
    refused("{\"model\": {\"vocab\": {\"a\": 99999999999999999999}}}", "not valid JSON");
    refused("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}", "is not usable");
  }

  @Test
  void nativeCache_writableByOthers_isRefused() throws IOException {
    Path shared = Files.createDirectory(directory.resolve("shared"));
    Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> Tokenizer.load(DemoTokenizer.directory(), shared))
        .withMessageContaining("writable by other users");
  }

  @Test
  void nativeCache_damagedLibrary_isUnpackedAgain() throws IOException {
    Path cache = directory.resolve("cache");
    NativeTokenizers.unpack(Files.createDirectory(cache));
    Path library = NativeTokenizers.unpack(cache);
    long size = Files.size(library);
    Files.writeString(library, "damaged");
    assertThat(NativeTokenizers.unpack(cache)).isEqualTo(library).hasSize(size);
    try (var files = Files.list(cache)) {
      assertThat(files).hasSize(1);
    }
  }

  /** Two copies in a process abort it. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void nativeCache_anotherDirectory_loadsNoSecondCopy() throws IOException {
    for (String name : List.of("one", "other")) {
      Path cache = directory.resolve(name);
      try (Tokenizer tokenizer = Tokenizer.load(DemoTokenizer.directory(), cache)) {
        assertThat(tokenizer.encode("Hello", false)).isNotEmpty();
      }
    }
    try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
      assertThat(
              maps.filter(line -> line.contains("libtokenizers"))
                  .map(line -> line.substring(line.indexOf('/')))
                  .distinct())
          .hasSize(1);
    }
  }

  private void refused(String json, String reason) throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), json);
    assertThatExceptionOfType(IOException.class)
        .isThrownBy(() -> Tokenizer.load(directory, DemoTokenizer.NATIVE_CACHE))
        .withMessageContaining(reason);
    Files.delete(directory.resolve("tokenizer.json"));
  }

  private Tokenizer load(Map<String, Object> file) throws IOException {
    new ObjectMapper().writeValue(directory.resolve("tokenizer.json").toFile(), file);
    return Tokenizer.load(directory, DemoTokenizer.NATIVE_CACHE);
  }

  /** In the manner of Llama 2: byte fallback, and a first space that decoding drops. */
  private static Map<String, Object> sentencePiece() {
    Map<String, Object> vocab = new LinkedHashMap<>();
    for (String token : List.of("<unk>", "<s>", "</s>")) {
      vocab.put(token, vocab.size());
    }
    for (int b = 0; b < 256; b++) {
      vocab.put("<0x%02X>".formatted(b), vocab.size());
    }
    List<String> merges = new ArrayList<>();
    for (String letter : "helowrd\u2581".split("")) {
      vocab.put(letter, vocab.size());
    }
    for (String word : List.of("\u2581hello", "\u2581world")) {
      for (int n = 2; n <= word.length(); n++) {
        vocab.put(word.substring(0, n), vocab.size());
        merges.add(word.substring(0, n - 1) + " " + word.charAt(n - 1));
      }
    }
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("unk_token", "<unk>");
    model.put("fuse_unk", true);
    model.put("byte_fallback", true);
    model.put("vocab", vocab);
    model.put("merges", merges);
    Map<String, Object> file =
        file(model, List.of(added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")));
    Map<String, Object> space = Map.of("String", " ");
    file.put(
        "normalizer",
        Map.of(
            "type",
            "Sequence",
            "normalizers",
            List.of(
                Map.of("type", "Prepend", "prepend", "\u2581"),
                Map.of("type", "Replace", "pattern", space, "content", "\u2581"))));
    file.put(
        "decoder",
        Map.of(
            "type",
            "Sequence",
            "decoders",
            List.of(
                Map.of("type", "Replace", "pattern", Map.of("String", "\u2581"), "content", " "),
                Map.of("type", "ByteFallback"),
                Map.of("type", "Fuse"),
                Map.of("type", "Strip", "content", " ", "start", 1, "stop", 0))));
    return file;
  }

  private static Map<String, Object> file(Map<String, Object> model, List<Object> added) {
    Map<String, Object> file = new LinkedHashMap<>();
    file.put("version", "1.0");
    file.put("added_tokens", added);
    file.put("decoder", null);
    file.put("model", model);
    return file;
  }

  private static Object added(int id, String content) {
    Map<String, Object> token = new LinkedHashMap<>();
    token.put("id", id);
    token.put("content", content);
    for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
      token.put(flag, false);
    }
    token.put("special", true);
    return token;
  }

  private static String joined(Tokenizer tokenizer, int[] ids) {
    Detokenizer detokenizer = tokenizer.detokenizer(true, new int[0]);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      detokenizer.append(id, text);
    }
    detokenizer.finish(text);
    return text.toString();
  }
}
