package io.verdier.engine.text;

import java.util.Arrays;
import java.util.function.IntPredicate;

/**
 * The detokenizer of vocabularies whose decoding looks at neighbours: SentencePiece's dropped first
 * space, byte fallback, WordPiece's joining. Owned by the detokenizer thread of its sequence.
 *
 * <p>It decodes a short window of tokens twice, without and with the new ones, and the difference
 * is the new text. The window begins with tokens whose text is already out, so that what the
 * decoder does at the beginning of a text happens to both. A difference that ends in U+FFFD waits:
 * it may be the first bytes of a character.
 *
 * <pre>
 *   … out already …  [ begin      read )   held )
 *                      │ out       │ not out yet
 *                      └───── decoded ─────┘
 * </pre>
 */
final class WindowDetokenizer implements Detokenizer {
  /** A character has at most 4 bytes, so what waits longer than this will never become one. */
  private static final int HELD_TOKENS_MAX = 8;

  private static final String REPLACEMENT = "\uFFFD";

  private final Tokenizer tokenizer;
  private final IntPredicate skipped;
  private int[] window; // tokens from "begin" on
  private int count;
  private int read;
  private String before; // text of window[0, read)

  /**
   * Starts behind {@code context}, whose text does not come out.
   *
   * @param skipped tokens without text
   * @param context the last tokens before the sequence; a few suffice
   */
  WindowDetokenizer(Tokenizer tokenizer, IntPredicate skipped, int[] context) {
    this.tokenizer = tokenizer;
    this.skipped = skipped;
    int[] shown = Arrays.stream(context).filter(skipped.negate()).toArray();
    this.window = Arrays.copyOf(shown, Math.max(16, shown.length + 1));
    this.count = shown.length;
    this.read = shown.length;
    this.before = decode(0, read);
  }

  @Override
  public void append(int token, StringBuilder out) {
    if (!tokenizer.contains(token) || skipped.test(token)) {
      return;
    }
    if (count == window.length) {
      window = Arrays.copyOf(window, 2 * count);
    }
    window[count++] = token;
    String now = decode(0, count);
    boolean complete = !now.endsWith(REPLACEMENT) || count - read >= HELD_TOKENS_MAX;
    if (complete && now.length() > before.length()) {
      out.append(now, before.length(), now.length());
      slide();
    }
  }

  @Override
  public void finish(StringBuilder out) {
    String now = decode(0, count);
    if (now.length() > before.length()) {
      out.append(now, before.length(), now.length());
    }
  }

  /** The tokens just written become the window's beginning. */
  private void slide() {
    System.arraycopy(window, read, window, 0, count - read);
    count -= read;
    read = count;
    before = decode(0, read);
  }

  private String decode(int from, int to) {
    return tokenizer.decodeNatively(Arrays.copyOfRange(window, from, to), false);
  }
}
