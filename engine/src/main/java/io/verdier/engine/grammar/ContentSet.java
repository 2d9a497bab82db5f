package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import java.util.Arrays;
import java.util.BitSet;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The tokens within running text: those that consist of characters out of a set, and where in the
 * vocabulary's tree the others leave it. Immutable; one for all grammars over a vocabulary.
 *
 * <p>Within a string of JSON, in free text, in a word, nearly every token leads back to where it
 * began. Their set is a matter of the characters alone, not of the grammar, so that it is made
 * once; what is left to each state are the few tokens with a character outside, such as a quote.
 * (At 128,000 tokens: some 10 µs instead of 7 ms.)
 *
 * <p>Characters are told by the first byte in UTF-8: a set has all characters that begin with it or
 * none. A token that ends within a character is within the text.
 */
final class ContentSet {
  private static final byte[] USUAL_LETTERS = {'e', 't', 'n'};

  private final long[] within; // [vocabulary / 64]
  private final int[] tokens; // those within, by their number of characters
  private final int[]
      counts; // [length of the longest + 2], tokens with fewer characters than the index
  private final Exit[] exits;

  /**
   * Where tokens leave the text.
   *
   * @param value the byte outside
   * @param chars how many characters of the text came before it
   * @param nodes that the byte leads to
   */
  record Exit(int value, int chars, int[] nodes) {}

  private ContentSet(long[] within, int[] tokens, int[] counts, Exit[] exits) {
    this.within = within;
    this.tokens = tokens;
    this.counts = counts;
    this.exits = exits;
  }

  /** The first bytes of the characters of a set: 256 bits. */
  record Key(long bits0, long bits1, long bits2, long bits3) {
    boolean has(int value) {
      long bits = value < 128 ? (value < 64 ? bits0 : bits1) : (value < 192 ? bits2 : bits3);
      return ((bits >>> value) & 1) != 0;
    }

    private static Key of(BitSet set) {
      long[] bits = Arrays.copyOf(set.toLongArray(), 4);
      return new Key(bits[0], bits[1], bits[2], bits[3]);
    }
  }

  /** The characters that lead where most letters do; null where letters differ, or do not fit. */
  static @Nullable Key keyOf(StateSpace space, GrammarState state) {
    GrammarState usual = space.next(state, USUAL_LETTERS[0]);
    if (usual == null) {
      return null;
    }
    for (byte letter : USUAL_LETTERS) {
      if (space.next(state, letter) != usual) {
        return null;
      }
    }
    BitSet set = new BitSet(256);
    for (int value = 0; value < 128; value++) {
      set.set(value, space.next(state, value) == usual);
    }
    int known = -1; // what the previous first byte led to, was asked and answered
    @Nullable GrammarState before = null;
    boolean answer = false;
    for (int value = 0xc2; value <= 0xf4; value++) {
      GrammarState inside = space.next(state, value);
      int tail = tailOf(value);
      if (inside == null) {
        continue;
      }
      if (inside != before || tail != known) {
        answer = leadsTo(space, inside, usual, tail);
        before = inside;
        known = tail;
      }
      set.set(value, answer);
    }
    return Key.of(set);
  }

  /**
   * The states behind 0, 1 and more characters of a set, whichever they are: as many as the longest
   * token may have, or those that are. None where different characters lead to different states.
   *
   * @param depthMax bytes of the longest token
   */
  static Chain chain(StateSpace space, GrammarState from, Key key, int depthMax) {
    GrammarState[] chain = new GrammarState[depthMax + 1];
    GrammarState at = from;
    int cost = 0;
    for (int count = 0; count <= depthMax; count++) {
      if (at == GrammarState.NOWHERE) {
        return new Chain(Arrays.copyOf(chain, count), cost);
      }
      at = at.distance() > depthMax ? space.far(at) : at; // no token tells them apart
      chain[count] = at;
      if (!key.equals(at.behindKey)) {
        at.behind = behindOrNull(space, at, key);
        at.behindKey = key;
      }
      cost += at.behindCost;
      space.effort().begin(); // all states of a chain are there at once: they are one piece
      space.effort().spend(cost);
      if (at.behind == null) {
        return new Chain(new GrammarState[0], cost);
      }
      at = at.behind;
    }
    return new Chain(chain, cost);
  }

