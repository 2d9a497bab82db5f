package io.verdier.verticles.bus;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.List;
import java.util.Optional;

/**
 * What an answer must match, and which field of the request says so. Immutable.
 *
 * @param parameter dotted path of the field, for refusals
 * @param isTriggered whether text is free until a call begins: any other demand says more of it
 * @param thoughts how the model marks what it may think before; empty: nothing comes before
 */
public record Demand(
    Constraint constraint,
    String parameter,
    boolean isTriggered,
    Optional<ReasoningFormat> thoughts) {

  /** Of the whole answer. */
  public Demand(Constraint constraint, String parameter) {
    this(constraint, parameter, false, Optional.empty());
  }

  /** The same behind what the model thinks. */
  public Demand behind(Optional<ReasoningFormat> marked) {
    return new Demand(constraint, parameter, isTriggered, marked);
  }

  /** The same where these special tokens may stand for their spelling. */
  public Demand marked(List<String> specials) {
    Constraint marked =
        constraint instanceof Constraint.StructuralTag tag
            ? new Constraint.StructuralTag(tag.tag(), tag.style(), specials)
            : constraint;
    return new Demand(marked, parameter, isTriggered, thoughts);
  }
}
