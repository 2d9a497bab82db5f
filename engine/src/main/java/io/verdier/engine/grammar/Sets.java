package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What facts of two schemas are together, in the order in which they were written. Stateless. */
final class Sets {
  private Sets() {}

  static <T> Set<T> union(Set<T> first, Set<T> second) {
    if (first.isEmpty() || second.isEmpty()) {
      return first.isEmpty() ? second : first;
    }
    if (first.containsAll(second)) {
      return first;
    }
    Set<T> all = new LinkedHashSet<>(first);
    all.addAll(second);
    return all;
  }

  /** Null stands for everything. */
  static <T> @Nullable Set<T> intersection(@Nullable Set<T> first, @Nullable Set<T> second) {
    if (first == null || second == null) {
      return first == null ? second : first;
    }
    Set<T> common = new LinkedHashSet<>(first);
    common.retainAll(second);
    return common;
  }

  static <T> List<T> concat(List<T> first, List<T> second) {
    if (first.isEmpty() || second.isEmpty()) {
      return first.isEmpty() ? second : first;
    }
    List<T> all = new ArrayList<>(first);
    for (T one : second) {
      if (!all.contains(one)) {
        all.add(one);
      }
    }
    return all;
  }

  static <T> Set<T> orNone(@Nullable Set<T> set) {
    return set == null ? Set.of() : set;
  }
}
