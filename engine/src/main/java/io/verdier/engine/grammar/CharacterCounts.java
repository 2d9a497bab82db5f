package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * How many characters a text may still have, from each state of an automaton over the content of
 * JSON strings: so that characters are counted beside it, and a text that is begun can be ended
 * within its bounds. Immutable.
 *
 * <p>An automaton that counts as well has a state for each of its states and each count: a pattern
 * of ten states and {@code maxLength: 10000} a hundred thousand. Here it stays as it is. The states
 * between characters that can end after exactly n more are worked out for n from 0 on, until a set
 * of them comes again: from then on they repeat.
 */
final class CharacterCounts {
  private static final int LENGTHS_MAX = 1 << 16;

  /** Of a set of states, beside its bits. */
  private static final int SET_BYTES = 150;

  private final int[] between; // [states]: number of one that is between characters, -1: within
  private final int[][] reached; // [states]: numbers of those behind one more character
  private final List<BitSet> ending; // by characters to come: numbers of states that can then end
  private final int loop; // where those repeat from
  private final int[] nearest; // by number: the fewest characters to an end
  private final int farthest; // of those

  private CharacterCounts(
      int[] between, int[][] reached, List<BitSet> ending, int loop, int[] nearest) {
    this.between = between;
    this.reached = reached;
    this.ending = ending;
    this.loop = loop;
    this.nearest = nearest;
    farthest = Arrays.stream(nearest).max().orElse(0);
  }

  /**
   * Of an automaton, from all of whose states a text can end.
   *
   * @param characters the automaton of all contents, which accepts between two characters
   * @throws GrammarException if its lengths do not repeat soon
   */
  static CharacterCounts of(ByteDfa dfa, ByteDfa characters, Budget budget) {
    int[] between = new int[dfa.states()];
    int count = number(dfa, characters, between);
    int[][] reached = new int[dfa.states()][];
    long edges = 0;
    for (int s = 0; s < reached.length; s++) {
      reached[s] = reached(dfa, s, between, budget);
      edges += reached[s].length;
    }
    budget.hold(4L * between.length + 24L * reached.length + 4 * edges);
    BitSet first = new BitSet(count);
    for (int s = 0; s < between.length; s++) {
      if (between[s] >= 0 && dfa.accepts(s)) {
        first.set(between[s]);
      }
    }
    int[] nearest = new int[count];
    Arrays.fill(nearest, Integer.MAX_VALUE);
    Map<BitSet, Integer> known = new HashMap<>();
    List<BitSet> ending = new ArrayList<>();
    for (BitSet set = first; known.putIfAbsent(set, ending.size()) == null; ) {
      int length = ending.size();
      set.stream().forEach(state -> nearest[state] = Math.min(nearest[state], length));
      ending.add(set);
      budget.hold(SET_BYTES + count / Byte.SIZE);
      budget.work((int) Math.min(Integer.MAX_VALUE, edges));
      if (length == LENGTHS_MAX) {
        throw new GrammarException(
            "the JSON schema: minLength or maxLength beside a pattern whose lengths are too irregular");
      }
      set = before(set, between, reached);
    }
    int loop = Objects.requireNonNull(known.get(before(ending.getLast(), between, reached)));
    return new CharacterCounts(between, reached, List.copyOf(ending), loop, nearest);
  }

  /** Those from which one character leads to any of these. */
  private static BitSet before(BitSet set, int[] between, int[][] reached) {
    BitSet before = new BitSet();
    for (int s = 0; s < between.length; s++) {
      if (between[s] >= 0 && anyOf(reached[s], set)) {
        before.set(between[s]);
      }
    }
    return before;
  }

  private static boolean anyOf(int[] numbers, BitSet set) {
    for (int number : numbers) {
      if (set.get(number)) {
        return true;
      }
    }
    return false;
  }

  /** Numbers the states that are between characters; a state is always between them or never. */
  private static int number(ByteDfa dfa, ByteDfa characters, int[] between) {
    int[] beside = new int[between.length]; // state of the other automaton, -1: not reached yet
    Arrays.fill(beside, -1);
    Arrays.fill(between, -1);
    List<Integer> found = new ArrayList<>(List.of(0));
    beside[0] = 0;
    int count = 0;
    for (int i = 0; i < found.size(); i++) {
      int s = found.get(i);
      between[s] = characters.accepts(beside[s]) ? count++ : -1;
      for (int value = 0; value < 256; value++) {
        int target = dfa.next(s, value);
        if (target != ByteDfa.DEAD && beside[target] < 0) {
          beside[target] = characters.next(beside[s], value);
          found.add(target);
        }
      }
    }
    return count;
  }

  /** Behind one more character, or the rest of one. */
  private static int[] reached(ByteDfa dfa, int from, int[] between, Budget budget) {
    BitSet found = new BitSet();
    BitSet seen = new BitSet();
    List<Integer> pending = new ArrayList<>(List.of(from));
    while (!pending.isEmpty()) {
      int s = pending.removeLast();
      budget.work(256);
      for (int value = 0; value < 256; value++) {
        int target = dfa.next(s, value);
        if (target == ByteDfa.DEAD) {
          continue;
        }
        if (between[target] >= 0) {
          found.set(between[target]);
        } else if (!seen.get(target)) {
          seen.set(target);
          pending.add(target);
        }
      }
    }
    return found.stream().toArray();
  }

  /** Whether a character is complete in a state. */
  boolean isBetween(int state) {
    return between[state] >= 0;
  }

  /** The most characters that it takes to end, from anywhere between two. */
  int farthest() {
    return farthest;
  }

  /**
   * Whether a text can end within bounds.
   *
   * @param count characters that are complete
   */
  boolean canEnd(int state, int count, int min, int max) {
    if (between[state] < 0) {
      return goesOn(state, count, min, max);
    }
    return canEndFrom(between[state], count, min, max);
  }

  /** Whether it can with one more character. */
  boolean goesOn(int state, int count, int min, int max) {
    for (int number : reached[state]) {
      if (canEndFrom(number, count + 1, min, max)) {
        return true;
      }
    }
    return false;
  }

  private boolean canEndFrom(int number, int count, int min, int max) {
    if (count >= min) {
      return count <= max && nearest[number] <= max - count;
    }
    int last = Math.max(min - count, ending.size()) + ending.size() - loop; // all have come by then
    for (int more = min - count; more <= Math.min(last, max - count); more++) {
      int at = more < ending.size() ? more : loop + (more - loop) % (ending.size() - loop);
      if (ending.get(at).get(number)) {
        return true;
      }
    }
    return false;
  }
}
