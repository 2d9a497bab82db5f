package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Makes rules of a list of texts, one of which is to be matched. Owned by its caller, used once.
 *
 * <p>The texts become the smallest automaton without cycles, by what they begin with and by what
 * they end with (Daciuk, Mihov, Watson and Watson, 2000): in order, so that when a text leaves the
 * path of the one before it, what is left is never touched again and can be shared with its equals.
 * A hundred thousand numbers take a handful of states.
 */
final class Choices {
  /** Nodes in nodes, until one becomes a rule; expressions are walked by recursion. */
  private static final int DEPTH_MAX = 40;

  private static final int OPTION_BYTES = 64; // beside its text
  private static final int NODE_BYTES = 250;
  private static final int EDGE_BYTES = 300; // of its expression, which is copied once

  private final RuleSet rules = new RuleSet();
  private final Map<Node, Node> known = new HashMap<>();
  private final List<Node> inOrder = new ArrayList<>(); // each behind those that it leads to
  private final List<Node> path = new ArrayList<>(List.of(new Node())); // of the last text

  private final Budget budget;

  private Choices(Budget budget) {
    this.budget = budget;
  }

  /**
   * Rules; texts match the first.
   *
   * @throws GrammarException if there are no options, one cannot be written in UTF-8, or they are
   *     more than the budget has
   */
  static List<Expression> rules(List<String> options, Budget budget) {
    if (options.isEmpty()) {
      throw new GrammarException("a choice needs at least one option");
    }
    budget.hold((long) OPTION_BYTES * options.size());
    Choices choices = new Choices(budget);
    for (String option : new TreeSet<>(options)) {
      budget.work(1 + option.length());
      choices.add(option.codePoints().toArray());
    }
    return choices.finish();
  }

  private void add(int[] option) {
    int common = 0;
    while (common < option.length
        && common + 1 < path.size()
        && path.get(common).lastLabel() == option[common]) {
      common++;
    }
    settle(common);
    budget.requireRoom(inOrder.size() + option.length); // each will be a state or more
    budget.hold((long) NODE_BYTES * (option.length - common));
    for (int i = common; i < option.length; i++) {
      if (option[i] >= Character.MIN_SURROGATE && option[i] <= Character.MAX_SURROGATE) {
        throw new GrammarException("an option of a choice has half of a surrogate pair");
      }
      Node next = new Node();
      path.getLast().lead(option[i], next);
      path.add(next);
    }
    path.getLast().isEnd = true;
  }

  /** Nothing is added any more to what is deeper. */
  private void settle(int depth) {
    while (path.size() > depth + 1) {
      Node last = path.removeLast();
      Node same = known.putIfAbsent(last, last);
      if (same == null) {
        inOrder.add(last);
      } else {
        path.getLast().targets[path.getLast().edges - 1] = same;
        budget.release(NODE_BYTES);
      }
    }
  }

  private List<Expression> finish() {
    Call whole = rules.reserve();
    settle(0);
    inOrder.add(path.getFirst());
    for (Node node : inOrder) {
      node.byTarget().keySet().forEach(target -> target.uses++);
    }
    for (Node node : inOrder) {
      if (!node.isPassed()) { // which the first, that nothing leads to, never is
        finish(node);
      }
    }
    rules.define(whole, path.getFirst().expression);
    return Inliner.inlined(rules.rules());
  }

  private void finish(Node node) {
    List<Expression> options = new ArrayList<>();
    int depth = 0;
    if (node.isEnd) {
      options.add(Expression.EMPTY);
    }
    Map<Node, List<Integer>> edges = node.byTarget();
    budget.hold((long) EDGE_BYTES * edges.size());
    for (Map.Entry<Node, List<Integer>> edge : edges.entrySet()) {
      CodePoints labels = CodePoints.union(edge.getValue().stream().map(CodePoints::of).toList());
      StringBuilder literal = new StringBuilder();
      Node target = edge.getKey();
      while (target.isPassed()) {
        literal.appendCodePoint(target.labels[0]);
        target = target.targets[0];
      }
      depth = Math.max(depth, 1 + target.depth);
      options.add(
          Expression.sequence(
              new Chars(labels), Expression.text(literal.toString()), target.expression));
    }
    Expression all = options.size() == 1 ? options.getFirst() : new Choice(options);
    boolean isRule = node.edges > 0 && (node.uses > 1 || depth > DEPTH_MAX);
    node.expression = isRule ? rules.add(all) : all;
    node.depth = isRule ? 0 : depth;
  }

  /** What may follow a beginning. Owned by its choices; not changed once it is settled. */
  private static final class Node {
    boolean isEnd;
    int[] labels = new int[1]; // code points
    Node[] targets = new Node[1];
    int edges;
    int uses; // by other nodes
    Expression expression = Expression.NEVER;
    int depth; // of the expression

    void lead(int label, Node target) {
      if (edges == labels.length) {
        labels = Arrays.copyOf(labels, 2 * edges);
        targets = Arrays.copyOf(targets, 2 * edges);
      }
      labels[edges] = label;
      targets[edges++] = target;
    }

    int lastLabel() {
      return labels[edges - 1];
    }

    /** Whether it is written out in the literal that leads through it. */
    boolean isPassed() {
      return edges == 1 && !isEnd && uses == 1;
    }

    Map<Node, List<Integer>> byTarget() {
      Map<Node, List<Integer>> byTarget = new LinkedHashMap<>();
      for (int i = 0; i < edges; i++) {
        byTarget.computeIfAbsent(targets[i], target -> new ArrayList<>()).add(labels[i]);
      }
      return byTarget;
    }

    @Override
    public int hashCode() {
      int hash = isEnd ? 1 : 0;
      for (int i = 0; i < edges; i++) {
        hash = 31 * (31 * hash + labels[i]) + System.identityHashCode(targets[i]);
      }
      return hash;
    }

    /** Targets are settled before what leads to them, so that equals are the same. */
    @Override
    public boolean equals(@Nullable Object other) {
      if (!(other instanceof Node node) || isEnd != node.isEnd || edges != node.edges) {
        return false;
      }
      for (int i = 0; i < edges; i++) {
        if (labels[i] != node.labels[i] || targets[i] != node.targets[i]) {
          return false;
        }
      }
      return true;
    }
  }
}
