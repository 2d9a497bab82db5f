package io.verdier.verticles.bus;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.Optional;

/**
 * What an answer must match, and which field of the request says so. Immutable.
 *
 * @param parameter dotted path of the field, for refusals
 * @param thoughts how the model marks what it may think before; empty: nothing comes before
 */
public record Demand(Constraint constraint, String parameter, Optional<ReasoningFormat> thoughts) {

  /** Of the whole answer. */
  public Demand(Constraint constraint, String parameter) {
    this(constraint, parameter, Optional.empty());
  }

  /** The same behind what the model thinks. */
  public Demand behind(Optional<ReasoningFormat> marked) {
    return new Demand(constraint, parameter, marked);
  }
}
