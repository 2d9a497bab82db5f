package io.verdier.engine.text;

import java.util.function.IntPredicate;

/**
 * The detokenizer of byte-level vocabularies: a token's bytes go straight through a UTF-8 decoder.
 * Owned by the detokenizer thread of its sequence.
 */
final class ByteDetokenizer implements Detokenizer {
  private final Vocabulary vocabulary;
  private final IntPredicate skipped;
  private final Utf8Decoder decoder = new Utf8Decoder();
  private char[] chars = new char[64];

  /**
   * @param skipped tokens without text
   */
  ByteDetokenizer(Vocabulary vocabulary, IntPredicate skipped) {
    this.vocabulary = vocabulary;
    this.skipped = skipped;
  }

  @Override
  public void append(int token, StringBuilder out) {
    if (!vocabulary.contains(token) || skipped.test(token)) {
      return;
    }
    int from = vocabulary.bytesStart(token);
    int to = vocabulary.bytesEnd(token);
    if (to - from >= chars.length) {
      chars = new char[to - from + 1];
    }
    out.append(chars, 0, decoder.decode(vocabulary.allBytes(), from, to, chars, 0));
  }

  @Override
  public void finish(StringBuilder out) {
    out.append(chars, 0, decoder.finish(chars, 0));
  }
}
