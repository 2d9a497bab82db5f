package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A grammar over the tokens of a vocabulary: where a text stands after any tokens, and which may
 * follow. Owned by one thread.
 *
 * <p><b>Masks.</b> Whether a token may follow hardly ever depends on who called the rule that is
 * being matched: most tokens fit into the rule, or break it, whoever called. So the walk through
 * the vocabulary's tree is done once for a state of a rule, without its callers, and gives two
 * things: the tokens that fit, as a set of bits, and those that first complete the rule and then go
 * on, of which the callers decide. A mask is the union of the sets of its places, and what became
 * of the few others. (XGrammar calls them context-independent and dependent; Dong et al., 2024.)
 *
 * <p>Where nearly every token completes a rule, as inside a counted repetition, the walk is done
 * for the state itself. Masks are kept as long as their states.
 */
public final class TokenGrammar {
  /** So many tokens to be tried one by one cost what a walk through the vocabulary does. */
  private static final int TRIED_MAX = 4096;

  private final StateSpace space;
  private final TokenTrie trie;
  private final Map<Place, Fitting> fittings = new HashMap<>(); // by place without caller
  private final @Nullable GrammarState[] path; // of a walk, by depth

  /**
   * The tokens that may follow a place.
   *
   * @param sure whoever called, {@code [vocabulary / 64]}
   * @param open ids of those that complete the rule and have bytes left
   */
  private record Fitting(long[] sure, int[] open) {}

  public TokenGrammar(Grammar grammar, TokenTrie trie) {
    this.space = new StateSpace(grammar);
    this.trie = trie;
    path = new GrammarState[trie.depthMax() + 1];
  }

  /** Before the first token. */
  public GrammarState start() {
    return space.start();
  }

  /** Behind one more token; null: it may not follow. A token without bytes never does. */
  public @Nullable GrammarState next(GrammarState state, int token) {
    byte[] bytes = trie.bytes(token);
    return bytes.length == 0 ? null : next(state, bytes);
  }

  /** Behind more bytes; null: they may not follow. */
  public @Nullable GrammarState next(GrammarState state, byte[] bytes) {
    GrammarState at = state;
    for (byte value : bytes) {
      at = space.next(at, value & 0xff);
      if (at == null) {
        return null;
      }
    }
    return at;
  }

  /**
   * Which tokens may follow, one bit a token id, lowest first; not to be changed. End tokens are
   * not among them: {@link GrammarState#mayEnd} speaks of those.
   */
  public long[] allowed(GrammarState state) {
    long[] known = state.allowed;
    if (known == null) {
      known = mask(state);
      state.allowed = known;
    }
    return known;
  }

  private long[] mask(GrammarState state) {
    int open = 0;
    for (Place place : state.places()) {
      open += place.caller() == null ? 0 : fitting(place).open.length;
    }
    if (open > TRIED_MAX) {
      return walk(state).sure;
    }
    long[] mask = new long[words()];
    for (Place place : state.places()) {
      long[] sure = fitting(place).sure;
      for (int i = 0; i < mask.length; i++) {
        mask[i] |= sure[i];
      }
    }
    for (Place place : state.places()) {
      if (place.caller() != null) {
        admit(state, fitting(place).open, mask);
      }
    }
    return mask;
  }

  private void admit(GrammarState state, int[] tokens, long[] mask) {
    for (int token : tokens) {
      if (!isSet(mask, token) && next(state, trie.bytes(token)) != null) {
        set(mask, token);
      }
    }
  }

  private Fitting fitting(Place place) {
    Place alone = new Place(place.rule(), place.state(), null);
    Fitting known = fittings.get(alone);
    if (known == null) {
      known = walk(space.at(alone));
      fittings.put(alone, known);
    }
    return known;
  }

  /** Goes through the vocabulary's tree, as far as the state lets it. */
  private Fitting walk(GrammarState from) {
    long[] sure = new long[words()];
    int[] open = new int[64];
    int opened = 0;
    path[0] = from;
    int node = 0;
    while (node < trie.nodes()) {
      int depth = trie.depth(node);
      GrammarState before = path[depth];
      GrammarState here = before == null ? null : space.next(before, trie.label(node));
      if (here == null) {
        node = trie.end(node);
        continue;
      }
      for (int i = trie.tokensStart(node); i < trie.tokensEnd(node); i++) {
        set(sure, trie.token(i));
      }
      if (here.mayEnd()) {
        int first = trie.tokensEnd(node);
        int count = trie.subtreeTokensEnd(node) - first;
        open = opened + count > open.length ? Arrays.copyOf(open, 2 * (opened + count)) : open;
        for (int i = 0; i < count; i++) {
          open[opened++] = trie.token(first + i);
        }
      }
      path[depth + 1] = here;
      node = here.mustEnd() ? trie.end(node) : node + 1;
    }
    return new Fitting(sure, unsure(open, opened, sure));
  }

  /** Each once, and none that is sure. */
  private static int[] unsure(int[] open, int count, long[] sure) {
    long[] seen = sure.clone();
    int kept = 0;
    for (int i = 0; i < count; i++) {
      if (!isSet(seen, open[i])) {
        set(seen, open[i]);
        open[kept++] = open[i];
      }
    }
    return Arrays.copyOf(open, kept);
  }

  private int words() {
    return (trie.vocabularySize() + Long.SIZE - 1) / Long.SIZE;
  }

  private static boolean isSet(long[] bits, int index) {
    return ((bits[index >> 6] >>> index) & 1) != 0;
  }

  private static void set(long[] bits, int index) {
    bits[index >> 6] |= 1L << index;
  }
}
