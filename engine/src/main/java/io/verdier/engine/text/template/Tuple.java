package io.verdier.engine.text.template;

import java.util.List;

/**
 * Python's tuple. Immutable.
 *
 * @param fields names of the items where they have some, as in the groups of {@code groupby}
 */
record Tuple(List<Object> items, List<String> fields) {
  Tuple(List<Object> items) {
    this(items, List.of());
  }

  static Tuple of(Object... items) {
    return new Tuple(List.of(items));
  }
}
