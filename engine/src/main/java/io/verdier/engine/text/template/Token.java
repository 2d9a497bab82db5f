package io.verdier.engine.text.template;

/**
 * One lexical unit. Immutable.
 *
 * @param text the symbol of an operator, a name, or plain text
 * @param value of a literal; otherwise the text again
 */
record Token(Kind kind, String text, Object value, int line) {
  /** What it is. */
  enum Kind {
    TEXT("text"),
    BLOCK_BEGIN("begin of statement block"),
    BLOCK_END("end of statement block"),
    OUTPUT_BEGIN("begin of print statement"),
    OUTPUT_END("end of print statement"),
    NAME("name"),
    STRING("string"),
    INTEGER("integer"),
    FLOAT("float"),
    OPERATOR("operator"),
    END("end of template");

    final String shown;

    Kind(String shown) {
      this.shown = shown;
    }
  }

  Token(Kind kind, String text, int line) {
    this(kind, text, text, line);
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  boolean isOperator(String symbol) {
    return kind == Kind.OPERATOR && text.equals(symbol);
  }

  String shown() {
    return kind == Kind.NAME || kind == Kind.OPERATOR ? text : kind.shown;
  }
}
