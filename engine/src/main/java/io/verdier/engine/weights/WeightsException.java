package io.verdier.engine.weights;

/**
 * A checkpoint cannot be used. The text goes to the operator as it stands: which file, what is
 * wrong, the value and the rule.
 */
public final class WeightsException extends RuntimeException {
  public WeightsException(String text) {
    super(text);
  }

  public WeightsException(String text, Throwable cause) {
    super(text, cause);
  }
}
