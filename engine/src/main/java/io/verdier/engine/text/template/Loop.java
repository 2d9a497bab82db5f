package io.verdier.engine.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Owned by the rendering thread. The variable {@code loop}: where a {@code for} stands. */
final class Loop implements Callable {
  private final Node.For node;
  private final Scope scope;
  private final List<Object> items;
  private final int depth0;
  private int index0 = -1;
  private @Nullable Object lastChanged;

  /**
   * @param scope around the loop, for calling it recursively
   * @param depth0 recursive calls around this one
   */
  Loop(Node.For node, Scope scope, List<Object> items, int depth0) {
    this.node = node;
    this.scope = scope;
    this.items = items;
    this.depth0 = depth0;
  }

  /** Moves on; gives the next item, null after the last. */
  @Nullable Object advance() {
    return ++index0 < items.size() ? items.get(index0) : null;
  }

  int length() {
    return items.size();
  }

  @Nullable Object attribute(String name) {
    return switch (name) {
      case "index" -> index0 + 1L;
      case "index0" -> (long) index0;
      case "revindex" -> (long) items.size() - index0;
      case "revindex0" -> items.size() - index0 - 1L;
      case "first" -> index0 == 0;
      case "last" -> index0 == items.size() - 1;
      case "length" -> (long) items.size();
      case "depth" -> depth0 + 1L;
      case "depth0" -> (long) depth0;
      case "previtem" ->
          index0 > 0 ? items.get(index0 - 1) : new Undefined("there is no previous item");
      case "nextitem" ->
          index0 + 1 < items.size()
              ? items.get(index0 + 1)
              : new Undefined("there is no next item");
      case "cycle" -> (Callable) (rendering, args) -> cycle(args);
      case "changed" -> (Callable) (rendering, args) -> changed(rendering, args);
      default -> null;
    };
  }

  private Object cycle(Args args) {
    if (args.positional().isEmpty()) {
      throw TemplateException.runtime("no items for cycling given");
    }
    return args.positional().get(index0 % args.positional().size());
  }

  private Object changed(Rendering rendering, Args args) {
    Object now = new Tuple(args.positional());
    boolean changed =
        lastChanged == null || !Comparison.equal(lastChanged, now, rendering.meter(), 0);
    lastChanged = now;
    return changed;
  }

  /** {@code loop(items)}: the loop's body over other items, as text. */
  @Override
  public Object call(Rendering rendering, Args args) {
    if (!node.recursive()) {
      throw TemplateException.runtime("only a loop marked 'recursive' can be called");
    }
    Object inner = args.bind("loop", "items").required(0);
    return rendering.recursion(node, scope, inner, depth0 + 1);
  }

  @Override
  public String shown() {
    return "<LoopContext " + (index0 + 1) + "/" + items.size() + ">";
  }
}
