package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Vocabularies of tests. Stateless. */
final class TestVocabularies {
  /** As large as Llama 3's is without its special tokens, nearly. */
  static final int LARGE = 131_072;

  private static final String[] CONSONANTS = {
    "b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr",
    "ch", "sh", "th", "br", "pl", "nd"
  };
  private static final String[] VOWELS = {"a", "e", "i", "o", "u", "ea", "ou", "io", "é", "ä"};

  private TestVocabularies() {}

  /** The demo model's tokens; specials have no bytes. */
  static TokenTrie demo() {
    JsonNode vocabulary;
    try (InputStream in =
        Objects.requireNonNull(
            TestVocabularies.class.getResourceAsStream("/demo-model/tokenizer.json"))) {
      vocabulary = new ObjectMapper().readTree(in).path("model").path("vocab");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Map<Integer, Integer> bytes = byteLevel();
    byte[][] tokens = new byte[vocabulary.size()][];
    for (Map.Entry<String, JsonNode> token : vocabulary.properties()) {
      int[] characters = token.getKey().codePoints().toArray();
      byte[] decoded = new byte[characters.length];
      for (int i = 0; i < characters.length; i++) {
        decoded[i] = (byte) (int) Objects.requireNonNull(bytes.get(characters[i]));
      }
      tokens[token.getValue().intValue()] = decoded;
    }
    return TokenTrie.of(tokens.length, id -> tokens[id]);
  }

  /** GPT-2's letters for bytes. */
  private static Map<Integer, Integer> byteLevel() {
    Map<Integer, Integer> bytes = new HashMap<>();
    int next = 256;
    for (int value = 0; value < 256; value++) {
      boolean isPrinted =
          (value >= '!' && value <= '~')
              || (value >= 0xa1 && value <= 0xac)
              || (value >= 0xae && value <= 0xff);
      bytes.put(isPrinted ? value : next++, value);
    }
    return bytes;
  }

  /**
   * Every byte; what is frequent in JSON: brackets, blanks and digits in runs; pieces of a text,
   * and syllables as words are made of, until there are as many as in a large model.
   */
  static TokenTrie large(String text) {
    Set<String> pieces = new LinkedHashSet<>();
    for (int i = 1; i <= 80; i++) {
      pieces.add(" ".repeat(i));
      pieces.add("\n" + " ".repeat(i));
      pieces.add("\t".repeat(i));
    }
    for (int i = 0; i < 1000; i++) {
      pieces.add(Integer.toString(i));
      pieces.add("%03d".formatted(i));
    }
    String marks = "{}[]\",: \n";
    for (int i = 0; i < 9 * 9 * 9; i++) {
      char[] token = {marks.charAt(i % 9), marks.charAt(i / 9 % 9), marks.charAt(i / 81)};
      for (int length = 2; length <= 3; length++) {
        pieces.add(new String(token, 0, length));
      }
    }
    for (int length = 2; length <= 12; length++) {
      for (int at = 0; at + length <= text.length() && pieces.size() < LARGE / 3; at += 3) {
        pieces.add(text.substring(at, at + length));
      }
    }
    pieces.add("日本");
    pieces.add("😀");
    pieces.add("\\u00e9");
    List<byte[]> tokens = new ArrayList<>();
    for (int value = 0; value < 256; value++) {
      tokens.add(new byte[] {(byte) value});
    }
    for (String piece : pieces) {
      byte[] bytes = piece.getBytes(StandardCharsets.UTF_8);
      tokens.add(bytes);
    }
    addSyllables(tokens, pieces);
    return TokenTrie.of(tokens.size(), tokens::get);
  }

  private static void addSyllables(List<byte[]> tokens, Set<String> known) {
    List<String> syllables = new ArrayList<>();
    for (String consonant : CONSONANTS) {
      for (String vowel : VOWELS) {
        syllables.add(consonant + vowel);
      }
    }
    for (int i = 0; tokens.size() < LARGE; i++) {
      String word =
          (i % 2 == 0 ? " " : "")
              + syllables.get(i / 2 % syllables.size())
              + syllables.get(i / 2 / syllables.size() % syllables.size())
              + (i / 2 / syllables.size() / syllables.size() == 0 ? "" : "s");
      if (known.add(word)) {
        tokens.add(word.getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  /** The longest token with which a text goes on at a place. */
  static int longest(TokenTrie trie, byte[] text, int at) {
    int best = -1;
    int length = 0;
    int node = 0;
    int depth = 0;
    while (node < trie.nodes() && at + depth < text.length) {
      if (trie.depth(node) < depth) {
        break;
      }
      if (trie.label(node) != (text[at + depth] & 0xff)) {
        node = trie.end(node);
        continue;
      }
      depth++;
      if (trie.tokensStart(node) < trie.tokensEnd(node) && depth > length) {
        best = trie.token(trie.tokensStart(node));
        length = depth;
      }
      node++;
    }
    return best;
  }
}
