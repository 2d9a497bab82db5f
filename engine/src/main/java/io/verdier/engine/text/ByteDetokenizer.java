package io.verdier.engine.text;

/**
 * The detokenizer of byte-level vocabularies: a token's bytes go straight through a UTF-8 decoder.
 * Owned by the detokenizer thread of its sequence.
 */
final class ByteDetokenizer implements Detokenizer {
  private final Vocabulary vocabulary;
  private final boolean skipSpecialTokens;
  private final Utf8Decoder decoder = new Utf8Decoder();
  private char[] chars = new char[64];

  ByteDetokenizer(Vocabulary vocabulary, boolean skipSpecialTokens) {
    this.vocabulary = vocabulary;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  @Override
  public void append(int token, StringBuilder out) {
    if (!vocabulary.contains(token) || (skipSpecialTokens && vocabulary.isSpecial(token))) {
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
