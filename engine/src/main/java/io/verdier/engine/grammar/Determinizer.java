package io.verdier.engine.grammar;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * The subset construction (Rabin and Scott, 1959): a state of the result is the set of states in
 * which a nondeterministic automaton may be. Owned by the compiling thread, used once.
 */
final class Determinizer {
  /** Of a set of states beside its members: with its name, and places in a map and a list. */
  private static final int SET_BYTES = 120;

  private final ByteNfa nfa;
  private final int start;
  private final int end;
  private final Budget budget;
  private final IntPredicate nullable;

  private final byte[] classes = new byte[256];
  private int classCount;
  private final Map<Members, Integer> names = new HashMap<>();
  private final List<Members> sets = new ArrayList<>();
  private int[] table = new int[0];
  private final List<int[]> calls = new ArrayList<>();

  private final int[] alone; // by state: the name of where it leads by itself, -1: not known yet
  private final int[] marks; // by state: the last closure it was in
  private int mark;
  private int[] members; // of the closure that is being made
  private int size;

  /** A set of states, ascending. */
  private record Members(int[] states, int hash) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Members set && Arrays.equals(states, set.states);
    }

    @Override
    public int hashCode() {
      return hash;
    }
  }

  /**
   * @param nullable whether a called symbol also matches the empty text
   */
  Determinizer(NfaBuilder.Built built, Budget budget, IntPredicate nullable) {
    nfa = built.nfa();
    start = built.start();
    end = built.end();
    this.budget = budget;
    this.nullable = nullable;
    marks = new int[nfa.states()];
    alone = new int[nfa.states()];
    Arrays.fill(alone, -1);
    members = new int[nfa.states()];
  }

  /**
   * The result. Its {@linkplain ByteDfa#bytes bytes} are held by the budget; the nondeterministic
   * automaton is released, and so is what was needed beside both.
   */
  ByteDfa run() {
    long before = budget.held();
    budget.hold(12L * nfa.states());
    divideBytes();
    open();
    put(start);
    name(close());
    for (int at = 0; at < sets.size(); at++) {
      expand(sets.get(at).states, at);
    }
    boolean[] accepts = new boolean[sets.size()];
    for (int s = 0; s < accepts.length; s++) {
      accepts[s] = Arrays.binarySearch(sets.get(s).states, end) >= 0;
    }
    budget.hold(4L * sets.size() * classCount);
    int[] exact = Arrays.copyOf(table, sets.size() * classCount);
    ByteDfa made = new ByteDfa(classes, classCount, exact, accepts, calls.toArray(int[][]::new));
    budget.release(budget.held() - before - made.bytes());
    nfa.release();
    return made;
  }

  /** Bytes between which no edge begins or ends are one class. */
  private void divideBytes() {
    boolean[] begins = new boolean[257];
    for (int s = 0; s < nfa.states(); s++) {
      for (int e = nfa.firstEdge(s); e >= 0; e = nfa.nextEdge(e)) {
        if (nfa.takesByte(e)) {
          begins[nfa.firstByte(e)] = true;
          begins[nfa.lastByte(e) + 1] = true;
        }
      }
    }
    int current = 0;
    for (int value = 0; value < 256; value++) {
      if (value > 0 && begins[value]) {
        current++;
      }
      classes[value] = (byte) current;
    }
    classCount = current + 1;
  }

  private void expand(int[] from, int at) {
    int[][] targets = new int[classCount][];
    int[] counts = new int[classCount];
    TreeMap<Integer, ArrayDeque<Integer>> called = new TreeMap<>();
    for (int s : from) {
      for (int e = nfa.firstEdge(s); e >= 0; e = nfa.nextEdge(e)) {
        if (nfa.takesByte(e)) {
          int last = classes[nfa.lastByte(e)] & 0xff;
          for (int c = classes[nfa.firstByte(e)] & 0xff; c <= last; c++) {
            targets[c] = added(targets[c], counts[c]++, nfa.target(e));
          }
          budget.work(last + 1);
        } else if (!nfa.takesNothing(e)) {
          called.computeIfAbsent(nfa.symbol(e), symbol -> new ArrayDeque<>()).add(nfa.target(e));
        }
      }
    }
    if (table.length < (at + 1) * classCount) {
      budget.hold(4L * Math.max(classCount, table.length));
      table = room(table, (at + 1) * classCount);
    }
    for (int c = 0; c < classCount; c++) {
      table[at * classCount + c] = counts[c] == 0 ? ByteDfa.DEAD : closed(targets[c], counts[c]);
    }
    int[] pairs = new int[2 * called.size()];
    int pair = 0;
    for (Map.Entry<Integer, ArrayDeque<Integer>> call : called.entrySet()) {
      int[] behind = call.getValue().stream().mapToInt(Integer::intValue).toArray();
      pairs[pair++] = call.getKey();
      pairs[pair++] = closed(behind, behind.length);
    }
    budget.hold(40 + 4L * pairs.length);
    calls.add(pairs);
  }

  private static int[] added(int @Nullable [] list, int count, int value) {
    int[] roomy = list == null ? new int[4] : room(list, count + 1);
    roomy[count] = value;
    return roomy;
  }

  private static int[] room(int[] list, int size) {
    return size <= list.length ? list : Arrays.copyOf(list, Math.max(size, 2 * list.length));
  }

  private int closed(int[] states, int count) {
    if (count == 1 && alone[states[0]] >= 0) {
      return alone[states[0]];
    }
    int name = named(states, count);
    if (count == 1) {
      alone[states[0]] = name;
    }
    return name;
  }

  private int named(int[] states, int count) {
    open();
    for (int i = 0; i < count; i++) {
      put(states[i]);
    }
    return name(close());
  }

  private void open() {
    mark++;
    size = 0;
  }

  private void put(int state) {
    if (marks[state] != mark) {
      marks[state] = mark;
      members[size++] = state;
    }
  }

  /** Follows what takes no byte. */
  private Members close() {
    for (int i = 0; i < size; i++) {
      for (int e = nfa.firstEdge(members[i]); e >= 0; e = nfa.nextEdge(e)) {
        boolean isFree = nfa.takesNothing(e) || (!nfa.takesByte(e) && nullable.test(nfa.symbol(e)));
        if (isFree) {
          put(nfa.target(e));
        }
      }
    }
    budget.work(size);
    int[] states = Arrays.copyOf(members, size);
    Arrays.sort(states);
    return new Members(states, Arrays.hashCode(states));
  }

  private int name(Members set) {
    Integer known = names.get(set);
    if (known != null) {
      return known;
    }
    budget.state();
    budget.hold(SET_BYTES + 4L * set.states.length);
    names.put(set, sets.size());
    sets.add(set);
    return sets.size() - 1;
  }
}
