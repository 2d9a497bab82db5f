package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Reads GBNF, the notation of llama.cpp's grammars and, with few differences, of XGrammar's EBNF:
 * {@code name ::= ...} with literals, classes, groups and repetitions; the whole text is what
 * {@code root} matches. Owned by its caller, used once.
 *
 * <p>A rule goes on until the next begins, whatever its lines. What speaks of tokens instead of
 * text ({@code <think>}, {@code Token(1)}), and what dispatches by tags, is refused by name.
 */
final class GbnfReader {
  private static final int DEPTH_MAX = 200;
  private static final String NAME_MARKS = "_-.";
  private static final Set<String> MACROS =
      Set.of("TagDispatch", "TokenTagDispatch", "Token", "ExcludeToken");

  private final RuleText text;
  private final NamedRules rules;
  private int depth;

  GbnfReader(RuleText text, NamedRules rules) {
    this.text = text;
    this.rules = rules;
  }

  void read() {
    skipSpace();
    while (!text.isAtEnd()) {
      int position = text.position();
      String name = text.word(NAME_MARKS);
      if (name.isEmpty()) {
        throw text.error("expected the name of a rule");
      }
      skipSpace();
      text.expect("::=", "behind the rule's name " + name);
      rules.define(name, position, alternatives());
      skipSpace();
    }
    if (!rules.isDefined("root")) {
      throw new GrammarException("the grammar has no rule root, where it would start");
    }
    rules.defineStart(rules.use("root", 0));
  }

  private void skipSpace() {
    text.skipSpace("#");
  }

  private Expression alternatives() {
    List<Expression> options = new ArrayList<>();
    do {
      options.add(sequence());
    } while (text.accept("|"));
    return options.size() == 1 ? options.getFirst() : new Choice(options);
  }

  private Expression sequence() {
    List<Expression> parts = new ArrayList<>();
    skipSpace();
    while (!text.isAtEnd() && text.peek() != '|' && text.peek() != ')' && !isRuleNext()) {
      parts.add(term());
      skipSpace();
    }
    if (depth == 0 && text.peek() == ')') {
      throw text.error("unmatched )");
    }
    return parts.size() == 1 ? parts.getFirst() : new Sequence(parts);
  }

  private boolean isRuleNext() {
    int position = text.position();
    boolean isNamed = !text.word(NAME_MARKS).isEmpty();
    if (isNamed) {
      skipSpace();
    }
    boolean is = isNamed && text.isNext("::=");
    text.goTo(position);
    return is;
  }

  private Expression term() {
    Expression term = repeated(atom());
    skipSpace();
    int next = text.peek();
    if (term instanceof Repeat && (next == '*' || next == '+' || next == '?' || next == '{')) {
      throw text.error("a repetition of a repetition needs a group");
    }
    return term;
  }

  private Expression atom() {
    int position = text.position();
    switch (text.peek()) {
      case '"', '\'' -> {
        return Expression.text(text.quoted());
      }
      case '[' -> {
        return new Chars(text.bracketed());
      }
      case '.' -> {
        text.accept(".");
        return new Chars(CodePoints.ALL);
      }
      case '(' -> {
        return group(position);
      }
      case '<', '!' ->
          throw text.error("tokens in <> are not supported; write their text as a literal");
      default -> {}
    }
    String name = text.word(NAME_MARKS);
    if (name.isEmpty()) {
      throw text.error("expected a literal, a class, a group or a rule's name");
    }
    if (MACROS.contains(name) && text.peek() == '(') {
      throw text.errorAt(position, name + " is not supported; use a structural tag");
    }
    return rules.use(name, position);
  }

  private Expression group(int position) {
    text.accept("(");
    if (text.isNext("=")) {
      throw text.error("looking ahead is not supported");
    }
    if (++depth > DEPTH_MAX) {
      throw text.error("groups are nested more than " + DEPTH_MAX + " deep");
    }
    Expression all = alternatives();
    depth--;
    if (!text.accept(")")) {
      throw text.errorAt(position, "( is not closed");
    }
    return all;
  }

  private Expression repeated(Expression part) {
    skipSpace();
    if (text.accept("*")) {
      return new Repeat(part, 0, Repeat.UNBOUNDED);
    }
    if (text.accept("+")) {
      return new Repeat(part, 1, Repeat.UNBOUNDED);
    }
    if (text.accept("?")) {
      return new Repeat(part, 0, 1);
    }
    return text.peek() == '{' ? counted(text, part) : part;
  }

  /** From the brace: {@code {m}}, {@code {m,}}, {@code {,n}} or {@code {m,n}}. */
  static Repeat counted(RuleText text, Expression part) {
    int position = text.position();
    text.accept("{");
    text.skipSpace();
    int min = text.isNext(",") ? 0 : text.number("of repetitions");
    int max = min;
    text.skipSpace();
    if (text.accept(",")) {
      text.skipSpace();
      max = text.isNext("}") ? Repeat.UNBOUNDED : text.number("of repetitions");
      text.skipSpace();
    }
    text.expect("}", "behind the number of repetitions");
    if (max < min) {
      throw text.errorAt(position, "at least %d and at most %d times".formatted(min, max));
    }
    return new Repeat(part, min, max);
  }
}
