package io.verdier.verticles.bus;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.List;
import java.util.Optional;

/**
 * What an answer must match, and which field of the request says so. Immutable.
 *
 * @param parameter dotted path of the field, for refusals
 * @param triggers where text is free until one of these occurs; else empty. Where a vocabulary has
 *     one as a special token, which no text has, nothing is held
 * @param thoughts how the model marks what it may think before; empty: nothing comes before
 */
public record Demand(
    Constraint constraint,
    String parameter,
    List<String> triggers,
    Optional<ReasoningFormat> thoughts) {
  public Demand {
    triggers = List.copyOf(triggers);
  }

  /** Of the whole answer. */
  public Demand(Constraint constraint, String parameter) {
    this(constraint, parameter, List.of(), Optional.empty());
  }

  /** Whether it says nothing of most of the text: any other demand says more. */
  public boolean isTriggered() {
    return !triggers.isEmpty();
  }

  /** The same behind what the model thinks. */
  public Demand behind(Optional<ReasoningFormat> marked) {
    return new Demand(constraint, parameter, triggers, marked);
  }
}
