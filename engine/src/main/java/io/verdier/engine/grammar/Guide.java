package io.verdier.engine.grammar;

/**
 * What one answer is held to, ready to be used: a compiled constraint over a vocabulary, and from
 * where on. Immutable.
 *
 * @param trie of the vocabulary of the model that answers
 * @param thinking what comes before the constraint begins
 */
public record Guide(Grammar grammar, TokenTrie trie, Thinking thinking) {

  /** From the first token on. */
  public Guide(Grammar grammar, TokenTrie trie) {
    this(grammar, trie, Thinking.NONE);
  }

  /** The same for an answer that may think first. */
  public Guide behind(Thinking thoughts) {
    return new Guide(grammar, trie, thoughts);
  }
}
