package io.verdier.engine.text;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of a tokenizer by id: as the file spells them, and as the bytes they stand for.
 * Immutable.
 *
 * <p>A byte-level vocabulary spells each byte as one printable character (GPT-2's table), so that
 * {@code " the"} is spelled {@code "Ġthe"}. Others spell a space as {@code ▁} and, with byte
 * fallback, single bytes as {@code <0xE2>}. All bytes lie in one array: a vocabulary of 128,000
 * tokens is one object, not 128,000.
 */
final class Vocabulary {
  /** How a token's spelling becomes bytes. */
  enum Spelling {
    /** Every byte is a character of GPT-2's table. The bytes of a text are those of its tokens. */
    BYTE_LEVEL,
    /** {@code ▁} is a space, {@code <0x0A>} is a byte. */
    SENTENCE_PIECE,
    /** As it is. */
    PLAIN
  }

  /** No vocabulary is known to have more; an id from a damaged file must not size an array. */
  static final int IDS_MAX = 1 << 22;

  private static final int[] BYTE_OF_CHAR = byteOfChar();

  private final Spelling spelling;
  private final @Nullable String[] tokens; // by id; null where the id is not used
  private final Map<String, Integer> added;
  private final BitSet special;
  private final byte[] bytes; // of all tokens, in id order
  private final int[] starts; // [ids + 1]
  private final int longestBytes;

  private Vocabulary(
      Spelling spelling, @Nullable String[] tokens, Map<String, Integer> added, BitSet special) {
    this.spelling = spelling;
    this.tokens = tokens;
    this.added = added;
    this.special = special;
    this.starts = new int[tokens.length + 1];
    byte[] all = new byte[8 * tokens.length];
    int longest = 0;
    for (int id = 0; id < tokens.length; id++) {
      byte[] one = bytesOf(spelling, tokens[id], added);
      if (starts[id] + one.length > all.length) {
        all = Arrays.copyOf(all, Math.max(2 * all.length, starts[id] + one.length));
      }
      System.arraycopy(one, 0, all, starts[id], one.length);
      starts[id + 1] = starts[id] + one.length;
      longest = Math.max(longest, one.length);
    }
    this.bytes = Arrays.copyOf(all, starts[tokens.length]);
    this.longestBytes = longest;
  }

  Spelling spelling() {
    return spelling;
  }

  /** Ids are below this; a few of them may be unused. */
  int size() {
    return tokens.length;
  }

  boolean contains(int id) {
    return id >= 0 && id < tokens.length && tokens[id] != null;
  }

  boolean isSpecial(int id) {
    return special.get(id);
  }

  /** As the file spells it. */
  @Nullable String token(int id) {
    return tokens[id];
  }

  /** Of an added token, as all special ones are. */
  OptionalInt idOfAdded(String token) {
    Integer id = added.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** Added tokens by hash, others by search: this is for start-up, not for requests. */
  OptionalInt idOf(String token) {
    Integer id = added.get(token);
    if (id != null) {
      return OptionalInt.of(id);
    }
    int index = Arrays.asList(tokens).indexOf(token);
    return index < 0 ? OptionalInt.empty() : OptionalInt.of(index);
  }

  /** Size of the longest token. */
  int longestBytes() {
    return longestBytes;
  }

  /** The bytes of all tokens, those of one from {@link #bytesStart} to {@link #bytesEnd}. */
  byte[] allBytes() {
    return bytes;
  }

  int bytesStart(int id) {
    return starts[id];
  }

  int bytesEnd(int id) {
    return starts[id + 1];
  }

  private static byte[] bytesOf(
      Spelling spelling, @Nullable String token, Map<String, Integer> added) {
    if (token == null) {
      return new byte[0];
    }
    return switch (spelling) {
      case BYTE_LEVEL -> byteLevel(token);
      case SENTENCE_PIECE -> added.containsKey(token) ? plain(token) : sentencePiece(token);
      case PLAIN -> plain(token);
    };
  }

  /** A token with a character outside the table stands for itself, as in the reference decoder. */
  private static byte[] byteLevel(String token) {
    byte[] result = new byte[token.length()];
    for (int i = 0; i < result.length; i++) {
      char c = token.charAt(i);
      if (c >= BYTE_OF_CHAR.length || BYTE_OF_CHAR[c] < 0) {
        return plain(token);
      }
      result[i] = (byte) BYTE_OF_CHAR[c];
    }
    return result;
  }

  private static byte[] sentencePiece(String token) {
    if (token.length() == 6 && token.startsWith("<0x") && token.endsWith(">")) {
      int high = Character.digit(token.charAt(3), 16);
      int low = Character.digit(token.charAt(4), 16);
      if (high >= 0 && low >= 0) {
        return new byte[] {(byte) ((high << 4) | low)};
      }
    }
    return plain(token.replace('\u2581', ' '));
  }

  private static byte[] plain(String token) {
    return token.getBytes(StandardCharsets.UTF_8);
  }

  /**
   * GPT-2's table: printable Latin-1 characters stand for themselves, the other 68 bytes are
   * numbered from U+0100 on.
   */
  private static int[] byteOfChar() {
    int[] table = new int[256 + 68];
    Arrays.fill(table, -1);
    int next = 256;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      table[printable ? b : next++] = b;
    }
    return table;
  }

  /** Collects tokens while a file is read. Owned by the reading thread. */
  static final class Builder {
    private @Nullable String[] tokens = new String[1024];
    private int size;
    private final Map<String, Integer> added = new HashMap<>();
    private final BitSet special = new BitSet();

    /**
     * Adds a token of the model's own vocabulary.
     *
     * @throws IOException when the id is out of range
     */
    void add(String token, long id) throws IOException {
      if (id < 0 || id >= IDS_MAX) {
        throw new IOException(
            "tokenizer.json: token id " + id + " is outside 0.." + (IDS_MAX - 1) + ".");
      }
      if (id >= tokens.length) {
        tokens = Arrays.copyOf(tokens, (int) Math.max(id + 1, 2L * tokens.length));
      }
      tokens[(int) id] = token;
      size = Math.max(size, (int) id + 1);
    }

    /** Adds an added token; it hides one of the model's vocabulary with the same id. */
    void addAdded(String token, long id, boolean isSpecial) throws IOException {
      add(token, id);
      added.put(token, (int) id);
      special.set((int) id, isSpecial);
    }

    Vocabulary build(Spelling spelling) {
      return new Vocabulary(spelling, Arrays.copyOf(tokens, size), added, special);
    }
  }
}
