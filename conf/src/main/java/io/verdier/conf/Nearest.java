package io.verdier.conf;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/** Finds the name that somebody meant. No state. */
public final class Nearest {
  private Nearest() {}

  /**
   * The name nearest to what was written, if any is near enough to be a slip: a third of the
   * letters, or a name that the text abbreviates, as argparse would accept it.
   */
  static Optional<String> to(String written, Collection<String> names) {
    Optional<String> longer =
        written.length() < 5
            ? Optional.empty()
            : names.stream()
                .filter(name -> name.startsWith(written))
                .min(Comparator.comparingInt(String::length).thenComparing(name -> name));
    int most = Math.max(1, bare(written).length() / 3);
    Optional<String> slip =
        names.stream()
            .filter(name -> distance(written, name) <= most)
            .min(
                Comparator.comparingInt((String name) -> distance(written, name))
                    .thenComparing(name -> name));
    boolean slight = slip.isPresent() && distance(written, slip.get()) <= 2;
    return slight ? slip : longer.or(() -> slip);
  }

  private static String bare(String name) {
    return name.startsWith("--") ? name.substring(2) : name;
  }

  /** "; did you mean X?" or nothing. */
  public static String hint(String written, Collection<String> names) {
    return to(written, names).map(name -> "; did you mean " + name + "?").orElse("");
  }

  /**
   * Edits that turn one text into the other: insert, delete or replace a letter, or swap two
   * neighbours (Damerau 1964, the restricted form).
   */
  static int distance(String one, String other) {
    int[] before = new int[other.length() + 1];
    int[] above = new int[other.length() + 1];
    for (int j = 0; j <= other.length(); j++) {
      above[j] = j;
    }
    for (int i = 1; i <= one.length(); i++) {
      int[] row = new int[other.length() + 1];
      row[0] = i;
      for (int j = 1; j <= other.length(); j++) {
        boolean same = one.charAt(i - 1) == other.charAt(j - 1);
        int edit = Math.min(above[j], row[j - 1]) + 1;
        row[j] = Math.min(edit, above[j - 1] + (same ? 0 : 1));
        boolean swapped =
            i > 1
                && j > 1
                && one.charAt(i - 1) == other.charAt(j - 2)
                && one.charAt(i - 2) == other.charAt(j - 1);
        if (swapped) {
          row[j] = Math.min(row[j], before[j - 2] + 1);
        }
      }
      before = above;
      above = row;
    }
    return above[other.length()];
  }
}
