package io.verdier.engine.grammar;

import java.util.List;

/** Makes grammars of constraints. Stateless; what one costs is bounded by its {@link Budget}. */
public final class GrammarCompiler {
  /** Characters of a text. */
  private static final int LENGTH_MAX = 1 << 20;

  private GrammarCompiler() {}

  /**
   * @throws GrammarException if the constraint is malformed, asks for what cannot be held, matches
   *     nothing, or costs more than the budget has; the message is for the client
   */
  public static Grammar compile(Constraint constraint, Budget budget) {
    return Grammar.of(rules(constraint, budget), budget);
  }

  private static Constraint.StructuralTag checked(Constraint.StructuralTag tag) {
    return new Constraint.StructuralTag(checked(tag.tag()), tag.style(), tag.specials());
  }

  private static String checked(String text) {
    if (text.length() > LENGTH_MAX) {
      throw new GrammarException(
          "the constraint has %d characters; at most %d are read"
              .formatted(text.length(), LENGTH_MAX));
    }
    return text;
  }

  /** Texts match the first. */
  private static List<Expression> rules(Constraint constraint, Budget budget) {
    return switch (constraint) {
      case Constraint.Regex regex ->
          List.of(RegexParser.parse(checked(regex.pattern()), RegexParser.Extent.WHOLE, budget));
      case Constraint.Choice choice -> Choices.rules(choice.options(), budget);
      case Constraint.JsonObject json ->
          JsonSchemaReader.rules("{\"type\": \"object\"}", json.style(), budget);
      case Constraint.JsonSchema json ->
          JsonSchemaReader.rules(checked(json.schema()), json.style(), budget);
      case Constraint.Rules rules -> RulesReader.read(checked(rules.text()), budget);
      case Constraint.StructuralTag tag ->
          StructuralTagReader.read(checked(tag), inner -> rules(inner, budget), budget);
    };
  }
}
