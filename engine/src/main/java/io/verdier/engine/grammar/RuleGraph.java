package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Which rules lead to which: groups of rules that all lead to each other (Tarjan, 1972). Owned by
 * its caller, used once. Not by recursion: a chain of rules may be as long as the text allows.
 */
final class RuleGraph {
  private final int[][] successors;
  private final int[] order; // of discovery, from 1; 0: not yet
  private final int[] lowest; // order that is reached from here
  private final boolean[] isOpen;
  private final int[] open;
  private int opened;
  private int found;
  private final List<int[]> groups = new ArrayList<>();

  private RuleGraph(int rules, IntFunction<int[]> successorsOf) {
    successors = new int[rules][];
    Arrays.setAll(successors, successorsOf);
    order = new int[rules];
    lowest = new int[rules];
    isOpen = new boolean[rules];
    open = new int[rules];
  }

  /** The groups; each comes behind those that it leads to. */
  static List<int[]> groups(int rules, IntFunction<int[]> successorsOf) {
    RuleGraph graph = new RuleGraph(rules, successorsOf);
    for (int i = 0; i < rules; i++) {
      if (graph.order[i] == 0) {
        graph.visit(i);
      }
    }
    return graph.groups;
  }

  private void visit(int from) {
    record Visit(int rule, int successor) {}
    List<Visit> path = new ArrayList<>(List.of(new Visit(from, 0)));
    while (!path.isEmpty()) {
      Visit visit = path.removeLast();
      int rule = visit.rule;
      if (visit.successor == 0) {
        enter(rule);
      } else {
        lowest[rule] = Math.min(lowest[rule], lowest[successors[rule][visit.successor - 1]]);
      }
      int at = visit.successor;
      while (at < successors[rule].length && order[successors[rule][at]] != 0) {
        int known = successors[rule][at++];
        if (isOpen[known]) {
          lowest[rule] = Math.min(lowest[rule], order[known]);
        }
      }
      if (at < successors[rule].length) {
        path.add(new Visit(rule, at + 1));
        path.add(new Visit(successors[rule][at], 0));
      } else if (lowest[rule] == order[rule]) {
        close(rule);
      }
    }
  }

  private void enter(int rule) {
    order[rule] = ++found;
    lowest[rule] = found;
    isOpen[rule] = true;
    open[opened++] = rule;
  }

  private void close(int root) {
    int first = opened;
    do {
      isOpen[open[--first]] = false;
    } while (open[first] != root);
    groups.add(Arrays.copyOfRange(open, first, opened));
    opened = first;
  }
}
