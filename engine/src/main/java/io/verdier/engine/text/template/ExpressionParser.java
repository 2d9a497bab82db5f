package io.verdier.engine.text.template;

import io.verdier.engine.text.template.Expr.Arguments;
import io.verdier.engine.text.template.Expr.Operator;
import io.verdier.engine.text.template.Expr.Relation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Expressions, by binding power (Pratt). Owned by the parsing thread.
 *
 * <p>Powers, weakest first: {@code or} 1, {@code and} 2, {@code not} 3, comparisons 4, {@code + -}
 * 5, {@code ~} 6, {@code * / // %} 7, {@code **} 8. Signs, postfix operators, filters and tests
 * bind tighter and belong to the operand. Jinja differs from Python here: {@code ~} binds tighter
 * than {@code +}, {@code **} groups to the left, and a sign binds tighter than {@code **}.
 */
final class ExpressionParser {
  private static final int OR = 1;
  private static final int AND = 2;
  private static final int NOT = 3;
  private static final int COMPARE = 4;
  private static final int CONCAT = 6;

  private static final Map<String, Operator> OPERATORS =
      Map.of(
          "+", Operator.ADD,
          "-", Operator.SUB,
          "*", Operator.MUL,
          "/", Operator.DIV,
          "//", Operator.FLOOR_DIV,
          "%", Operator.MOD,
          "**", Operator.POW);

  private static final Map<String, Relation> RELATIONS =
      Map.of(
          "==", Relation.EQ,
          "!=", Relation.NE,
          "<", Relation.LT,
          "<=", Relation.LE,
          ">", Relation.GT,
          ">=", Relation.GE);

  private final TokenReader tokens;

  ExpressionParser(TokenReader tokens) {
    this.tokens = tokens;
  }

  /** With {@code a if b else c} at its weakest. */
  Expr expression() {
    tokens.enter();
    Expr result = operators(OR);
    if (tokens.skipName("if")) {
      result = conditional(result);
    }
    tokens.leave();
    return result;
  }

  /** Further conditions without an else group to the left: {@code a if b if c}. */
  private Expr conditional(Expr first) {
    Expr result = first;
    do {
      tokens.enter();
      Expr condition = operators(OR);
      Expr otherwise = tokens.skipName("else") ? expression() : null;
      result = new Expr.Conditional(condition, result, otherwise);
      tokens.leave();
    } while (tokens.skipName("if"));
    return result;
  }

  /** Without the conditional form, for places where {@code if} means something else. */
  Expr plainExpression() {
    return operators(OR);
  }

  /** One expression, or several with commas between, which make a tuple. */
  Expr tuple(boolean conditionals) {
    if (isTupleEnd()) {
      throw tokens.syntax("expected an expression, got '" + tokens.current().shown() + "'");
    }
    return tupleItems(conditionals);
  }

  private Expr tupleItems(boolean conditionals) {
    List<Expr> items = new ArrayList<>();
    boolean comma = false;
    while (!isTupleEnd()) {
      items.add(conditionals ? expression() : plainExpression());
      if (!tokens.skipOperator(",")) {
        return comma ? new Expr.TupleOf(items) : items.get(0);
      }
      comma = true;
    }
    return new Expr.TupleOf(items);
  }

  private boolean isTupleEnd() {
    Token token = tokens.current();
    return token.kind() == Token.Kind.OUTPUT_END
        || token.kind() == Token.Kind.BLOCK_END
        || token.isOperator(")");
  }

  private Expr operators(int power) {
    tokens.enter();
    Expr left;
    if (power <= NOT && tokens.skipName("not")) {
      left = new Expr.Not(operators(NOT));
    } else {
      left = operand();
    }
    while (true) {
      Expr next = infix(left, power);
      if (next == null) {
        tokens.leave();
        return left;
      }
      left = next;
    }
  }

  /** The expression that the next operator makes of {@code left}; null if it binds too weakly. */
  private @Nullable Expr infix(Expr left, int power) {
    Token token = tokens.current();
    if (token.kind() == Token.Kind.NAME) {
      if (power <= OR && tokens.skipName("or")) {
        return new Expr.Or(left, operators(AND));
      }
      if (power <= AND && tokens.skipName("and")) {
        return new Expr.And(left, operators(NOT));
      }
      return power <= COMPARE && relation() != null ? comparison(left) : null;
    }
    if (token.kind() != Token.Kind.OPERATOR) {
      return null;
    }
    if (token.isOperator("~")) {
      return power <= CONCAT ? concat(left) : null;
    }
    Operator operator = OPERATORS.get(token.text());
    if (operator != null) {
      if (operator.power < power) {
        return null;
      }
      tokens.next();
      return new Expr.Binary(operator, left, operators(operator.power + 1));
    }
    return power <= COMPARE && relation() != null ? comparison(left) : null;
  }

  private Expr concat(Expr first) {
    List<Expr> operands = new ArrayList<>(List.of(first));
    while (tokens.skipOperator("~")) {
      operands.add(operators(CONCAT + 1));
    }
    return new Expr.Concat(operands);
  }

  private Expr comparison(Expr first) {
    List<Relation> relations = new ArrayList<>();
    List<Expr> others = new ArrayList<>();
    for (Relation relation = relation(); relation != null; relation = relation()) {
      tokens.next();
      if (relation == Relation.NOT_IN) {
        tokens.next();
      }
      relations.add(relation);
      others.add(operators(COMPARE + 1));
    }
    return new Expr.Compare(first, relations, others);
  }

  /** The comparison that comes next, if one does. */
  private @Nullable Relation relation() {
    Token token = tokens.current();
    if (token.kind() == Token.Kind.OPERATOR) {
      return RELATIONS.get(token.text());
    }
    if (token.isName("in")) {
      return Relation.IN;
    }
    return token.isName("not") && tokens.ahead().isName("in") ? Relation.NOT_IN : null;
  }

  private Expr operand() {
    return filters(signed());
  }

  private Expr signed() {
    boolean negative = tokens.current().isOperator("-");
    if (!negative && !tokens.current().isOperator("+")) {
      return postfix(primary());
    }
    tokens.next();
    tokens.enter();
    Expr operand = signed();
    tokens.leave();
    return postfix(new Expr.Sign(negative, operand));
  }

  Expr primary() {
    Token token = tokens.next();
    return switch (token.kind()) {
      case NAME -> named(token.text());
      case STRING -> string(token);
      case INTEGER, FLOAT -> new Expr.Literal(token.value());
      case OPERATOR -> bracketed(token);
      default -> throw tokens.syntaxAt(token, "unexpected '" + token.shown() + "'");
    };
  }

  private static Expr named(String name) {
    return switch (name) {
      case "true", "True" -> new Expr.Literal(true);
      case "false", "False" -> new Expr.Literal(false);
      case "none", "None" -> new Expr.Literal(None.NONE);
      default -> new Expr.Name(name);
    };
  }

  private Expr string(Token first) {
    if (tokens.current().kind() != Token.Kind.STRING) {
      return new Expr.Literal(first.value());
    }
    StringBuilder text = new StringBuilder().append(first.value());
    while (tokens.current().kind() == Token.Kind.STRING) {
      text.append(tokens.next().value());
    }
    return new Expr.Literal(text.toString());
  }

  private Expr bracketed(Token open) {
    tokens.enter();
    Expr result =
        switch (open.text()) {
          case "(" -> {
            Expr inner = tupleItems(true);
            tokens.expectOperator(")");
            yield inner;
          }
          case "[" -> new Expr.ListOf(listItems());
          case "{" -> dict();
          default -> throw tokens.syntaxAt(open, "unexpected '" + open.shown() + "'");
        };
    tokens.leave();
    return result;
  }

  private List<Expr> listItems() {
    List<Expr> items = new ArrayList<>();
    while (!tokens.skipOperator("]")) {
      if (!items.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator("]")) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expr dict() {
    List<Expr> keys = new ArrayList<>();
    List<Expr> values = new ArrayList<>();
    while (!tokens.skipOperator("}")) {
      if (!keys.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator("}")) {
          break;
        }
      }
      keys.add(expression());
      tokens.expectOperator(":");
      values.add(expression());
    }
    return new Expr.DictOf(keys, values);
  }

  private Expr postfix(Expr start) {
    Expr result = start;
    while (true) {
      if (tokens.skipOperator(".")) {
        result = member(result);
      } else if (tokens.skipOperator("[")) {
        tokens.enter();
        result = subscript(result);
        tokens.leave();
      } else if (tokens.current().isOperator("(")) {
        result = new Expr.Call(result, arguments());
      } else {
        return result;
      }
    }
  }

  private Expr member(Expr owner) {
    Token token = tokens.next();
    return switch (token.kind()) {
      case NAME -> new Expr.Attribute(owner, token.text());
      case INTEGER -> new Expr.Item(owner, new Expr.Literal(token.value()));
      default -> throw tokens.syntaxAt(token, "expected name or number");
    };
  }

  private Expr subscript(Expr owner) {
    if (tokens.current().isOperator(":")) {
      return slice(owner, null);
    }
    Expr first = expression();
    if (tokens.current().isOperator(":")) {
      return slice(owner, first);
    }
    if (tokens.skipOperator("]")) {
      return new Expr.Item(owner, first);
    }
    List<Expr> keys = new ArrayList<>(List.of(first));
    while (!tokens.skipOperator("]")) {
      tokens.expectOperator(",");
      keys.add(expression());
    }
    return new Expr.Item(owner, new Expr.TupleOf(keys));
  }

  private Expr slice(Expr owner, @Nullable Expr from) {
    tokens.expectOperator(":");
    Expr to = isSliceEnd() ? null : expression();
    Expr step = null;
    if (tokens.skipOperator(":")) {
      step = isSliceEnd() ? null : expression();
    }
    tokens.expectOperator("]");
    return new Expr.Slice(owner, from, to, step);
  }

  private boolean isSliceEnd() {
    return tokens.current().isOperator(":") || tokens.current().isOperator("]");
  }

  /** Filters, tests, and calls of what they give. */
  private Expr filters(Expr start) {
    Expr result = start;
    while (true) {
      if (tokens.skipOperator("|")) {
        result = filter(result);
      } else if (tokens.skipName("is")) {
        result = test(result);
      } else if (tokens.current().isOperator("(")) {
        result = new Expr.Call(result, arguments());
      } else {
        return result;
      }
    }
  }

  /** The filter that comes next, over {@code input}. */
  Expr.Filtered filter(@Nullable Expr input) {
    String name = dottedName();
    Arguments arguments = tokens.current().isOperator("(") ? arguments() : Arguments.NONE;
    return new Expr.Filtered(input, name, arguments);
  }

  private Expr test(Expr input) {
    boolean negated = tokens.skipName("not");
    String name = dottedName();
    Arguments arguments = Arguments.NONE;
    if (tokens.current().isOperator("(")) {
      arguments = arguments();
    } else if (isTestOperand()) {
      if (tokens.current().isName("is")) {
        throw tokens.syntax("tests cannot be chained with 'is'");
      }
      Expr operand = postfix(primary());
      arguments = new Arguments(List.of(operand), List.of(), List.of(), null, null);
    }
    Expr tested = new Expr.Tested(input, name, arguments);
    return negated ? new Expr.Not(tested) : tested;
  }

  /** Whether an argument without parentheses follows: {@code x is divisibleby 3}. */
  private boolean isTestOperand() {
    Token token = tokens.current();
    return switch (token.kind()) {
      case NAME -> !token.isName("else") && !token.isName("or") && !token.isName("and");
      case STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> token.isOperator("[") || token.isOperator("{");
      default -> false;
    };
  }

  private String dottedName() {
    StringBuilder name = new StringBuilder(tokens.expectName());
    while (tokens.skipOperator(".")) {
      name.append('.').append(tokens.expectName());
    }
    return name.toString();
  }

  /** Arguments of a call, with their parentheses. */
  Arguments arguments() {
    tokens.enter();
    tokens.expectOperator("(");
    List<Expr> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expr> named = new ArrayList<>();
    Expr spread = null;
    Expr spreadNamed = null;
    for (boolean first = true; !tokens.skipOperator(")"); first = false) {
      if (!first) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(")")) {
          break;
        }
      }
      boolean ordered = spreadNamed == null;
      if (tokens.skipOperator("*")) {
        ordered &= spread == null;
        spread = expression();
      } else if (tokens.skipOperator("**")) {
        spreadNamed = expression();
      } else if (tokens.current().kind() == Token.Kind.NAME && tokens.ahead().isOperator("=")) {
        names.add(tokens.next().text());
        tokens.next();
        named.add(expression());
      } else {
        ordered &= spread == null && named.isEmpty();
        positional.add(expression());
      }
      if (!ordered) {
        throw tokens.syntax("invalid order of arguments in a call");
      }
    }
    tokens.leave();
    return new Arguments(positional, names, named, spread, spreadNamed);
  }
}
