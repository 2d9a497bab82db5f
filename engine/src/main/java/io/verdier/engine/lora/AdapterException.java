package io.verdier.engine.lora;

/**
 * An adapter cannot be used. The text goes to whoever named it as it stands: which file, what is
 * wrong, the value and the rule, in one line and without a path.
 */
public final class AdapterException extends RuntimeException {
  public AdapterException(String text) {
    super(text);
  }

  public AdapterException(String text, Throwable cause) {
    super(text, cause);
  }
}
