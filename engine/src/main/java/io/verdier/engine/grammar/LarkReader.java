package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads what is common of Lark's notation: rules, terminals, {@code %ignore}, and {@code %import}
 * of Lark's own terminals. Owned by its caller, used once.
 *
 * <p>There is no lexer: a text matches if it can be cut into terminals in any way, where Lark takes
 * the longest or the most important one at each place. So priorities are read and mean nothing, and
 * a keyword is a name too where a name may stand. What is ignored may stand behind every terminal,
 * and before the first.
 *
 * <p>Shapes of trees ({@code ?rule}, {@code !rule}, {@code -> alias}) are read and mean nothing.
 * Templates and what extends Lark are refused by name. A text starts with {@code start}, or as in
 * vLLM, where there is none, with the first rule.
 */
final class LarkReader {
  private static final int DEPTH_MAX = 200;
  private static final String NAME_MARKS = "_-"; // the hyphen as in llguidance

  /** Of a character in either case. */
  private static final int CASED_BYTES = 64;

  private static final String IGNORED = "%ignore"; // no name in a text

  private final RuleText text;
  private final NamedRules rules;
  private final List<Expression> ignored = new ArrayList<>();
  private String first = ""; // that is defined
  private boolean isTerminal; // what is being read
  private int depth;

  LarkReader(RuleText text, NamedRules rules) {
    this.text = text;
    this.rules = rules;
  }

  void read() {
    skipSpace();
    while (!text.isAtEnd()) {
      if (text.accept("%")) {
        directive();
      } else {
        definition();
      }
      skipSpace();
    }
    if (first.isEmpty()) {
      throw new GrammarException("the grammar has no rules: neither name ::= ... nor name: ...");
    }
    String start = rules.isDefined("start") ? "start" : first;
    isTerminal = false;
    Expression body = rules.use(start, 0);
    Expression space = ignored.isEmpty() ? Expression.EMPTY : Expression.any(new Choice(ignored));
    rules.defineStart(Expression.sequence(space, isTerminal(start) ? item(body) : body));
    rules.define(IGNORED, 0, space);
  }

  private void skipSpace() {
    text.skipSpace("//", "#");
  }

  private void definition() {
    skipMarks();
    int position = text.position();
    String name = name("the name of a rule or a terminal");
    if (text.peek() == '{') {
      throw text.errorAt(position, "the template " + name + " is not supported");
    }
    skipPriority();
    skipSpace();
    text.expect(":", "behind the name " + name);
    isTerminal = isTerminal(name);
    first = first.isEmpty() ? name : first;
    rules.define(name, position, alternatives());
  }

  private String name(String expected) {
    String name = text.word(NAME_MARKS);
    if (name.isEmpty()) {
      throw text.error("expected " + expected);
    }
    return name;
  }

  /** Of rules whose trees look differently; they stand right before the name. */
  private void skipMarks() {
    while (text.accept("?") || text.accept("!")) {}
  }

  private void skipPriority() {
    if (text.accept(".")) {
      text.accept("-");
      text.number("behind the full stop, a priority");
    }
  }

  private static boolean isTerminal(String name) {
    return name.chars().filter(Character::isLetter).limit(1).anyMatch(Character::isUpperCase);
  }

  private void directive() {
    int position = text.position() - 1;
    String name = text.word("");
    switch (name) {
      case "ignore" -> {
        isTerminal = true;
        ignored.add(alternatives());
      }
      case "import" -> {
        skipSpace();
        imports();
      }
      default -> throw text.errorAt(position, "%" + name + " is not supported");
    }
  }

  private void imports() {
    int position = text.position();
    String module = text.word(NAME_MARKS);
    if (!module.equals("common")) {
      throw text.errorAt(position, "only terminals of the module common can be imported");
    }
    if (text.accept(".")) {
      oneImport();
      return;
    }
    skipSpace();
    text.expect("(", "or a full stop behind common");
    do {
      skipSpace();
      oneImport();
      skipSpace();
    } while (text.accept(","));
    text.expect(")", "behind what is imported");
  }

  private void oneImport() {
    int position = text.position();
    String name = name("the name of a terminal");
    Expression body = LarkTerminals.common(name);
    if (body == null) {
      throw text.errorAt(position, "the module common has no terminal " + name);
    }
    skipSpace();
    String renamed = alias();
    String local = renamed.isEmpty() ? name : renamed;
    if (!rules.isDefined(local)) {
      rules.define(local, position, body);
    }
  }

  /** Empty: there is none. */
  private String alias() {
    if (!text.accept("->")) {
      return "";
    }
    skipSpace();
    return name("a name behind ->");
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
    while (!text.isAtEnd() && "|)]%".indexOf(text.peek()) < 0 && !text.isNext("->")) {
      if (isDefinitionNext()) {
        break;
      }
      parts.add(term());
      skipSpace();
    }
    if (depth == 0 && (text.peek() == ')' || text.peek() == ']')) {
      throw text.error("unmatched " + (char) text.peek());
    }
    alias();
    skipSpace();
    return parts.size() == 1 ? parts.getFirst() : new Sequence(parts);
  }

