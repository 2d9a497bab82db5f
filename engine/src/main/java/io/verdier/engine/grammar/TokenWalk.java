package io.verdier.engine.grammar;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Goes through the vocabulary's tree as far as states let it, and notes what it meets. Owned by the
 * thread of its {@link TokenGrammar}.
 */
final class TokenWalk {
  /** Nodes that cost what entering a place does. */
  private static final int NODES_PER_STEP = 16;

  private final StateSpace space;
  private final TokenTrie trie;
  private final @Nullable GrammarState[] path; // behind a depth of the tree

  private int[] found = new int[1024]; // token ids; one may be there several times
  private int foundCount;
  private int[] open = new int[256]; // nodes
  private int openCount;
  private long openTokens; // below those nodes

  TokenWalk(StateSpace space, TokenTrie trie) {
    this.space = space;
    this.trie = trie;
    path = new GrammarState[trie.depthMax() + 1];
  }

  void begin() {
    foundCount = 0;
    openCount = 0;
    openTokens = 0;
  }

  /** All tokens from a state on. */
  void all(GrammarState from) {
    path[0] = from;
    range(0, trie.nodes());
  }

  /**
   * Tokens that leave running text.
   *
   * @param chain the states behind 0, 1 and more characters of it; beyond its end there are none
   */
  void leaving(ContentSet content, GrammarState[] chain) {
    for (ContentSet.Exit exit : content.exits()) {
      if (exit.chars() >= chain.length) {
        break; // they are in order
      }
      GrammarState here = space.next(chain[exit.chars()], exit.value());
      if (here != null) {
        for (int node : exit.nodes()) {
          at(node, here);
        }
      }
    }
  }

  /** Tokens through a node, from the state behind it. */
  private void at(int node, GrammarState here) {
    meet(node, here);
    if (!here.mustEnd()) {
      below(node, here);
    }
  }

  /** Tokens with bytes behind a node, from a state there. */
  void below(int node, GrammarState here) {
    if (node + 1 < trie.end(node)) {
      path[trie.depth(node) + 1] = here;
      range(node + 1, trie.end(node));
    }
  }

  private void range(int from, int to) {
    int node = from;
    int passed = 0;
    while (node < to) {
      passed++;
      int depth = trie.depth(node);
      GrammarState before = path[depth];
      GrammarState here = before == null ? null : space.next(before, trie.label(node));
      if (here == null) {
        node = trie.end(node);
        continue;
      }
      meet(node, here);
      path[depth + 1] = here;
      node = here.mustEnd() ? trie.end(node) : node + 1;
    }
    space.effort().spend(passed / NODES_PER_STEP);
  }

  private void meet(int node, GrammarState here) {
    int end = trie.tokensEnd(node);
    for (int i = trie.tokensStart(node); i < end; i++) {
      found = foundCount == found.length ? Arrays.copyOf(found, 2 * foundCount) : found;
      found[foundCount++] = trie.token(i);
    }
    if (here.mayEnd() && node + 1 < trie.end(node)) {
      open = openCount == open.length ? Arrays.copyOf(open, 2 * openCount) : open;
      open[openCount++] = node;
      openTokens += trie.subtreeTokensEnd(node) - end;
    }
  }

  int foundCount() {
    return foundCount;
  }

  /** Token ids. */
  int[] found() {
    return Arrays.copyOf(found, foundCount);
  }

  void addTo(long[] mask) {
    for (int i = 0; i < foundCount; i++) {
      mask[found[i] >> 6] |= 1L << found[i];
    }
  }

  /** Nodes behind which the text may end, and tokens go on. */
  int[] open() {
    return Arrays.copyOf(open, openCount);
  }

  /** The tokens that go on behind those nodes. */
  long openTokens() {
    return openTokens;
  }
}
