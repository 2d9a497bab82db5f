package io.verdier.engine.model;

/**
 * A model cannot be served. The text goes to the operator as it stands: which key or flag, its
 * value, the rule, what to do.
 */
public final class ModelException extends RuntimeException {
  public ModelException(String text) {
    super(text);
  }

  public ModelException(String text, Throwable cause) {
    super(text, cause);
  }
}
