package io.verdier.engine.lora;

import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression of an adapter's configuration, matched against a module's path. Immutable.
 *
 * <p>Adapters may come from anybody, and Java's expressions backtrack: {@code (a+)+} takes
 * exponential time. So every look at a character is counted, and too many are an error. Paths have
 * some 40 characters, honest expressions look at each a few times.
 */
final class ModulePattern {
  private static final int PATTERN_CHARS_MAX = 10_000;
  private static final int LOOKS_MAX = 100_000;

  private final String key;
  private final Pattern pattern;

  private ModulePattern(String key, String expression) {
    this.key = key;
    if (key.length() > PATTERN_CHARS_MAX) {
      throw new AdapterException(
          "%s: an expression has %d characters; %d are possible."
              .formatted(AdapterConfig.FILE, key.length(), PATTERN_CHARS_MAX));
    }
    try {
      this.pattern = Pattern.compile(expression);
    } catch (PatternSyntaxException | StackOverflowError malformed) {
      throw new AdapterException(
          AdapterConfig.FILE + ": '" + key + "' is no regular expression.", malformed);
    }
  }

  /** A key of {@code rank_pattern}: the whole path, or its last components. */
  static ModulePattern ofSuffix(String key) {
    return new ModulePattern(key, "(.*\\.)?(" + key + ")");
  }

  boolean matches(String path) {
    try {
      return pattern.matcher(new Counted(path)).matches();
    } catch (TooManyLooks | StackOverflowError tooMuch) {
      throw new AdapterException(
          AdapterConfig.FILE + ": '" + key + "' takes too long to be matched.");
    }
  }

  private static final class TooManyLooks extends RuntimeException {
    TooManyLooks() {
      super(null, null, false, false);
    }
  }

  /** A text that can be looked at only so often. */
  private static final class Counted implements CharSequence {
    private final String text;
    private int looks;

    Counted(String text) {
      this.text = text;
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public char charAt(int index) {
      if (++looks > LOOKS_MAX) {
        throw new TooManyLooks();
      }
      return text.charAt(index);
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return text.substring(start, end);
    }

    @Override
    public String toString() {
      return text;
    }
  }
}
