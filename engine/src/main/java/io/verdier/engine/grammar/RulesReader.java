package io.verdier.engine.grammar;

import java.util.List;
import java.util.regex.Pattern;

/** Reads the text of a grammar, in whichever notation it is. Stateless. */
final class RulesReader {
  private static final Pattern GBNF_RULE =
      Pattern.compile("^[ \\t]*+[A-Za-z0-9_.-]++\\s*+::=", Pattern.MULTILINE);

  private RulesReader() {}

  /**
   * The rules of a text; what matches the first is its language. As in vLLM a text is GBNF where a
   * rule has {@code ::=}, and else it is Lark's.
   *
   * @throws GrammarException if it is malformed or too large; the message has line and column
   */
  static List<Expression> read(String grammar, Budget budget) {
    RuleText text = new RuleText(grammar, budget);
    NamedRules rules = new NamedRules(text);
    if (GBNF_RULE.matcher(grammar).find()) {
      new GbnfReader(text, rules).read();
    } else {
      new LarkReader(text, rules).read();
    }
    return Inliner.inlined(LeftRecursion.eliminated(rules.rules(), rules::name, budget));
  }
}