  private boolean isDefinitionNext() {
    int position = text.position();
    skipMarks();
    boolean is = !text.word(NAME_MARKS).isEmpty();
    if (is && text.isNext(".") && !text.isNext("..")) {
      text.accept(".");
      text.word("-");
    }
    skipSpace();
    is = is && text.isNext(":");
    text.goTo(position);
    return is;
  }

  private Expression term() {
    Expression term = repeated(atom());
    skipSpace();
    if (term instanceof Repeat && (isRepetitionNext() || text.isNext("~"))) {
      throw text.error("a repetition of a repetition needs a group");
    }
    return term;
  }

  /** A question mark before a name belongs to the rule that begins there. */
  private boolean isRepetitionNext() {
    if (text.peek() != '?') {
      return text.peek() == '*' || text.peek() == '+' || text.peek() == '{';
    }
    int position = text.position();
    boolean isRule = isDefinitionNext();
    text.goTo(position);
    return !isRule;
  }

  private Expression repeated(Expression part) {
    skipSpace();
    if (text.accept("~")) {
      skipSpace();
      int position = text.position();
      int min = text.number("of repetitions");
      int max = text.accept("..") ? text.number("of repetitions") : min;
      if (max < min) {
        throw text.errorAt(position, "at least %d and at most %d times".formatted(min, max));
      }
      return new Repeat(part, min, max);
    }
    if (!isRepetitionNext()) {
      return part;
    }
    if (text.accept("*")) {
      return new Repeat(part, 0, Repeat.UNBOUNDED);
    }
    if (text.accept("+")) {
      return new Repeat(part, 1, Repeat.UNBOUNDED);
    }
    return text.accept("?") ? new Repeat(part, 0, 1) : GbnfReader.counted(text, part);
  }

  private Expression atom() {
    int position = text.position();
    switch (text.peek()) {
      case '"', '\'' -> {
        return item(quoted(position));
      }
      case '/' -> {
        return item(pattern());
      }
      case '(' -> {
        return group("(", ")");
      }
      case '[' -> {
        return Expression.optional(group("[", "]"));
      }
      case '<' -> throw text.error("tokens in <> are not supported; write their text as a string");
      default -> {}
    }
    String name = name("a string, a pattern in //, a group or a name");
    if (text.peek() == '{' && !Character.isDigit(text.peekBehind()) && text.peekBehind() != ',') {
      throw text.errorAt(position, "the template " + name + " is not supported");
    }
    if (isTerminal && !isTerminal(name)) {
      throw text.errorAt(position, "a terminal cannot contain the rule " + name);
    }
    return isTerminal(name) ? item(rules.use(name, position)) : rules.use(name, position);
  }

  /** A terminal where it is used: with what is ignored behind it, but in another terminal. */
  private Expression item(Expression terminal) {
    return isTerminal ? terminal : Expression.sequence(terminal, rules.use(IGNORED, 0));
  }

  private Expression group(String open, String close) {
    int position = text.position();
    text.accept(open);
    if (++depth > DEPTH_MAX) {
      throw text.error("groups are nested more than " + DEPTH_MAX + " deep");
    }
    Expression all = alternatives();
    depth--;
    if (!text.accept(close)) {
      throw text.errorAt(position, open + " is not closed");
    }
    return all;
  }

  private Expression quoted(int position) {
    String literal = text.quoted();
    if (text.accept("..")) {
      String last = text.peek() == '"' || text.peek() == '\'' ? text.quoted() : "";
      boolean areSingle = isSingle(literal) && isSingle(last);
      if (!areSingle || literal.codePointAt(0) > last.codePointAt(0)) {
        throw text.errorAt(position, "a range goes from a character to one that is not below it");
      }
      return new Chars(CodePoints.range(literal.codePointAt(0), last.codePointAt(0)));
    }
    if (!text.accept("i")) {
      return Expression.text(literal);
    }
    text.budget().hold((long) CASED_BYTES * literal.length());
    return new Sequence(
        literal
            .codePoints()
            .<Expression>mapToObj(
                c -> new Chars(CaseFolding.closed(CodePoints.of(c), text.budget())))
            .toList());
  }

  private static boolean isSingle(String literal) {
    return literal.codePointCount(0, literal.length()) == 1;
  }

  private Expression pattern() {
    int position = text.position();
    String pattern = text.between('/');
    String flags = text.word("");
    StringBuilder kept = new StringBuilder();
    for (int i = 0; i < flags.length(); i++) {
      char flag = flags.charAt(i);
      switch (flag) {
        case 'i', 's', 'm', 'x' -> kept.append(flag);
        case 'l', 'u' -> {} // patterns are of code points anyway
        default -> throw text.errorAt(position, "unknown flag " + flag + " of a pattern");
      }
    }
    String whole = kept.isEmpty() ? pattern : "(?" + kept + ")" + pattern;
    try {
      return RegexParser.parse(whole, RegexParser.Extent.WHOLE, text.budget());
    } catch (GrammarException e) {
      throw text.errorAt(position, String.valueOf(e.getMessage()));
    }
  }
}
