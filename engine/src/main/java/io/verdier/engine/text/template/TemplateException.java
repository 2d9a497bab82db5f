package io.verdier.engine.text.template;

/**
 * A template that does not parse, or that failed while rendering. Carries no stack trace: the fault
 * lies in the template or in what was given to it, and the line says where.
 */
public final class TemplateException extends RuntimeException {
  private final int line;
  private final Kind kind;

  /** Who found the fault. */
  public enum Kind {
    /** The parser: the template is not Jinja as we know it. */
    SYNTAX,
    /** The evaluator: an operation has no meaning for the values it met. */
    RUNTIME,
    /** The template itself, by {@code raise_exception}: the text is meant for the user. */
    RAISED
  }

  TemplateException(Kind kind, String text, int line) {
    super(text, null, false, false);
    this.kind = kind;
    this.line = line;
  }

  /** A run-time fault; the rendering adds the line on its way out. */
  static TemplateException runtime(String text) {
    return new TemplateException(Kind.RUNTIME, text, 0);
  }

  static TemplateException syntax(String text, int line) {
    return new TemplateException(Kind.SYNTAX, text, line);
  }

  TemplateException at(int atLine) {
    return line > 0 ? this : new TemplateException(kind, text(), atLine);
  }

  public Kind kind() {
    return kind;
  }

  /** Line of the template, counted from 1; 0 where none is known. */
  public int line() {
    return line;
  }

  /** What went wrong, without the line; for {@code RAISED} exactly what the template said. */
  public String text() {
    String text = super.getMessage();
    return text == null ? kind.name() : text;
  }

  @Override
  public String getMessage() {
    return line > 0 ? "line " + line + ": " + text() : text();
  }
}
