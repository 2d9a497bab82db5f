package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Two automata side by side: what both match. Owned by the compiling thread, used once. */
final class Product {
  private static final int[] NO_CALLS = {};

  /** With its name, and places in a map and a list. */
  private static final int PAIR_BYTES = 120;

  private final ByteDfa first;
  private final ByteDfa second;
  private final Budget budget;
  private final Map<Pair, Integer> names = new HashMap<>();
  private final List<Pair> pairs = new ArrayList<>();
  private final byte[] classes = new byte[256];
  private final int[] examples = new int[256]; // a byte of each class
  private int classCount;

  private record Pair(int first, int second) {}

  private Product(ByteDfa first, ByteDfa second, Budget budget) {
    this.first = first;
    this.second = second;
    this.budget = budget;
  }

  /** The result, held by the budget as {@link Determinizer#run}'s is. */
  static ByteDfa of(ByteDfa first, ByteDfa second, Budget budget) {
    long before = budget.held();
    ByteDfa all = new Product(first, second, budget).run();
    budget.release(budget.held() - before - all.bytes());
    return all.trimmed(symbol -> false, budget);
  }

  private ByteDfa run() {
    divideBytes();
    if (first.states() > 0 && second.states() > 0) {
      name(new Pair(0, 0));
    }
    int[] table = new int[classCount];
    for (int at = 0; at < pairs.size(); at++) {
      if (table.length < (at + 1) * classCount) {
        budget.hold(4L * table.length);
        table = Arrays.copyOf(table, 2 * table.length);
      }
      Pair pair = pairs.get(at);
      for (int c = 0; c < classCount; c++) {
        int a = first.next(pair.first, examples[c]);
        int b = second.next(pair.second, examples[c]);
        boolean isDead = a == ByteDfa.DEAD || b == ByteDfa.DEAD;
        table[at * classCount + c] = isDead ? ByteDfa.DEAD : name(new Pair(a, b));
      }
      budget.work(classCount);
    }
    boolean[] accepts = new boolean[pairs.size()];
    int[][] calls = new int[pairs.size()][];
    Arrays.fill(calls, NO_CALLS);
    for (int s = 0; s < accepts.length; s++) {
      Pair pair = pairs.get(s);
      accepts[s] = first.accepts(pair.first) && second.accepts(pair.second);
    }
    budget.hold(4L * pairs.size() * classCount);
    int[] exact = Arrays.copyOf(table, pairs.size() * classCount);
    return new ByteDfa(classes, classCount, exact, accepts, calls);
  }

  private void divideBytes() {
    Map<Pair, Integer> known = new HashMap<>();
    for (int value = 0; value < 256; value++) {
      Pair both = new Pair(first.classOf(value), second.classOf(value));
      Integer name = known.get(both);
      if (name == null) {
        name = known.size();
        known.put(both, name);
        examples[name] = value;
      }
      classes[value] = (byte) (int) name;
    }
    classCount = known.size();
  }

  private int name(Pair pair) {
    Integer known = names.get(pair);
    if (known != null) {
      return known;
    }
    budget.state();
    budget.hold(PAIR_BYTES);
    names.put(pair, pairs.size());
    pairs.add(pair);
    return pairs.size() - 1;
  }
}
