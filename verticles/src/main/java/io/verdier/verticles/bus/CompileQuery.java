package io.verdier.verticles.bus;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Guide;

/**
 * Asks for a constraint to be compiled; answered with a {@link Reply}, or a {@link Refused} whose
 * text is for the client. Immutable.
 */
public record CompileQuery(Constraint constraint) {

  /** The constraint over the model's vocabulary. */
  public record Reply(Guide guide) {}
}
