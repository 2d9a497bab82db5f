package io.verdier.engine.text.template;

import io.verdier.engine.text.template.Node.Signature;
import io.verdier.engine.text.template.Node.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Statements: from tokens to the syntax tree. Owned by the parsing thread. */
final class Parser {
  private static final Set<String> REFUSED =
      Set.of("include", "extends", "import", "from", "block", "autoescape", "do", "trans");

  /** What a statement counts in the parser's depth: its frames are the larger ones. */
  private static final int STATEMENT_LEVELS = 3;

  private final TokenReader tokens;
  private final ExpressionParser expressions;

  /** Loops around the current place that a {@code break} could leave. */
  private int loops;

  private Parser(TokenReader tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static List<Node> parse(String template) {
    Parser parser = new Parser(new TokenReader(Lexer.tokens(template)));
    List<Node> body = parser.body();
    if (parser.tokens.current().kind() != Token.Kind.END) {
      throw parser.unknownTag();
    }
    return body;
  }

  /**
   * Statements up to one of the named tags, whose name is then the current token; up to the end of
   * the template where no tag is named.
   */
  private List<Node> body(String... ends) {
    tokens.enter(STATEMENT_LEVELS);
    List<Node> nodes = new ArrayList<>();
    while (tokens.current().kind() != Token.Kind.END) {
      Token token = tokens.next();
      switch (token.kind()) {
        case TEXT -> nodes.add(new Node.Text(token.line(), token.text()));
        case OUTPUT_BEGIN -> {
          nodes.add(new Node.Output(token.line(), expressions.tuple(true)));
          tokens.expect(Token.Kind.OUTPUT_END);
        }
        case BLOCK_BEGIN -> {
          for (String end : ends) {
            if (tokens.current().isName(end)) {
              tokens.leave(STATEMENT_LEVELS);
              return nodes;
            }
          }
          nodes.add(statement());
        }
        default -> throw tokens.syntaxAt(token, "unexpected '" + token.shown() + "'");
      }
    }
    if (ends.length > 0) {
      throw tokens.syntax("the template ends; expected tag '" + String.join("' or '", ends) + "'");
    }
    tokens.leave(STATEMENT_LEVELS);
    return nodes;
  }

  /** The body of a tag and its closing tag. */
  private List<Node> bodyTo(String end) {
    endTag();
    List<Node> body = body(end);
    tokens.next();
    endTag();
    return body;
  }

  /** The same, where a {@code break} inside may not leave a loop outside. */
  private List<Node> detachedBodyTo(String end) {
    int outer = loops;
    loops = 0;
    List<Node> body = bodyTo(end);
    loops = outer;
    return body;
  }

  private void endTag() {
    tokens.skipOperator(":");
    tokens.expect(Token.Kind.BLOCK_END);
  }

  private Node statement() {
    Token tag = tokens.current();
    if (tag.kind() != Token.Kind.NAME) {
      throw tokens.syntax("tag name expected");
    }
    if (REFUSED.contains(tag.text())) {
      throw tokens.syntax(
          "tag '" + tag.text() + "' is not supported: a chat template stands alone");
    }
    tokens.next();
    int line = tag.line();
    return switch (tag.text()) {
      case "if" -> ifStatement(line);
      case "for" -> forStatement(line);
      case "set" -> set(line);
      case "with" -> with(line);
      case "macro" -> macro(line);
      case "call" -> call(line);
      case "filter" -> new Node.FilterBlock(line, filterChain(), bodyTo("endfilter"));
      case "generation" -> new Node.Scoped(line, detachedBodyTo("endgeneration"));
      case "print" -> {
        Node print = new Node.Output(line, expressions.tuple(true));
        endTag();
        yield print;
      }
      case "break" -> {
        inLoop("break");
        yield new Node.Break(line);
      }
      case "continue" -> {
        inLoop("continue");
        yield new Node.Continue(line);
      }
      default -> throw unknownTag(tag);
    };
  }

  private TemplateException unknownTag() {
    return unknownTag(tokens.current());
  }

  private TemplateException unknownTag(Token tag) {
    return tokens.syntaxAt(tag, "unknown tag '" + tag.text() + "'");
  }

  private void inLoop(String tag) {
    if (loops == 0) {
      throw tokens.syntax("'" + tag + "' outside of a loop");
    }
    endTag();
  }

  private Node ifStatement(int line) {
    List<Expr> conditions = new ArrayList<>();
    List<List<Node>> bodies = new ArrayList<>();
    do {
      conditions.add(expressions.tuple(false));
      endTag();
      bodies.add(body("elif", "else", "endif"));
    } while (tokens.skipName("elif"));
    List<Node> otherwise = List.of();
    if (tokens.skipName("else")) {
      otherwise = bodyTo("endif");
    } else {
      tokens.next();
      endTag();
    }
    return new Node.If(line, conditions, bodies, otherwise);
  }

  private Node forStatement(int line) {
    Target target = target(false);
    refuseLoopAsTarget(target);
    if (!tokens.skipName("in")) {
      throw tokens.syntax("expected 'in', got '" + tokens.current().shown() + "'");
    }
    Expr items = expressions.tuple(false);
    Expr filter = tokens.skipName("if") ? expressions.expression() : null;
    boolean recursive = tokens.skipName("recursive");
    endTag();
    int outer = loops;
    loops = recursive ? 1 : loops + 1;
    List<Node> body = body("else", "endfor");
    loops = recursive ? 0 : outer;
    List<Node> otherwise = List.of();
    if (tokens.skipName("else")) {
      otherwise = bodyTo("endfor");
    } else {
      tokens.next();
      endTag();
    }
    loops = outer;
    return new Node.For(line, target, items, filter, recursive, body, otherwise);
  }

  private void refuseLoopAsTarget(Target target) {
    switch (target) {
      case Target.Variable variable when variable.name().equals("loop") ->
          throw tokens.syntax("'loop' cannot be the variable of a loop");
      case Target.Unpack unpack -> unpack.targets().forEach(this::refuseLoopAsTarget);
      default -> {}
    }
  }

  private Node set(int line) {
    Target target = target(true);
    if (tokens.skipOperator("=")) {
      Expr value = expressions.tuple(true);
      tokens.expect(Token.Kind.BLOCK_END);
      return new Node.Set(line, target, value);
    }
    List<Expr.Filtered> filters = new ArrayList<>();
    while (tokens.skipOperator("|")) {
      filters.add(expressions.filter(null));
    }
    return new Node.SetBlock(line, target, filters, bodyTo("endset"));
  }

  /** One target, or several with commas between. */
  private Target target(boolean members) {
    List<Target> targets = new ArrayList<>();
    targets.add(oneTarget(members));
    boolean comma = false;
    while (tokens.skipOperator(",")) {
      comma = true;
      if (tokens.current().isName("in")
          || tokens.current().isOperator("=")
          || tokens.current().isOperator(")")
          || tokens.current().kind() == Token.Kind.BLOCK_END) {
        break;
      }
      targets.add(oneTarget(members));
    }
    return comma ? new Target.Unpack(targets) : targets.get(0);
  }

  private Target oneTarget(boolean members) {
    if (tokens.skipOperator("(")) {
      tokens.enter();
      Target inner = target(members);
      tokens.expectOperator(")");
      tokens.leave();
      return inner;
    }
    Token token = tokens.current();
    String name = tokens.expectName();
    if (Set.of("true", "false", "none", "True", "False", "None").contains(name)) {
      throw tokens.syntaxAt(token, "cannot assign to '" + name + "'");
    }
    if (members && tokens.skipOperator(".")) {
      return new Target.Member(name, tokens.expectName());
    }
    return new Target.Variable(name);
  }

  private Node with(int line) {
    List<Target> targets = new ArrayList<>();
    List<Expr> values = new ArrayList<>();
    while (tokens.current().kind() != Token.Kind.BLOCK_END && !tokens.current().isOperator(":")) {
      if (!targets.isEmpty()) {
        tokens.expectOperator(",");
      }
      targets.add(oneTarget(false));
      tokens.expectOperator("=");
      values.add(expressions.expression());
    }
    return new Node.With(line, targets, values, bodyTo("endwith"));
  }

  private Node macro(int line) {
    String name = tokens.expectName();
    Parameters parameters = parameters();
    int start = tokens.index();
    List<Node> body = detachedBodyTo("endmacro");
    return new Node.MacroDefinition(line, signature(name, parameters, start), body);
  }

  private Node call(int line) {
    Parameters parameters =
        tokens.current().isOperator("(") ? parameters() : new Parameters(List.of(), List.of());
    Expr callee = expressions.expression();
    if (!(callee instanceof Expr.Call call)) {
      throw tokens.syntax("expected a call");
    }
    int start = tokens.index();
    List<Node> body = detachedBodyTo("endcall");
    return new Node.CallBlock(line, call, signature("caller", parameters, start), body);
  }

  private Signature signature(String name, Parameters parameters, int start) {
    return new Signature(
        name,
        parameters.names(),
        parameters.defaults(),
        tokens.names(start, "caller"),
        tokens.names(start, "kwargs"),
        tokens.names(start, "varargs"));
  }

  private record Parameters(List<String> names, List<Expr> defaults) {}

  private Parameters parameters() {
    List<String> names = new ArrayList<>();
    List<Expr> defaults = new ArrayList<>();
    tokens.expectOperator("(");
    while (!tokens.skipOperator(")")) {
      if (!names.isEmpty()) {
        tokens.expectOperator(",");
      }
      names.add(tokens.expectName());
      if (tokens.skipOperator("=")) {
        defaults.add(expressions.expression());
      } else if (!defaults.isEmpty()) {
        throw tokens.syntax("a parameter without default follows one that has a default");
      }
    }
    return new Parameters(names, defaults);
  }

  private List<Expr.Filtered> filterChain() {
    List<Expr.Filtered> filters = new ArrayList<>();
    do {
      filters.add(expressions.filter(null));
    } while (tokens.skipOperator("|"));
    return filters;
  }
}
