package io.verdier.engine.text.template;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How a template treats the {@code content} of messages, read off its syntax tree. Immutable.
 *
 * <p>Some templates print content as a string, some walk it as a list of parts, some do either
 * after asking which it is. What a client sends has to be brought into a form that the template
 * understands, and nothing in a model's files says which that is.
 *
 * @param walksParts whether content is looped over or filtered item by item
 * @param takesString whether content is tested with {@code is string}, printed or added to a string
 * @param asksForNone whether content is tested with {@code is none}
 */
public record ContentUse(boolean walksParts, boolean takesString, boolean asksForNone) {

  static ContentUse of(List<Node> nodes) {
    Scan scan = new Scan();
    scan.nodes(nodes);
    return new ContentUse(scan.walksParts, scan.takesString, scan.asksForNone);
  }

  /** Owned by the caller of {@code of}. One walk over a template. */
  private static final class Scan {
    private static final Set<String> ITEM_FILTERS =
        Set.of("map", "select", "reject", "selectattr", "rejectattr", "groupby");

    private boolean walksParts;
    private boolean takesString;
    private boolean asksForNone;

    private void nodes(List<Node> nodes) {
      for (Node node : nodes) {
        node(node);
      }
    }

    /** Statements nest no deeper than the parser allows, so recursion is safe here. */
    private void node(Node node) {
      switch (node) {
        case Node.Output output -> {
          takesString |= isContent(output.value());
          expression(output.value());
        }
        case Node.If branches -> {
          branches.conditions().forEach(this::expression);
          branches.bodies().forEach(this::nodes);
          nodes(branches.otherwise());
        }
        case Node.For loop -> {
          walksParts |= isContent(loop.items());
          expression(loop.items());
          expression(loop.filter());
          nodes(loop.body());
          nodes(loop.otherwise());
        }
        case Node.Set set -> expression(set.value());
        case Node.SetBlock set -> nodes(set.body());
        case Node.With with -> {
          with.values().forEach(this::expression);
          nodes(with.body());
        }
        case Node.MacroDefinition macro -> nodes(macro.body());
        case Node.CallBlock call -> {
          expression(call.call());
          nodes(call.body());
        }
        case Node.FilterBlock block -> nodes(block.body());
        case Node.Scoped scoped -> nodes(scoped.body());
        case Node.Text ignored -> {}
        case Node.Break ignored -> {}
        case Node.Continue ignored -> {}
      }
    }

    /** Expressions may be chains of any length: a stack of our own instead of recursion. */
    private void expression(@Nullable Expr root) {
      Deque<Expr> open = new ArrayDeque<>();
      push(open, root);
      while (!open.isEmpty()) {
        Expr expression = open.pop();
        switch (expression) {
          case Expr.Tested tested when isContent(tested.input()) -> {
            takesString |= tested.test().equals("string");
            asksForNone |= tested.test().equals("none");
          }
          case Expr.Filtered filtered when filtered.input() != null ->
              walksParts |= ITEM_FILTERS.contains(filtered.filter()) && isContent(filtered.input());
          case Expr.Binary binary when binary.operator() == Expr.Operator.ADD ->
              takesString |= isContent(binary.left()) || isContent(binary.right());
          case Expr.Concat concat ->
              takesString |= concat.operands().stream().anyMatch(Scan::isContent);
          default -> {}
        }
        children(expression, open);
      }
    }

    private static void children(Expr expression, Deque<Expr> open) {
      switch (expression) {
        case Expr.Literal ignored -> {}
        case Expr.Name ignored -> {}
        case Expr.ListOf list -> open.addAll(list.items());
        case Expr.TupleOf tuple -> open.addAll(tuple.items());
        case Expr.DictOf dict -> {
          open.addAll(dict.keys());
          open.addAll(dict.values());
        }
        case Expr.Not not -> open.add(not.operand());
        case Expr.Sign sign -> open.add(sign.operand());
        case Expr.Binary binary -> open.addAll(List.of(binary.left(), binary.right()));
        case Expr.Concat concat -> open.addAll(concat.operands());
        case Expr.And and -> open.addAll(List.of(and.left(), and.right()));
        case Expr.Or or -> open.addAll(List.of(or.left(), or.right()));
        case Expr.Compare compare -> {
          open.add(compare.first());
          open.addAll(compare.others());
        }
        case Expr.Conditional conditional -> {
          open.addAll(List.of(conditional.condition(), conditional.then()));
          push(open, conditional.otherwise());
        }
        case Expr.Attribute attribute -> open.add(attribute.owner());
        case Expr.Item item -> open.addAll(List.of(item.owner(), item.key()));
        case Expr.Slice slice -> {
          open.add(slice.owner());
          push(open, slice.from());
          push(open, slice.to());
          push(open, slice.step());
        }
        case Expr.Call call -> {
          open.add(call.callee());
          arguments(call.arguments(), open);
        }
        case Expr.Filtered filtered -> {
          push(open, filtered.input());
          arguments(filtered.arguments(), open);
        }
        case Expr.Tested tested -> {
          open.add(tested.input());
          arguments(tested.arguments(), open);
        }
      }
    }

    private static void arguments(Expr.Arguments arguments, Deque<Expr> open) {
      open.addAll(arguments.positional());
      open.addAll(arguments.named());
      push(open, arguments.spread());
      push(open, arguments.spreadNamed());
    }

    private static void push(Deque<Expr> open, @Nullable Expr expression) {
      if (expression != null) {
        open.add(expression);
      }
    }

    /**
     * Whether this is some message's content, or a slice of it. A variable counts by its name: so
     * macros and {@code set} usually call it, while other names hold it for other ends.
     */
    private static boolean isContent(Expr expression) {
      Expr inner = expression;
      while (inner instanceof Expr.Slice slice) {
        inner = slice.owner();
      }
      return switch (inner) {
        case Expr.Name name -> name.name().equals("content");
        case Expr.Attribute attribute -> attribute.name().equals("content");
        case Expr.Item item ->
            item.key() instanceof Expr.Literal literal && literal.value().equals("content");
        default -> false;
      };
    }
  }
}
