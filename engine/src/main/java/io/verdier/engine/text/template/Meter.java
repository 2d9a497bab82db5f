package io.verdier.engine.text.template;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;

/**
 * Owned by the rendering thread. What one rendering has used of its {@link RenderLimits}, and how
 * deep it stands.
 *
 * <p>Every operation whose cost grows with its data pays here before it does the work, so a hostile
 * template is stopped by the sum and not by the heap.
 */
final class Meter {
  /**
   * Nested evaluations. Each takes up to four Java frames; this many fit in half of the usual 1 MiB
   * stack even when interpreted (tested), and real templates stay below 40.
   */
  static final int DEPTH_MAX = 400;

  /** Nesting of a value that is printed, compared, hashed or written as JSON. */
  static final int VALUE_DEPTH_MAX = 200;

  private static final int CHARS_PER_STEP = 64;

  private final RenderLimits limits;
  private long stepsLeft;
  private int depth;

  Meter(RenderLimits limits) {
    this.limits = limits;
    this.stepsLeft = limits.stepsMax();
  }

  void step() {
    if (--stepsLeft < 0) {
      throw tooManySteps();
    }
  }

  void steps(long count) {
    stepsLeft -= count;
    if (stepsLeft < 0) {
      throw tooManySteps();
    }
  }

  /** Pays for a string of this many characters, about to be made or copied. */
  void chars(long count) {
    fits(count);
    steps(count / CHARS_PER_STEP);
  }

  /** Checks the length that a growing text has reached, whose parts are paid for elsewhere. */
  void fits(long count) {
    if (count > limits.charsMax()) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "the chat template wants a text of "
              + count
              + " characters; the limit (templateCharsMax) is "
              + limits.charsMax()
              + ". Send fewer or shorter messages.");
    }
  }

  void enter() {
    step();
    if (++depth > DEPTH_MAX) {
      throw TemplateException.runtime(
          "nested deeper than " + DEPTH_MAX + " evaluations (a macro that calls itself?)");
    }
  }

  void leave() {
    depth--;
  }

  /** One more level of a value that is walked; {@code depth} counts from 0. */
  void visit(int valueDepth) {
    step();
    if (valueDepth > VALUE_DEPTH_MAX) {
      throw TemplateException.runtime("a value is nested deeper than " + VALUE_DEPTH_MAX);
    }
  }

  private RejectedException tooManySteps() {
    stepsLeft = 0;
    return new RejectedException(
        ErrorCode.INVALID_ARGUMENT,
        "the chat template used up its "
            + limits.stepsMax()
            + " evaluation steps (templateSteps). Send fewer or shorter messages.");
  }
}
