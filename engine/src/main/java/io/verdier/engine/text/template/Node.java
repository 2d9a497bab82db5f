package io.verdier.engine.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** A statement of a template. Immutable. */
sealed interface Node {
  /** Line on which it starts, counted from 1. */
  int line();

  record Text(int line, String text) implements Node {}

  record Output(int line, Expr value) implements Node {}

  record If(int line, List<Expr> conditions, List<List<Node>> bodies, List<Node> otherwise)
      implements Node {}

  record For(
      int line,
      Target target,
      Expr items,
      @Nullable Expr filter,
      boolean recursive,
      List<Node> body,
      List<Node> otherwise)
      implements Node {}

  record Set(int line, Target target, Expr value) implements Node {}

  /**
   * @param filters applied to the rendered body, first to last
   */
  record SetBlock(int line, Target target, List<Expr.Filtered> filters, List<Node> body)
      implements Node {}

  record With(int line, List<Target> targets, List<Expr> values, List<Node> body) implements Node {}

  record MacroDefinition(int line, Signature signature, List<Node> body) implements Node {}

  record CallBlock(int line, Expr.Call call, Signature caller, List<Node> body) implements Node {}

  record FilterBlock(int line, List<Expr.Filtered> filters, List<Node> body) implements Node {}

  /** {@code generation}: marks what the model wrote; renders its body in a scope of its own. */
  record Scoped(int line, List<Node> body) implements Node {}

  record Break(int line) implements Node {}

  record Continue(int line) implements Node {}

  /** Where a value is stored. */
  sealed interface Target {
    record Variable(String name) implements Target {}

    record Member(String namespace, String attribute) implements Target {}

    record Unpack(List<Target> targets) implements Target {}
  }

  /**
   * What a macro accepts.
   *
   * @param defaults of the last parameters, evaluated at each call
   * @param usesCaller whether the body names {@code caller}; likewise the other two
   */
  record Signature(
      String name,
      List<String> parameters,
      List<Expr> defaults,
      boolean usesCaller,
      boolean usesKwargs,
      boolean usesVarargs) {}
}