  /**
   * What running text leads to.
   *
   * @param states behind 0, 1 and more characters
   * @param cost of finding them, as {@link Effort} counts
   */
  record Chain(GrammarState[] states, int cost) {}

  private static @Nullable GrammarState behindOrNull(StateSpace space, GrammarState at, Key key) {
    Shape shape = space.shape(at);
    if (!key.equals(shape.roundKey)) {
      space.effort().begin();
      shape.round = round(space, at, key);
      shape.roundCost = space.effort().spent();
      shape.roundKey = key;
    }
    space.effort().begin();
    GrammarState behind = counted(space, at, shape.round);
    behind = behind == null ? behind(space, at, key) : behind;
    at.behindCost = shape.roundCost + space.effort().spent();
    return behind;
  }

  /**
   * Behind one character of a set, where that completes a round of a repetition and nothing else
   * takes it; null: another case. Saves a step for every class of bytes.
   *
   * @param round which place that is; -1: none
   */
  private static @Nullable GrammarState counted(StateSpace space, GrammarState from, int round) {
    Callers callers = round < 0 ? Callers.NONE : from.places()[round].callers();
    return callers.isCalled() ? space.after(callers) : null;
  }

  private static int round(StateSpace space, GrammarState from, Key key) {
    int round = -1;
    Place[] places = from.places();
    for (int i = 0; i < places.length; i++) {
      if (isDead(places[i], key)) {
        continue;
      }
      boolean isCounted = places[i].rule().counts() != null; // its rounds are of another kind
      if (round >= 0 || isCounted || !isOneRound(space, places[i], key)) {
        return -1;
      }
      round = i;
    }
    return round;
  }

  private static boolean isDead(Place place, Key key) {
    for (int value = 0; value < 256; value++) {
      if (key.has(value) && place.rule().next(place.state(), value) != ByteDfa.DEAD) {
        return false;
      }
    }
    return true;
  }

  private static boolean isOneRound(StateSpace space, Place place, Key key) {
    GrammarState alone = space.at(new Place(place.rule(), place.state(), Callers.NONE));
    GrammarState behind = behind(space, alone, key);
    return behind != null && behind.mayEnd() && behind.mustEnd();
  }

  /** Behind one character of a set; null where that depends on the character. */
  private static @Nullable GrammarState behind(StateSpace space, GrammarState from, Key key) {
    GrammarState common = null;
    for (int value = 0; value < 128; value++) {
      if (key.has(value)) {
        GrammarState next = orNowhere(space.next(from, value));
        if (common != null && next != common) {
          return null;
        }
        common = next;
      }
    }
    int known = -1;
    @Nullable GrammarState before = null;
    for (int value = 0xc2; common != null && value <= 0xf4; value++) {
      GrammarState inside = key.has(value) ? orNowhere(space.next(from, value)) : null;
      int tail = tailOf(value);
      if (inside == null || (inside == before && tail == known)) {
        continue;
      }
      boolean isAlike =
          inside == GrammarState.NOWHERE
              ? common == GrammarState.NOWHERE
              : leadsTo(space, inside, common, tail);
      if (!isAlike) {
        return null;
      }
      before = inside;
      known = tail;
    }
    return common;
  }

  private static GrammarState orNowhere(@Nullable GrammarState state) {
    return state == null ? GrammarState.NOWHERE : state;
  }

  /** Whether exactly the bytes that UTF-8 lets follow lead on, and all to one state. */
  private static boolean leadsTo(StateSpace space, GrammarState at, GrammarState state, int tail) {
    if (at.mayEnd()) {
      return false;
    }
    GrammarState common = null;
    for (int value = 0; value < 256; value++) {
      boolean fits = value >= first(tail) && value <= last(tail);
      GrammarState next = space.next(at, value);
      if (fits != (next != null) || (fits && common != null && next != common)) {
        return false;
      }
      common = fits ? next : common;
    }
    boolean isLast = length(tail) == 1;
    return common != null && (isLast ? common == state : leadsTo(space, common, state, rest(tail)));
  }

  // What must follow within a character: the number of bytes, and the range of the first of them.

  private static int tail(int length, int first, int last) {
    return (length << 16) | (first << 8) | last;
  }

