package io.verdier.engine.grammar;

import java.util.Arrays;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * An automaton over bytes that is in one state at a time. Immutable.
 *
 * <p>State 0 is where it starts. Bytes that no state tells apart are one class, and the table has a
 * column a class. Beside its bytes a state may call symbols of the grammar.
 */
final class ByteDfa {
  static final int DEAD = -1;

  private static final int[] NO_CALLS = {};

  private final byte[] classes; // of each byte
  private final int classCount;
  private final int[] table; // [states][classCount], DEAD where nothing matches any more
  private final boolean[] accepts; // [states]
  private final int[][] calls; // [states]: symbol, state behind it, and so on
  private final boolean[] takesBytes; // [states]
  private final int number; // among the rules of a grammar
  private final @Nullable CharacterCounts counts; // null: its characters are not counted

  ByteDfa(byte[] classes, int classCount, int[] table, boolean[] accepts, int[][] calls) {
    this(classes, classCount, table, accepts, calls, 0, null);
  }

  private ByteDfa(
      byte[] classes,
      int classCount,
      int[] table,
      boolean[] accepts,
      int[][] calls,
      int number,
      @Nullable CharacterCounts counts) {
    this.number = number;
    this.counts = counts;
    this.classes = classes;
    this.classCount = classCount;
    this.table = table;
    this.accepts = accepts;
    this.calls = calls;
    takesBytes = new boolean[accepts.length];
    for (int i = 0; i < accepts.length * classCount; i++) {
      takesBytes[i / classCount] |= table[i] != DEAD;
    }
  }

  /** The automaton that is in all states at once in which a nondeterministic one may be. */
  static ByteDfa of(NfaBuilder.Built built, Budget budget) {
    return new Determinizer(built, budget, symbol -> false).run();
  }

  /** The same as a rule of a grammar. */
  ByteDfa numbered(int rule) {
    return new ByteDfa(classes, classCount, table, accepts, calls, rule, counts);
  }

  /** The same for contents of JSON strings whose characters are counted. */
  ByteDfa counting(ByteDfa characters, Budget budget) {
    CharacterCounts made = CharacterCounts.of(this, characters, budget);
    return new ByteDfa(classes, classCount, table, accepts, calls, number, made);
  }

  /** How many characters may follow each state; null: they are not counted. */
  @Nullable CharacterCounts counts() {
    return counts;
  }

  /** Of the rule. */
  int number() {
    return number;
  }

  /** 0 if nothing matches. */
  int states() {
    return accepts.length;
  }

  /**
   * @param value 0 to 255
   */
  int next(int state, int value) {
    return table[state * classCount + (classes[value] & 0xff)];
  }

  boolean accepts(int state) {
    return accepts[state];
  }

  /** Pairs of a symbol and the state behind it. */
  int[] calls(int state) {
    return calls[state];
  }

  int classOf(int value) {
    return classes[value] & 0xff;
  }

  int classCount() {
    return classCount;
  }

  /** Whether any byte leads on. */
  boolean takesBytes(int state) {
    return takesBytes[state];
  }

  /** Whether a text is here and nowhere else: nothing is called, and nothing ends. */
  boolean isPlain(int state) {
    return takesBytes[state] && !accepts[state] && calls[state].length == 0;
  }

  /** Of what it holds, about. */
  long bytes() {
    long sum = 256 + 4L * table.length + 6L * accepts.length;
    for (int[] pairs : calls) {
      sum += pairs.length == 0 ? 4 : 24 + 4L * pairs.length;
    }
    return sum;
  }

  /** What both match; neither may call. */
  ByteDfa and(ByteDfa other, Budget budget) {
    return Product.of(this, other, budget);
  }

  /** Every text that this does not match, among those that UTF-8 can hold; it may not call. */
  ByteDfa not(Budget budget) {
    CallSymbols none = CallSymbols.none();
    Expression all = Expression.any(new Expression.Chars(CodePoints.ALL));
    ByteDfa texts = of(NfaBuilder.build(all, budget, none), budget);
    budget.hold(bytes() + 4L * classCount);
    ByteDfa others = Product.of(texts, complement(), budget);
    budget.release(bytes() + 4L * classCount + texts.bytes());
    return others;
  }

  /** With a state more, which is where nothing matched. */
  private ByteDfa complement() {
    int states = states();
    int[] full = Arrays.copyOf(table, (states + 1) * classCount);
    boolean[] turned = new boolean[states + 1];
    for (int i = 0; i < full.length; i++) {
      if (i >= table.length || full[i] == DEAD) {
        full[i] = states;
      }
    }
    for (int s = 0; s <= states; s++) {
      turned[s] = s == states || !accepts[s];
    }
    int[][] none = new int[states + 1][];
    Arrays.fill(none, NO_CALLS);
    return new ByteDfa(classes, classCount, full, turned, none);
  }

  /**
   * Without the states from which no text ends, and without calls of what nothing matches. Takes
   * this one's place: the budget holds the result.
   *
   * @param called whether a symbol matches anything
   */
  ByteDfa trimmed(IntPredicate called, Budget budget) {
    long most = bytes();
    budget.hold(most);
    ByteDfa trimmed = trimmed(ending(called, budget), called);
    budget.release(2 * most - trimmed.bytes());
    return trimmed;
  }

  private ByteDfa trimmed(boolean[] ends, IntPredicate called) {
    int[] names = new int[states()];
    int kept = 0;
    for (int s = 0; s < names.length; s++) {
      names[s] = ends[s] ? kept++ : DEAD;
    }
    if (names.length == 0 || !ends[0]) {
      return new ByteDfa(classes, classCount, new int[0], new boolean[0], new int[0][]);
    }
    int[] smaller = new int[kept * classCount];
    boolean[] accepting = new boolean[kept];
    int[][] calling = new int[kept][];
    for (int s = 0; s < names.length; s++) {
      if (names[s] == DEAD) {
        continue;
      }
      for (int c = 0; c < classCount; c++) {
        int target = table[s * classCount + c];
        smaller[names[s] * classCount + c] = target == DEAD ? DEAD : names[target];
      }
      accepting[names[s]] = accepts[s];
      calling[names[s]] = renamed(calls[s], names, called);
    }
    return new ByteDfa(classes, classCount, smaller, accepting, calling);
  }

  private static int[] renamed(int[] calls, int[] names, IntPredicate called) {
    int[] kept = new int[calls.length];
    int size = 0;
    for (int i = 0; i < calls.length; i += 2) {
      if (called.test(calls[i]) && names[calls[i + 1]] != DEAD) {
        kept[size++] = calls[i];
        kept[size++] = names[calls[i + 1]];
      }
    }
    return Arrays.copyOf(kept, size);
  }

  /** States from which a text may end. */
  boolean[] ending(IntPredicate called, Budget budget) {
    boolean[] ends = accepts.clone();
    boolean changes = true;
    while (changes) { // backwards, since edges mostly lead forwards
      changes = false;
      budget.work(states());
      for (int s = states() - 1; s >= 0; s--) {
        if (!ends[s] && leadsTo(s, ends, called)) {
          ends[s] = true;
          changes = true;
        }
      }
    }
    return ends;
  }

  private boolean leadsTo(int s, boolean[] ends, IntPredicate called) {
    for (int c = 0; c < classCount; c++) {
      int target = table[s * classCount + c];
      if (target != DEAD && ends[target]) {
        return true;
      }
    }
    for (int i = 0; i < calls[s].length; i += 2) {
      if (called.test(calls[s][i]) && ends[calls[s][i + 1]]) {
        return true;
      }
    }
    return false;
  }
}
