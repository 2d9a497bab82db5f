package io.verdier.engine.text.template;

/**
 * What one rendering may cost. Immutable. Work is counted, not timed, so that the same request is
 * refused or served alike on a fast and on a busy machine.
 *
 * @param stepsMax evaluation steps: one per statement, expression and visited item, one per 64
 *     characters copied
 * @param charsMax UTF-16 characters of the result and of any one intermediate string
 */
public record RenderLimits(long stepsMax, int charsMax) {
  public RenderLimits {
    if (stepsMax < 1 || charsMax < 1) {
      throw new IllegalArgumentException(
          "limits must be positive: stepsMax " + stepsMax + ", charsMax " + charsMax);
    }
  }
}