  private static int length(int tail) {
    return tail >> 16;
  }

  private static int first(int tail) {
    return (tail >> 8) & 0xff;
  }

  private static int last(int tail) {
    return tail & 0xff;
  }

  /** Behind its first byte. */
  private static int rest(int tail) {
    return length(tail) == 1 ? 0 : tail(length(tail) - 1, 0x80, 0xbf);
  }

  /** By the first byte of a character, from 0xc2 to 0xf4: table 3-7 of the Unicode standard. */
  private static int tailOf(int value) {
    if (value < 0xe0) {
      return tail(1, 0x80, 0xbf);
    }
    if (value < 0xf0) {
      return tail(2, value == 0xe0 ? 0xa0 : 0x80, value == 0xed ? 0x9f : 0xbf);
    }
    return tail(3, value == 0xf0 ? 0x90 : 0x80, value == 0xf4 ? 0x8f : 0xbf);
  }

  static ContentSet of(TokenTrie trie, Key key) {
    long[] within = new long[trie.words()];
    IntList[] byChars = new IntList[trie.depthMax() + 1];
    SortedMap<Integer, IntList> outside = new TreeMap<>();
    int[] tails = new int[trie.depthMax() + 1]; // by depth; 0: between characters
    int[] chars = new int[trie.depthMax() + 1]; // by depth, begun ones too
    for (int node = 0; node < trie.nodes(); ) {
      int depth = trie.depth(node);
      int value = trie.label(node);
      int tail = tails[depth];
      if (tail == 0 && !key.has(value)) {
        int exit = (chars[depth] << 8) | value;
        outside.computeIfAbsent(exit, e -> new IntList()).add(node);
        node = trie.end(node);
      } else if (tail != 0 && (value < first(tail) || value > last(tail))) {
        node = trie.end(node); // no text in UTF-8
      } else {
        tails[depth + 1] = tail != 0 ? rest(tail) : value < 0x80 ? 0 : tailOf(value);
        int count = tail != 0 ? chars[depth] : chars[depth] + 1;
        chars[depth + 1] = count;
        for (int i = trie.tokensStart(node); i < trie.tokensEnd(node); i++) {
          int token = trie.token(i);
          within[token >> 6] |= 1L << token;
          byChars[count] = byChars[count] == null ? new IntList() : byChars[count];
          byChars[count].add(token);
        }
        node++;
      }
    }
    int[] counts = new int[byChars.length + 1];
    IntList tokens = new IntList();
    for (int count = 0; count < byChars.length; count++) {
      counts[count] = tokens.size;
      for (int i = 0; byChars[count] != null && i < byChars[count].size; i++) {
        tokens.add(byChars[count].values[i]);
      }
    }
    counts[byChars.length] = tokens.size;
    Exit[] exits =
        outside.entrySet().stream()
            .map(e -> new Exit(e.getKey() & 0xff, e.getKey() >> 8, e.getValue().exact()))
            .toArray(Exit[]::new);
    return new ContentSet(within, tokens.exact(), counts, exits);
  }

  private static final class IntList {
    private int[] values = new int[16];
    private int size;

    private void add(int value) {
      values = size == values.length ? Arrays.copyOf(values, 2 * size) : values;
      values[size++] = value;
    }

    private int[] exact() {
      return Arrays.copyOf(values, size);
    }
  }

  /** The tokens within that have at most so many characters, as a new mask. */
  long[] mask(int charsMax) {
    int end = counts[Math.min(charsMax + 1, counts.length - 1)];
    if (end < tokens.length / 2) {
      long[] mask = new long[within.length];
      for (int i = 0; i < end; i++) {
        mask[tokens[i] >> 6] |= 1L << tokens[i];
      }
      return mask;
    }
    long[] mask = within.clone();
    for (int i = end; i < tokens.length; i++) {
      mask[tokens[i] >> 6] &= ~(1L << tokens[i]);
    }
    return mask;
  }

  void addTo(long[] mask) {
    for (int i = 0; i < mask.length; i++) {
      mask[i] |= within[i];
    }
  }

  /** By the characters before them. */
  Exit[] exits() {
    return exits;
  }

  long bytes() {
    return 8L * within.length + 4L * tokens.length + 8192;
  }
}
