package io.verdier.engine.text.template;

import io.verdier.engine.text.template.Node.Target;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Owned by the rendering thread. Runs the statements of one template once. */
final class Rendering {
  private enum Flow {
    ON,
    BREAK,
    CONTINUE
  }

  private final Meter meter;
  private final Clock clock;
  private final Evaluator evaluator = new Evaluator(this);
  private Scope scope = new Scope(null);
  private StringBuilder out = new StringBuilder();
  private int line = 1;

  Rendering(RenderLimits limits, Clock clock) {
    this.meter = new Meter(limits);
    this.clock = clock;
  }

  String render(List<Node> nodes, Map<String, ?> variables) {
    try {
      variables.forEach((name, value) -> scope.set(name, Types.fromJava(value, 0)));
      scope = new Scope(scope);
      run(nodes);
      return out.toString();
    } catch (TemplateException e) {
      throw e.at(line);
    }
  }

  Meter meter() {
    return meter;
  }

  Clock clock() {
    return clock;
  }

  Scope scope() {
    return scope;
  }

  Object evaluate(Expr expression, Scope in) {
    Scope outer = scope;
    scope = in;
    meter.enter();
    Object value = evaluator.value(expression);
    meter.leave();
    scope = outer;
    return value;
  }

  /** What the nodes print, seen from {@code in}; their output goes nowhere else. */
  String body(List<Node> nodes, Scope in) {
    Scope outerScope = scope;
    StringBuilder outerOut = out;
    int outerLine = line;
    scope = in;
    out = new StringBuilder();
    meter.enter();
    run(nodes);
    meter.leave();
    String text = out.toString();
    scope = outerScope;
    out = outerOut;
    line = outerLine;
    return text;
  }

  /** A recursive loop called over the items of its own item. */
  String recursion(Node.For node, Scope around, Object items, int depth0) {
    Scope outerScope = scope;
    StringBuilder outerOut = out;
    scope = around;
    out = new StringBuilder();
    meter.enter();
    loop(node, items, depth0);
    meter.leave();
    String text = out.toString();
    scope = outerScope;
    out = outerOut;
    return text;
  }

  private Flow run(List<Node> nodes) {
    meter.enter();
    for (int i = 0; i < nodes.size(); i++) {
      Flow flow = run(nodes.get(i));
      if (flow != Flow.ON) {
        meter.leave();
        return flow;
      }
    }
    meter.leave();
    return Flow.ON;
  }

  private Flow run(Node node) {
    meter.step();
    line = node.line();
    switch (node) {
      case Node.Text text -> print(text.text());
      case Node.Output output -> print(Show.str(evaluator.value(output.value()), meter));
      case Node.If branches -> {
        return branch(branches);
      }
      case Node.For loop -> {
        return loop(loop, evaluator.value(loop.items()), 0);
      }
      case Node.Set set -> assign(set.target(), evaluator.value(set.value()));
      case Node.SetBlock set ->
          assign(set.target(), filtered(body(set.body(), new Scope(scope)), set.filters()));
      case Node.With with -> {
        return with(with);
      }
      case Node.MacroDefinition macro ->
          scope.set(macro.signature().name(), new Macro(macro.signature(), macro.body(), scope));
      case Node.CallBlock call -> {
        Macro caller = new Macro(call.caller(), call.body(), scope);
        print(Show.str(evaluator.call(call.call(), caller), meter));
      }
      case Node.FilterBlock block ->
          print(Show.str(filtered(body(block.body(), new Scope(scope)), block.filters()), meter));
      case Node.Scoped scoped -> print(body(scoped.body(), new Scope(scope)));
      case Node.Break ignored -> {
        return Flow.BREAK;
      }
      case Node.Continue ignored -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.ON;
  }

  private void print(String text) {
    meter.fits((long) out.length() + text.length());
    meter.chars(text.length());
    out.append(text);
  }

  private Object filtered(Object input, List<Expr.Filtered> filters) {
    Object value = input;
    for (Expr.Filtered filter : filters) {
      value = evaluator.filtered(filter, value);
    }
    return value;
  }

  private Flow branch(Node.If node) {
    for (int i = 0; i < node.conditions().size(); i++) {
      if (Types.truth(evaluator.value(node.conditions().get(i)))) {
        return run(node.bodies().get(i));
      }
    }
    return run(node.otherwise());
  }

  private Flow with(Node.With node) {
    List<Object> values = new ArrayList<>();
    for (Expr value : node.values()) {
      values.add(evaluator.value(value)); // all see the scope outside
    }
    Scope outer = scope;
    scope = new Scope(outer);
    for (int i = 0; i < values.size(); i++) {
      assign(node.targets().get(i), values.get(i));
    }
    Flow flow = run(node.body());
    scope = outer;
    return flow;
  }

  private Flow loop(Node.For node, Object iterable, int depth0) {
    Scope outer = scope;
    List<Object> items = wanted(node, Types.list(iterable, meter));
    Loop loop = new Loop(node, outer, items, depth0);
    Scope inner = new Scope(outer);
    scope = inner;
    for (Object item = loop.advance(); item != null; item = loop.advance()) {
      inner.clear();
      inner.set("loop", loop);
      assign(node.target(), item);
      if (run(node.body()) == Flow.BREAK) {
        break;
      }
    }
    scope = outer;
    if (!items.isEmpty() || node.otherwise().isEmpty()) {
      return Flow.ON;
    }
    scope = new Scope(outer);
    Flow flow = run(node.otherwise());
    scope = outer;
    return flow;
  }

  /** The items that the loop's own {@code if} lets through. */
  private List<Object> wanted(Node.For node, List<Object> items) {
    if (node.filter() == null) {
      return items;
    }
    Scope outer = scope;
    scope = new Scope(outer);
    List<Object> wanted = new ArrayList<>();
    for (Object item : items) {
      scope.clear();
      assign(node.target(), item);
      if (Types.truth(evaluator.value(node.filter()))) {
        wanted.add(item);
      }
    }
    scope = outer;
    return wanted;
  }

  private void assign(Target target, Object value) {
    switch (target) {
      case Target.Variable variable -> scope.set(variable.name(), value);
      case Target.Member member -> {
        if (!(scope.find(member.namespace()) instanceof Namespace namespace)) {
          throw TemplateException.runtime("cannot assign attribute on non-namespace object");
        }
        namespace.attributes.put(member.attribute(), value);
      }
      case Target.Unpack unpack -> {
        List<Object> values = Types.list(value, meter);
        int expected = unpack.targets().size();
        if (values.size() != expected) {
          throw TemplateException.runtime(
              (values.size() < expected ? "not enough" : "too many")
                  + " values to unpack (expected "
                  + expected
                  + ", got "
                  + values.size()
                  + ")");
        }
        for (int i = 0; i < expected; i++) {
          assign(unpack.targets().get(i), values.get(i));
        }
      }
    }
  }
}
