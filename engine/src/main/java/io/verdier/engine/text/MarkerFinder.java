package io.verdier.engine.text;

import java.util.List;
import java.util.function.Consumer;

/**
 * Finds markers in a text that comes one character at a time, and keeps back what may become one.
 * Owned by its parser. No marker is the beginning of another; a character costs at most the length
 * of the longest one.
 */
public final class MarkerFinder {
  /** No marker ends with this character. */
  public static final int NONE = -1;

  private final List<String> markers;
  private final StringBuilder held = new StringBuilder();

  public MarkerFinder(List<String> markers) {
    this.markers = List.copyOf(markers);
  }

  /**
   * @param rest hears the text that belongs to no marker
   * @return the index of the marker that this character completes, or {@link #NONE}
   */
  public int accept(char c, Consumer<CharSequence> rest) {
    held.append(c);
    int drop = 0;
    while (drop < held.length()) {
      int found = find(drop);
      if (found != NONE) {
        release(drop, rest);
        boolean whole = markers.get(found).length() == held.length();
        if (whole) {
          held.setLength(0);
        }
        return whole ? found : NONE;
      }
      drop++;
    }
    release(drop, rest);
    return NONE;
  }

  /** The marker with that index. */
  public String marker(int index) {
    return markers.get(index);
  }

  /** Whether the beginning of a marker is kept back. */
  public boolean isHolding() {
    return !held.isEmpty();
  }

  /** What was kept back is no marker. */
  public void finish(Consumer<CharSequence> rest) {
    release(held.length(), rest);
  }

  private void release(int count, Consumer<CharSequence> rest) {
    if (count > 0) {
      rest.accept(held.substring(0, count));
      held.delete(0, count);
    }
  }

  /** A marker that what is held from {@code start} on begins, or {@link #NONE}. */
  private int find(int start) {
    int length = held.length() - start;
    for (int i = 0; i < markers.size(); i++) {
      String marker = markers.get(i);
      if (marker.length() >= length
          && marker.charAt(length - 1) == held.charAt(held.length() - 1)) {
        int same = 0;
        while (same < length && marker.charAt(same) == held.charAt(start + same)) {
          same++;
        }
        if (same == length) {
          return i;
        }
      }
    }
    return NONE;
  }
}
