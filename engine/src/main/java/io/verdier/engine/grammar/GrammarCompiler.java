package io.verdier.engine.grammar;

import java.util.List;

/** Makes grammars of constraints. Stateless; what one costs is bounded by its {@link Budget}. */
public final class GrammarCompiler {
  private GrammarCompiler() {}

  /**
   * @throws GrammarException if the constraint is malformed, asks for what cannot be held, matches
   *     nothing, or costs more than the budget has; the message is for the client
   */
  public static Grammar compile(Constraint constraint, Budget budget) {
    return Grammar.of(rules(constraint, budget), budget);
  }

  /** Texts match the first. */
  private static List<Expression> rules(Constraint constraint, Budget budget) {
    return switch (constraint) {
      case Constraint.Regex regex ->
          List.of(RegexParser.parse(regex.pattern(), RegexParser.Extent.WHOLE));
      case Constraint.Choice choice -> Choices.rules(choice.options(), budget);
      case Constraint.JsonObject json ->
          JsonSchemaReader.rules("{\"type\": \"object\"}", json.style(), budget);
      case Constraint.JsonSchema json ->
          JsonSchemaReader.rules(json.schema(), json.style(), budget);
      case Constraint.Rules rules -> RulesReader.read(rules.text());
      case Constraint.StructuralTag tag ->
          StructuralTagReader.read(tag, inner -> rules(inner, budget));
    };
  }
}
