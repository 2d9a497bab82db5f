package io.verdier.engine.grammar;

/**
 * A constraint that cannot be served: it is malformed, asks for what no automaton here can hold, or
 * is larger than its {@link Budget}. The message is for the user and names the place.
 */
public class GrammarException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public GrammarException(String message) {
    super(message);
  }
}
