package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Which code points differ in case only, by Unicode's simple mappings. Immutable. */
final class CaseFolding {
  /** Groups of code points, two or more in each. */
  private static final List<int[]> GROUPS = groups();

  private CaseFolding() {}

  /** As java.util.regex compares: by the lower case of the upper case. */
  private static int folded(int codePoint) {
    return Character.toLowerCase(Character.toUpperCase(codePoint));
  }

  private static List<int[]> groups() {
    Map<Integer, List<Integer>> byFolded = new TreeMap<>();
    for (int c = 0; c <= CodePoints.LAST; c++) {
      int folded = folded(c);
      if (folded != c) {
        byFolded.computeIfAbsent(folded, f -> new ArrayList<>(List.of(f))).add(c);
      }
    }
    return byFolded.values().stream()
        .map(group -> group.stream().mapToInt(Integer::intValue).toArray())
        .toList();
  }

  /** The set, and all that differs from its members in case only. */
  static CodePoints closed(CodePoints set, Budget budget) {
    budget.work(GROUPS.size());
    List<CodePoints> all = new ArrayList<>(List.of(set));
    for (int[] group : GROUPS) {
      boolean isMember = false;
      for (int c : group) {
        isMember |= set.contains(c);
      }
      if (isMember) {
        for (int c : group) {
          all.add(CodePoints.of(c));
        }
      }
    }
    return all.size() == 1 ? set : CodePoints.union(all);
  }
}
