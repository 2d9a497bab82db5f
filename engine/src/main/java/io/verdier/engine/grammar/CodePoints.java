package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * A set of Unicode code points. Immutable.
 *
 * <p>Surrogates (U+D800 to U+DFFF) are in no set: they are halves of UTF-16's pairs, no text that
 * UTF-8 can hold has one.
 */
public final class CodePoints {
  static final int LAST = Character.MAX_CODE_POINT;

  /** The empty set. */
  public static final CodePoints NONE = new CodePoints(new int[0]);

  /** Every code point. */
  public static final CodePoints ALL = range(0, LAST);

  private final int[] bounds; // first and last of each range, ascending, with gaps between them

  private CodePoints(int[] bounds) {
    this.bounds = bounds;
  }

  /** One code point. */
  public static CodePoints of(int codePoint) {
    return range(codePoint, codePoint);
  }

  /** The code points of a text, each once. */
  public static CodePoints of(String text) {
    return union(text.codePoints().mapToObj(CodePoints::of).toList());
  }

  /**
   * @param first below or equal to {@code last}, both included
   */
  public static CodePoints range(int first, int last) {
    if (first < 0 || last > LAST || first > last) {
      throw new IllegalArgumentException("code points %x to %x".formatted(first, last));
    }
    return normal(List.of(new int[] {first, last}));
  }

  /** Those that a property holds for. */
  static CodePoints matching(IntPredicate property) {
    List<int[]> ranges = new ArrayList<>();
    int from = -1;
    for (int c = 0; c <= LAST + 1; c++) {
      boolean matches = c <= LAST && property.test(c);
      if (matches && from < 0) {
        from = c;
      } else if (!matches && from >= 0) {
        ranges.add(new int[] {from, c - 1});
        from = -1;
      }
    }
    return normal(ranges);
  }

  /** Those that are in any of the sets. */
  public static CodePoints union(List<CodePoints> sets) {
    List<int[]> ranges = new ArrayList<>();
    for (CodePoints set : sets) {
      for (int i = 0; i < set.ranges(); i++) {
        ranges.add(new int[] {set.first(i), set.last(i)});
      }
    }
    return normal(ranges);
  }

  public CodePoints or(CodePoints other) {
    return union(List.of(this, other));
  }

  public CodePoints not() {
    List<int[]> gaps = new ArrayList<>();
    int next = 0;
    for (int i = 0; i < ranges(); i++) {
      if (first(i) > next) {
        gaps.add(new int[] {next, first(i) - 1});
      }
      next = last(i) + 1;
    }
    if (next <= LAST) {
      gaps.add(new int[] {next, LAST});
    }
    return normal(gaps);
  }

  public CodePoints and(CodePoints other) {
    return not().or(other.not()).not();
  }

  public CodePoints without(CodePoints other) {
    return and(other.not());
  }

  private static CodePoints normal(List<int[]> ranges) {
    List<int[]> sorted = new ArrayList<>();
    for (int[] range : ranges) {
      if (range[0] < Character.MIN_SURROGATE) {
        int last = Math.min(range[1], Character.MIN_SURROGATE - 1);
        sorted.add(new int[] {range[0], last});
      }
      if (range[1] > Character.MAX_SURROGATE) {
        int first = Math.max(range[0], Character.MAX_SURROGATE + 1);
        sorted.add(new int[] {first, range[1]});
      }
    }
    sorted.sort((a, b) -> Integer.compare(a[0], b[0]));
    int[] bounds = new int[2 * sorted.size()];
    int size = 0;
    for (int[] range : sorted) {
      if (size > 0 && range[0] <= bounds[size - 1] + 1) {
        bounds[size - 1] = Math.max(bounds[size - 1], range[1]);
      } else {
        bounds[size++] = range[0];
        bounds[size++] = range[1];
      }
    }
    return new CodePoints(Arrays.copyOf(bounds, size));
  }

  public boolean isEmpty() {
    return bounds.length == 0;
  }

  boolean isSingle() {
    return bounds.length == 2 && bounds[0] == bounds[1];
  }

  public boolean contains(int codePoint) {
    int at = Arrays.binarySearch(bounds, codePoint);
    return at >= 0 || (-at - 1) % 2 == 1;
  }

  int ranges() {
    return bounds.length / 2;
  }

  int first(int range) {
    return bounds[2 * range];
  }

  int last(int range) {
    return bounds[2 * range + 1];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CodePoints set && Arrays.equals(bounds, set.bounds);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bounds);
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder("[");
    for (int i = 0; i < ranges(); i++) {
      text.append("%s%x-%x".formatted(i == 0 ? "" : " ", first(i), last(i)));
    }
    return text.append(']').toString();
  }
}
