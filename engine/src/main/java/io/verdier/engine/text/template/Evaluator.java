package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Owned by the rendering thread. Walks expressions. */
final class Evaluator {
  private final Rendering rendering;

  Evaluator(Rendering rendering) {
    this.rendering = rendering;
  }

  Object value(Expr expression) {
    meter().enter();
    Object value =
        switch (expression) {
          case Expr.Literal literal -> literal.value();
          case Expr.Name name -> named(name.name());
          case Expr.Attribute attribute ->
              Members.attribute(value(attribute.owner()), attribute.name());
          case Expr.Item item -> Members.item(value(item.owner()), value(item.key()), meter());
          case Expr.Compare compare -> compare(compare);
          case Expr.Filtered filtered -> filtered(filtered, input(filtered));
          case Expr.Tested tested -> tested(tested);
          case Expr.Call call -> call(call, null);
          case Expr.Binary binary ->
              Operators.binary(
                  binary.operator(), value(binary.left()), value(binary.right()), meter());
          case Expr.And and -> {
            Object left = value(and.left());
            yield Types.truth(left) ? value(and.right()) : left;
          }
          case Expr.Or or -> {
            Object left = value(or.left());
            yield Types.truth(left) ? left : value(or.right());
          }
          case Expr.Not not -> !Types.truth(value(not.operand()));
          case Expr.Conditional conditional -> conditional(conditional);
          case Expr.Concat concat -> concat(concat);
          case Expr.Slice slice -> slice(slice);
          case Expr.Sign sign ->
              sign.negative()
                  ? Operators.negated(value(sign.operand()))
                  : Operators.positive(value(sign.operand()));
          case Expr.ListOf list -> values(list.items());
          case Expr.TupleOf tuple -> new Tuple(values(tuple.items()));
          case Expr.DictOf dict -> dict(dict);
        };
    meter().leave();
    return value;
  }

  private Meter meter() {
    return rendering.meter();
  }

  private Object named(String name) {
    Object value = rendering.scope().find(name);
    if (value == null) {
      value = Globals.TABLE.get(name);
    }
    return value == null ? Undefined.name(name) : value;
  }

  private List<Object> values(List<Expr> expressions) {
    List<Object> values = new ArrayList<>(expressions.size());
    for (int i = 0; i < expressions.size(); i++) {
      values.add(value(expressions.get(i)));
    }
    return values;
  }

  private Dict dict(Expr.DictOf node) {
    Dict dict = new Dict(node.keys().size());
    for (int i = 0; i < node.keys().size(); i++) {
      dict.put(value(node.keys().get(i)), value(node.values().get(i)));
    }
    return dict;
  }

  private boolean compare(Expr.Compare node) {
    Object left = value(node.first());
    for (int i = 0; i < node.others().size(); i++) {
      Object right = value(node.others().get(i));
      if (!Comparison.test(node.relations().get(i), left, right, meter())) {
        return false;
      }
      left = right;
    }
    return true;
  }

  private Object conditional(Expr.Conditional node) {
    if (Types.truth(value(node.condition()))) {
      return value(node.then());
    }
    return node.otherwise() == null
        ? new Undefined(
            "the inline if-expression evaluated to false and no else section was defined")
        : value(node.otherwise());
  }

  private String concat(Expr.Concat node) {
    StringBuilder text = new StringBuilder();
    for (Expr operand : node.operands()) {
      String part = Show.str(value(operand), meter());
      meter().fits((long) text.length() + part.length());
      meter().chars(part.length());
      text.append(part);
    }
    return text.toString();
  }

  private Object slice(Expr.Slice node) {
    return Members.slice(
        value(node.owner()), bound(node.from()), bound(node.to()), bound(node.step()), meter());
  }

  private Object bound(@Nullable Expr bound) {
    return bound == null ? None.NONE : value(bound);
  }

  private Object input(Expr.Filtered node) {
    if (node.input() == null) {
      throw new IllegalStateException("filter of a block evaluated without its body");
    }
    return value(node.input());
  }

  Object filtered(Expr.Filtered node, Object input) {
    return Filters.apply(node.filter(), rendering, input, arguments(node.arguments(), null));
  }

  private boolean tested(Expr.Tested node) {
    Object input = value(node.input());
    return Tests.apply(node.test(), rendering, input, arguments(node.arguments(), null));
  }

  /**
   * @param caller body of the call block that makes this call, null elsewhere
   */
  Object call(Expr.Call node, @Nullable Macro caller) {
    Object callee = value(node.callee());
    Args args = arguments(node.arguments(), caller);
    return switch (callee) {
      case Callable callable -> callable.call(rendering, args);
      case Undefined undefined -> throw undefined.failure();
      default ->
          throw TemplateException.runtime("'" + Types.name(callee) + "' object is not callable");
    };
  }

  private Args arguments(Expr.Arguments node, @Nullable Macro caller) {
    if (node.isEmpty() && caller == null) {
      return Args.NONE;
    }
    List<Object> positional = values(node.positional());
    Map<String, Object> named = new LinkedHashMap<>();
    for (int i = 0; i < node.names().size(); i++) {
      if (named.put(node.names().get(i), value(node.named().get(i))) != null) {
        throw TemplateException.runtime("keyword argument '" + node.names().get(i) + "' repeated");
      }
    }
    if (caller != null) {
      named.put("caller", caller);
    }
    if (node.spread() != null) {
      positional.addAll(Types.list(value(node.spread()), meter()));
    }
    if (node.spreadNamed() != null) {
      spread(value(node.spreadNamed()), named);
    }
    return new Args(positional, named);
  }

  private static void spread(Object value, Map<String, Object> named) {
    if (!(value instanceof Dict dict)) {
      throw TemplateException.runtime(
          "argument after ** must be a mapping, not " + Types.name(value));
    }
    for (Object item : dict.items()) {
      List<Object> pair = ((Tuple) item).items();
      if (!(pair.get(0) instanceof String name)) {
        throw TemplateException.runtime("keywords must be strings");
      }
      if (named.put(name, pair.get(1)) != null) {
        throw TemplateException.runtime("got multiple values for keyword argument '" + name + "'");
      }
    }
  }
}
