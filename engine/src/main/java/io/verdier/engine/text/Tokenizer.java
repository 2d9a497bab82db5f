package io.verdier.engine.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * Text to token ids and back, for the vocabulary of one model. Thread-safe: the native tokenizer is
 * never changed after loading and its word cache only ever tries its lock. Only {@link #close} must
 * wait until nobody else uses the object.
 *
 * <p>Encoding runs in the Hugging Face tokenizers library, through its native methods and not
 * through DJL's classes. Those cut every text at 512 tokens unless told otherwise, copy offsets,
 * words and masks that nobody here reads, and contact the network when they load. Decoding a
 * byte-level vocabulary needs no native call: see {@link Detokenizer}.
 *
 * <p>What the library does silently is refused here: unpaired surrogates in a text and ids that the
 * vocabulary does not have.
 */
public final class Tokenizer implements AutoCloseable {
  /** The largest known file has 33 MB. */
  private static final long FILE_BYTES_MAX = 256L << 20;

  /**
   * The library's regular expressions give up, and take the whole process with them, after 10
   * million steps of backtracking inside one match. A match cannot reach past a run of letters,
   * digits, spaces or symbols; 12 million spaces in one prompt did it.
   */
  static final int RUN_CHARS_MAX = 1 << 20;

  private static final int[] NO_CONTEXT = {};

  private final TokenizersLibrary library;
  private final Vocabulary vocabulary;
  private final boolean addsBos;
  private long handle; // 0 when closed

  private Tokenizer(TokenizersLibrary library, Vocabulary vocabulary, long handle) {
    this.library = library;
    this.vocabulary = vocabulary;
    this.handle = handle;
    int[] bare = encode("a", false);
    int[] framed = encode("a", true);
    this.addsBos = framed.length > bare.length && !Arrays.equals(framed, 0, 1, bare, 0, 1);
  }

  /**
   * Loads {@code tokenizer.json}, with the frame of a bare text that {@code tokenizer_config.json}
   * beside it asks for ({@link TextFrame}). Nothing is ever downloaded.
   *
   * @param modelDirectory holds the file
   * @param nativeCacheDirectory where the native library is unpacked at first use; created for this
   *     user alone, refused when others may write to it
   * @throws IOException when the file or the native library is missing or damaged; the text is fit
   *     for the operator
   */
  public static Tokenizer load(Path modelDirectory, Path nativeCacheDirectory) throws IOException {
    byte[] json = read(modelDirectory.resolve(TokenizerConfig.FILE));
    TokenizersLibrary library = NativeTokenizers.load(nativeCacheDirectory);
    Vocabulary vocabulary = VocabularyReader.read(json);
    byte[] framed = TextFrame.complete(json, TokenizerConfig.read(modelDirectory), vocabulary);
    long handle;
    try {
      handle = library.createTokenizerFromString(new String(framed, StandardCharsets.UTF_8));
    } catch (RuntimeException e) { // the library knows no other exception
      throw new IOException("tokenizer.json is not usable: " + e.getMessage(), e);
    }
    library.disableTruncation(handle);
    library.disablePadding(handle);
    return new Tokenizer(library, vocabulary, handle);
  }

  private static byte[] read(Path file) throws IOException {
    try {
      long size = Files.size(file);
      if (size > FILE_BYTES_MAX) {
        throw new IOException(
            file + " has " + size + " bytes; a tokenizer has at most " + FILE_BYTES_MAX + ".");
      }
      return Files.readAllBytes(file);
    } catch (NoSuchFileException e) {
      throw new IOException(
          "the model has no tokenizer.json ("
              + file
              + "). Models with only tokenizer.model or tekken.json are not supported: convert the"
              + " tokenizer with Hugging Face transformers.",
          e);
    }
  }

  /**
   * The ids of a text. Special tokens spelled out in it are recognised.
   *
   * @param addSpecialTokens whether to frame it as the model expects a bare text, usually with a
   *     begin-of-text token in front; rendered chat templates contain it already
   * @throws RejectedException when the text holds half a surrogate pair, or more than a million
   *     letters, digits, spaces or symbols on end
   */
  public int[] encode(String text, boolean addSpecialTokens) {
    check(text);
    return ids(library.encode(handle(), text, addSpecialTokens));
  }

  /**
   * The ids of two texts that are looked at together, framed as the model expects a pair.
   *
   * @throws RejectedException as {@link #encode}
   */
  public int[] encodePair(String first, String second) {
    check(first);
    check(second);
    return ids(library.encodeDual(handle(), first, second, true));
  }

  private int[] ids(long encoding) {
    try {
      long[] ids = library.getTokenIds(encoding);
      int[] result = new int[ids.length];
      for (int i = 0; i < ids.length; i++) {
        result[i] = (int) ids[i];
      }
      return result;
    } finally {
      library.deleteEncoding(encoding);
    }
  }

  /**
   * The text of some ids. Invalid UTF-8 becomes U+FFFD, one per maximal invalid part. No clean-up
   * of spaces, whatever {@code tokenizer_config.json} says: it would make text depend on what
   * follows.
   *
   * @throws RejectedException when the vocabulary lacks an id
   */
  public String decode(int[] ids, boolean skipSpecialTokens) {
    for (int id : ids) {
      requireKnown(id);
    }
    if (vocabulary.spelling() != Vocabulary.Spelling.BYTE_LEVEL) {
      return decodeNatively(ids, skipSpecialTokens);
    }
    Detokenizer detokenizer = detokenizer(skipSpecialTokens, NO_CONTEXT);
    StringBuilder text = new StringBuilder(4 * ids.length);
    for (int id : ids) {
      detokenizer.append(id, text);
    }
    detokenizer.finish(text);
    return text.toString();
  }

  /** The native decoder, which ignores ids that it does not know. */
  String decodeNatively(int[] ids, boolean skipSpecialTokens) {
    long[] wide = new long[ids.length];
    for (int i = 0; i < ids.length; i++) {
      wide[i] = ids[i];
    }
    return library.decode(handle(), wide, skipSpecialTokens);
  }

  /**
   * A new detokenizer for one sequence.
   *
   * @param context the prompt, or its last few tokens: some vocabularies drop the first space of a
   *     text, and a continuation is not a first word. Byte-level ones do not look at it.
   */
  public Detokenizer detokenizer(boolean skipSpecialTokens, int[] context) {
    return detokenizer(skipSpecialTokens, Set.of(), context);
  }

  /**
   * The same, but some special tokens are never left out.
   *
   * @param visible as the vocabulary spells them
   */
  public Detokenizer detokenizer(boolean skipSpecialTokens, Set<String> visible, int[] context) {
    IntPredicate skipped =
        id -> skipSpecialTokens && vocabulary.isSpecial(id) && !isAmong(visible, id);
    if (vocabulary.spelling() == Vocabulary.Spelling.BYTE_LEVEL) {
      return new ByteDetokenizer(vocabulary, skipped);
    }
    return new WindowDetokenizer(this, skipped, context);
  }

  private boolean isAmong(Set<String> spellings, int id) {
    String spelling = vocabulary.token(id);
    return spelling != null && spellings.contains(spelling);
  }

  /** Ids are below this. The model's output may be wider: such ids have no text. */
  public int vocabSize() {
    return vocabulary.size();
  }

  /**
   * Size of the longest token's text in UTF-8. A text with more than this many bytes per token of
   * context cannot fit, which is known before it is encoded.
   */
  public int tokenBytesMax() {
    return vocabulary.longestBytes();
  }

  /** Whether an id is in use. */
  public boolean contains(int id) {
    return vocabulary.contains(id);
  }

  /** Whether the id is a special token, which text usually leaves out. */
  public boolean isSpecial(int id) {
    return vocabulary.isSpecial(requireKnown(id));
  }

  /** Whether a special token is spelled so. */
  public boolean hasSpecial(String text) {
    return vocabulary.idOfAdded(text).stream().anyMatch(vocabulary::isSpecial);
  }

  /**
   * The text of one token alone, as log probabilities show it: a part of a character is U+FFFD.
   *
   * @throws RejectedException when the vocabulary lacks the id
   */
  public String tokenText(int id) {
    return decode(new int[] {id}, false);
  }

  /**
   * The token as the vocabulary spells it, {@code "Ġthe"} for {@code " the"}.
   *
   * @throws RejectedException when the vocabulary lacks the id
   */
  public String spelling(int id) {
    String token = vocabulary.token(requireKnown(id));
    if (token == null) {
      throw new IllegalStateException("token " + id + " is known but has no spelling");
    }
    return token;
  }

  /**
   * Exactly the bytes that the token adds to a text; the caller's own array.
   *
   * @throws RejectedException when the vocabulary lacks the id
   */
  public byte[] tokenBytes(int id) {
    requireKnown(id);
    return Arrays.copyOfRange(
        vocabulary.allBytes(), vocabulary.bytesStart(id), vocabulary.bytesEnd(id));
  }

  /**
   * The id of a token as the vocabulary spells it. Added tokens are looked up, others searched for:
   * for start-up, not for every request.
   */
  public OptionalInt idOf(String spelling) {
    return vocabulary.idOf(spelling);
  }

  /** Whether {@link #encode} with special tokens puts one in front. */
  public boolean addsBos() {
    return addsBos;
  }

  /** Frees the native tokenizer. Nobody may be using it. */
  @Override
  public void close() {
    long open = handle;
    handle = 0;
    if (open != 0) {
      library.deleteTokenizer(open);
    }
  }

  private long handle() {
    if (handle == 0) {
      throw new IllegalStateException("tokenizer is closed");
    }
    return handle;
  }

  private int requireKnown(int id) {
    if (!vocabulary.contains(id)) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "token id %d is not in the vocabulary; ids are 0 to %d."
              .formatted(id, vocabulary.size() - 1));
    }
    return id;
  }

  /** Refuses what the library would falsify or die of. */
  private static void check(String text) {
    int at = indexOfUnpairedSurrogate(text);
    if (at >= 0) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "text has an unpaired surrogate U+%04X at character %d, which no encoding can carry. Send"
                  .formatted((int) text.charAt(at), at)
              + " valid Unicode.");
    }
    if (text.length() > RUN_CHARS_MAX) {
      refuseLongRuns(text);
    }
  }

  private static void refuseLongRuns(String text) {
    CharKind kind = CharKind.OTHER;
    int start = 0;
    for (int i = 0; i < text.length(); i++) {
      CharKind next = CharKind.of(text.charAt(i));
      if (next != kind) {
        kind = next;
        start = i;
      } else if (i - start >= RUN_CHARS_MAX) {
        throw new RejectedException(
            ErrorCode.INVALID_ARGUMENT,
            "text has more than %d %s on end, from character %d; break the run up."
                .formatted(RUN_CHARS_MAX, kind.plural, start));
      }
    }
  }

  /** What the regular expressions of tokenizers tell apart. */
  private enum CharKind {
    LETTER("letters"),
    DIGIT("digits"),
    SPACE("spaces"),
    OTHER("symbols");

    private final String plural;

    CharKind(String plural) {
      this.plural = plural;
    }

    private static CharKind of(char c) {
      if (Character.isLetter(c) || Character.isSurrogate(c)) {
        return LETTER; // most characters past U+FFFF that come in long runs are letters
      }
      if (Character.isWhitespace(c) || Character.isSpaceChar(c)) {
        return SPACE;
      }
      return Character.isDigit(c) ? DIGIT : OTHER;
    }
  }

  /** Where the first half of a surrogate pair stands without the other, or -1. */
  static int indexOfUnpairedSurrogate(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isHighSurrogate(c)) {
        if (i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1))) {
          return i;
        }
      } else if (Character.isLowSurrogate(c)
          && (i == 0 || !Character.isHighSurrogate(text.charAt(i - 1)))) {
        return i;
      }
    }
    return -1;
  }
}
