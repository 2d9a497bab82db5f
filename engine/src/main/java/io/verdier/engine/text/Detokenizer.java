package io.verdier.engine.text;

/**
 * The tokens of one sequence to text, as they come. Owned by the detokenizer thread of its
 * sequence.
 *
 * <p>Text comes out as soon as later tokens can no longer change it: a character whose bytes are
 * spread over tokens appears with its last one. For byte-level vocabularies all pieces together
 * equal {@link Tokenizer#decode} of all tokens, whatever the tokens are.
 *
 * <p>A token that the vocabulary does not have gives no text: a model's output layer is often
 * padded past its tokenizer, and a sampled padding id is not the client's fault.
 */
public sealed interface Detokenizer permits ByteDetokenizer, WindowDetokenizer {

  /** Appends the text that {@code token} makes stable; often nothing. */
  void append(int token, StringBuilder out);

  /** Appends what was held back, incomplete characters as U+FFFD. Nothing may follow. */
  void finish(StringBuilder out);

  /** The newly stable text. */
  default String append(int token) {
    StringBuilder out = new StringBuilder();
    append(token, out);
    return out.toString();
  }

  /** The newly stable text of several tokens. */
  default String append(int[] tokens) {
    StringBuilder out = new StringBuilder();
    for (int token : tokens) {
      append(token, out);
    }
    return out.toString();
  }

  /** What was held back. */
  default String finish() {
    StringBuilder out = new StringBuilder();
    finish(out);
    return out.toString();
  }
}
