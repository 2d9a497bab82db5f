package io.verdier.engine.text.template;

import java.util.List;

/** Owned by the parsing thread. The tokens, a place among them, and how deep the parser stands. */
final class TokenReader {
  /**
   * Nested expressions and statements together. One level of parentheses counts three and so does a
   * statement, which bounds both at about 130; real templates stay below 20. A 512 KiB stack is
   * enough for it (tested).
   */
  static final int DEPTH_MAX = 400;

  private final List<Token> tokens;
  private int index;
  private int depth;

  TokenReader(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token current() {
    return tokens.get(index);
  }

  /** The one after the current one. */
  Token ahead() {
    return tokens.get(Math.min(index + 1, tokens.size() - 1));
  }

  /** Gives the current token and moves on; the end is never passed. */
  Token next() {
    Token token = tokens.get(index);
    index = Math.min(index + 1, tokens.size() - 1);
    return token;
  }

  int index() {
    return index;
  }

  /** Whether a variable of this name is mentioned between {@code start} and here. */
  boolean names(int start, String name) {
    for (int i = start; i < index; i++) {
      if (tokens.get(i).isName(name) && !tokens.get(i - 1).isOperator(".")) {
        return true;
      }
    }
    return false;
  }

  boolean skipName(String name) {
    return skipIf(current().isName(name));
  }

  boolean skipOperator(String symbol) {
    return skipIf(current().isOperator(symbol));
  }

  private boolean skipIf(boolean wanted) {
    if (wanted) {
      next();
    }
    return wanted;
  }

  void expectOperator(String symbol) {
    if (!skipOperator(symbol)) {
      throw syntax("expected '" + symbol + "', got '" + current().shown() + "'");
    }
  }

  String expectName() {
    expect(Token.Kind.NAME, "a name");
    return tokens.get(index - 1).text();
  }

  void expect(Token.Kind kind) {
    expect(kind, "'" + kind.shown + "'");
  }

  private void expect(Token.Kind kind, String wanted) {
    if (current().kind() != kind) {
      throw syntax("expected " + wanted + ", got '" + current().shown() + "'");
    }
    next();
  }

  void enter() {
    enter(1);
  }

  void enter(int levels) {
    depth += levels;
    if (depth > DEPTH_MAX) {
      throw syntax("expressions or statements are nested too deeply");
    }
  }

  void leave() {
    leave(1);
  }

  void leave(int levels) {
    depth -= levels;
  }

  TemplateException syntax(String text) {
    return syntaxAt(current(), text);
  }

  TemplateException syntaxAt(Token token, String text) {
    return TemplateException.syntax(text, token.line());
  }
}
