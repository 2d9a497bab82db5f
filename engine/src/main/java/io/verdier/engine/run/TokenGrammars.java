package io.verdier.engine.run;

import io.verdier.engine.grammar.Grammar;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.MaskStore;
import io.verdier.engine.grammar.TokenGrammar;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Grammars over the model's vocabulary, with the masks that were worked out for them: the last few
 * that were asked for. Owned by the executor thread. What is dropped here lives as long as a
 * sequence uses it, and is worked out again for the next one. All masks together are bounded, those
 * of dropped ones included.
 */
final class TokenGrammars {
  private final int grammarsMax;
  private final MaskStore masks = new MaskStore();
  private final Map<Grammar, TokenGrammar> grammars = new LinkedHashMap<>(16, 0.75f, true);

  TokenGrammars(int grammarsMax) {
    this.grammarsMax = grammarsMax;
  }

  TokenGrammar of(Guide guide) {
    TokenGrammar known = grammars.get(guide.grammar());
    if (known == null) {
      known = new TokenGrammar(guide.grammar(), guide.trie(), masks);
      grammars.put(guide.grammar(), known);
      if (grammars.size() > grammarsMax) {
        TokenGrammar oldest = grammars.remove(grammars.keySet().iterator().next());
        if (oldest != null) {
          oldest.release();
        }
      }
    }
    return known;
  }
}
