package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A macro, or the body of a {@code call} block, with the scope it was written in. Immutable. Not a
 * record: as a key or in a comparison it is itself, not its syntax tree.
 */
final class Macro implements Callable {
  private final Node.Signature signature;
  private final List<Node> body;
  private final Scope scope;

  /**
   * @param scope names that its body sees besides its own
   */
  Macro(Node.Signature signature, List<Node> body, Scope scope) {
    this.signature = signature;
    this.body = body;
    this.scope = scope;
  }

  @Override
  public Object call(Rendering rendering, Args args) {
    Scope inner = new Scope(scope);
    Map<String, Object> named = new LinkedHashMap<>(args.named());
    bind(rendering, inner, args.positional(), named);
    if (signature.usesCaller() && !signature.parameters().contains("caller")) {
      Object caller = named.remove("caller");
      inner.set("caller", caller == null ? new Undefined("no caller defined") : caller);
    }
    if (signature.usesKwargs()) {
      Dict rest = new Dict(named.size());
      named.forEach(rest::put);
      inner.set("kwargs", rest);
    } else if (!named.isEmpty()) {
      throw fault("takes no keyword argument '" + named.keySet().iterator().next() + "'");
    }
    return rendering.body(body, inner);
  }

  private void bind(
      Rendering rendering, Scope inner, List<Object> positional, Map<String, Object> named) {
    List<String> parameters = signature.parameters();
    int required = parameters.size() - signature.defaults().size();
    List<Integer> missing = new ArrayList<>();
    for (int i = 0; i < parameters.size(); i++) {
      String name = parameters.get(i);
      Object value = i < positional.size() ? positional.get(i) : named.remove(name);
      // set even if not given: a default that names its own parameter must not see one outside
      inner.set(
          name, value == null ? new Undefined("parameter '" + name + "' was not provided") : value);
      if (value == null && i >= required) {
        missing.add(i);
      }
    }
    for (int i : missing) {
      Expr fallback = signature.defaults().get(i - required);
      inner.set(parameters.get(i), rendering.evaluate(fallback, inner));
    }
    int extra = positional.size() - parameters.size();
    if (signature.usesVarargs()) {
      List<Object> rest =
          extra > 0 ? positional.subList(parameters.size(), positional.size()) : List.of();
      inner.set("varargs", new Tuple(rest));
    } else if (extra > 0) {
      throw fault("takes not more than " + parameters.size() + " argument(s)");
    }
  }

  private TemplateException fault(String what) {
    return TemplateException.runtime("macro '" + signature.name() + "' " + what);
  }

  @Nullable Object attribute(String name) {
    return name.equals("name") ? signature.name() : null;
  }

  @Override
  public String shown() {
    return "<Macro '" + signature.name() + "'>";
  }
}
