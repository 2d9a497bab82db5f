package io.verdier.engine.run;

import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.text.DemoTokenizer;
import io.verdier.engine.text.Tokenizer;
import java.util.List;

/** The tokens of the demo model, for tests that hold answers to something. Immutable. */
final class DemoVocabulary {
  final Tokenizer tokenizer;
  final TokenTrie trie;

  /** What the demo model says; the test thread's. */
  static DemoVocabulary load() {
    return new DemoVocabulary(DemoTokenizer.TOKENIZER);
  }

  private DemoVocabulary(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    trie = TokenTrie.of(tokenizer.vocabSize(), this::bytes, text -> tokenizer.encode(text, false));
  }

  private byte[] bytes(int id) {
    return tokenizer.contains(id) && !tokenizer.isSpecial(id)
        ? tokenizer.tokenBytes(id)
        : new byte[0];
  }

  Guide regex(String pattern) {
    return guide(new Constraint.Regex(pattern));
  }

  Guide guide(Constraint constraint) {
    return new Guide(GrammarCompiler.compile(constraint, Budget.defaults()), trie);
  }

  String text(List<Integer> tokens) {
    return tokenizer.decode(tokens.stream().mapToInt(Integer::intValue).toArray(), true);
  }
}
