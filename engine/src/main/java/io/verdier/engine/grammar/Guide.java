package io.verdier.engine.grammar;

/**
 * What one answer is held to, ready to be used: a compiled constraint over a vocabulary, and from
 * where on. Immutable (the array must not be changed).
 *
 * @param trie of the vocabulary of the model that answers
 * @param beginAfter token ids that the answer has to have said before the constraint begins, in a
 *     row, such as the end of what a model thinks to itself; empty: it begins at once
 */
public record Guide(Grammar grammar, TokenTrie trie, int[] beginAfter) {
  private static final int[] AT_ONCE = {};

  /** From the first token on. */
  public Guide(Grammar grammar, TokenTrie trie) {
    this(grammar, trie, AT_ONCE);
  }
}
