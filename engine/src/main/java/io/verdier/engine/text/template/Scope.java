package io.verdier.engine.text.template;

import java.util.HashMap;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the rendering thread. Names visible at one place, innermost first. A loop body, a macro,
 * a {@code with} and a block each open one, and what is set inside is gone after it; {@code if}
 * opens none.
 */
final class Scope {
  private final @Nullable Scope outer;
  private @Nullable HashMap<String, Object> names;

  Scope(@Nullable Scope outer) {
    this.outer = outer;
  }

  @Nullable Object find(String name) {
    for (Scope scope = this; scope != null; scope = scope.outer) {
      if (scope.names != null) {
        Object value = scope.names.get(name);
        if (value != null) {
          return value;
        }
      }
    }
    return null;
  }

  void set(String name, Object value) {
    if (names == null) {
      names = new HashMap<>();
    }
    names.put(name, value);
  }

  /** Empties it for the next pass of a loop. */
  void clear() {
    if (names != null) {
      names.clear();
    }
  }
}
