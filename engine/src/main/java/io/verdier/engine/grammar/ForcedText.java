package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What must come next: the bytes, and the token that begins them. Owned by the thread of its {@link
 * TokenGrammar}.
 *
 * <p><b>Which token.</b> The same bytes can be spelled by many tokens, of which models know one
 * spelling: the tokenizer's. So the forced bytes are encoded, and the first token of that is
 * certain, unless what follows the forced bytes may change it: if some part of the token, with all
 * forced bytes behind it, is the beginning of a longer token that the grammar allows, as llguidance
 * holds back the end of what it forces; or if it is in a word that the grammar lets go on, for how
 * byte pairs are merged there can depend on all of the word. Then nothing is certain, and a token
 * is chosen as everywhere. What was said before is never spelled anew.
 *
 * <p>One token at a time, and from the state alone: whoever starts in the middle of a forced run
 * finds the rest of it. Tokenizers that spell the beginning of a text in another way than its
 * middle give back other bytes than they were given; there nothing is forced.
 */
final class ForcedText {
  /** Bytes looked at: longer than nearly every token, for only the first one matters. */
  static final int BYTES_MAX = 64;

  /** No token is certain. */
  static final int NONE = -1;

  /** Nodes of the tree that cost what entering a place does. */
  private static final int NODES_PER_STEP = 16;

  private final StateSpace space;
  private final TokenTrie trie;
  private final byte[] bytes = new byte[BYTES_MAX];
  private final @Nullable GrammarState[] path; // behind a depth of the tree
  private int count;

  ForcedText(StateSpace space, TokenTrie trie) {
    this.space = space;
    this.trie = trie;
    path = new GrammarState[trie.depthMax() + 1];
  }

  /** Whether one byte must follow a state, if its text does not end. */
  static boolean isForced(GrammarState state) {
    return onlyByte(state) >= 0;
  }

  /** The bytes that must follow a state; they may end within a character. */
  byte[] bytes(GrammarState state) {
    follow(state);
    return Arrays.copyOf(bytes, count);
  }

  /**
   * The token that must follow a state, or {@link #NONE}.
   *
   * @param encoder of the vocabulary
   */
  int token(GrammarState state, TokenTrie.Encoder encoder) {
    GrammarState end = follow(state);
    int whole = wholeCharacters();
    if (whole == 0) {
      return NONE;
    }
    int[] ids = encoder.encode(new String(bytes, 0, whole, StandardCharsets.UTF_8));
    if (!spells(ids, whole)) {
      return NONE;
    }
    int length = trie.bytes(ids[0]).length;
    if (length > wordStart(end)) {
      return NONE;
    }
    for (int from = Math.max(0, count - trie.depthMax()); from < length; from++) {
      end = space.current(end);
      if (goesOn(from, end)) {
        return NONE;
      }
    }
    return ids[0];
  }

  /** Goes along the bytes that must follow, to where there is a choice or the text may end. */
  private GrammarState follow(GrammarState state) {
    GrammarState at = state;
    for (count = 0; count < BYTES_MAX && !at.mayEnd(); count++) {
      int only = onlyByte(at);
      if (only < 0) {
        break;
      }
      at = space.current(at);
      space.effort().begin();
      GrammarState next = space.next(at, only);
      if (next == null) {
        break; // its automaton leads on, and its callers do not
      }
      bytes[count] = (byte) only;
      at = next;
    }
    return at;
  }

  /** -1: there are several, or none. */
  private static int onlyByte(GrammarState state) {
    int only = -1;
    for (int value = 0; value < 256; value++) {
      for (Place place : state.places()) {
        if (value != only && place.rule().next(place.state(), value) != ByteDfa.DEAD) {
          if (only >= 0) {
            return -1;
          }
          only = value;
        }
      }
    }
    return only;
  }

  /** How many of the bytes are whole characters; none if they begin within one. */
  private int wholeCharacters() {
    if (count == 0 || isWithin(bytes[0])) {
      return 0;
    }
    int last = count - 1;
    while (isWithin(bytes[last])) {
      last--;
    }
    int lead = bytes[last] & 0xff;
    int length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return last + length <= count ? last + length : last;
  }

  /**
   * Where the last word begins, if the grammar lets it go on: with the sign before it, which
   * tokenizers may take to it. Else the end.
   */
  private int wordStart(GrammarState end) {
    int start = count;
    while (start > 0 && isOfWord(bytes[start - 1])) {
      start--;
    }
    boolean goesOn = false;
    for (int value = 0; start < count && !goesOn && value < 256; value++) {
      goesOn = isOfWord((byte) value) && leadsOn(end, value);
    }
    return goesOn ? Math.max(0, start - 1) : count;
  }

  /** Letters, digits, and whatever is not of ASCII. */
  private static boolean isOfWord(byte value) {
    int lower = value | 0x20;
    return value < 0
        || (lower >= 'a' && lower <= 'z')
        || (value >= '0' && value <= '9')
        || value == '\'';
  }

  private static boolean leadsOn(GrammarState state, int value) {
    for (Place place : state.places()) {
      if (place.rule().next(place.state(), value) != ByteDfa.DEAD) {
        return true;
      }
    }
    return false;
  }

  private static boolean isWithin(byte value) {
    return (value & 0xc0) == 0x80;
  }

  /** Whether these tokens are the first bytes, so many, and nothing else. */
  private boolean spells(int[] ids, int size) {
    int at = 0;
    for (int id : ids) {
      if (id < 0 || id >= trie.vocabularySize()) {
        return false;
      }
      byte[] token = trie.bytes(id);
      int end = at + token.length;
      if (token.length == 0
          || end > size
          || !Arrays.equals(token, 0, token.length, bytes, at, end)) {
        return false;
      }
      at = end;
    }
    return at == size;
  }

  /** Whether a token is the bytes from here on, and more that the grammar lets follow them. */
  private boolean goesOn(int from, GrammarState end) {
    int node = -1;
    for (int i = from; i < count; i++) {
      node = child(node, bytes[i] & 0xff);
      if (node < 0) {
        return false;
      }
    }
    space.effort().begin();
    int to = trie.end(node);
    path[trie.depth(node) + 1] = end;
    int passed = 0;
    for (int at = node + 1; at < to; passed++) {
      int depth = trie.depth(at);
      GrammarState before = path[depth];
      GrammarState here = before == null ? null : space.next(before, trie.label(at));
      if (here != null && trie.tokensStart(at) < trie.tokensEnd(at)) {
        return true;
      }
      path[depth + 1] = here;
      at = here == null ? trie.end(at) : at + 1;
    }
    space.effort().spend(passed / NODES_PER_STEP);
    return false;
  }

  /**
   * @param node -1 for the root
   * @return -1 if there is none
   */
  private int child(int node, int label) {
    int to = node < 0 ? trie.nodes() : trie.end(node);
    for (int at = node + 1; at < to; at = trie.end(at)) {
      if (trie.label(at) == label) {
        return at;
      }
    }
    return -1;
  }
}
