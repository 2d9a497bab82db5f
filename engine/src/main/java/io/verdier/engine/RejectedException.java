package io.verdier.engine;

import org.jspecify.annotations.Nullable;

/**
 * One request is refused, and only that one. The text goes to the user as it stands: it says what
 * is wrong, the value, the limit and what to do, and holds no path, address or class name. Carries
 * no stack trace: it is an answer, not a fault.
 */
public final class RejectedException extends RuntimeException {
  private final ErrorCode code;
  private final @Nullable String parameter;

  public RejectedException(ErrorCode code, String text) {
    this(code, text, null);
  }

  /**
   * @param parameter dotted path of the request field at fault, null where no single field is
   */
  public RejectedException(ErrorCode code, String text, @Nullable String parameter) {
    super(text, null, false, false);
    this.code = code;
    this.parameter = parameter;
  }

  public static RejectedException invalid(String parameter, String text) {
    return new RejectedException(ErrorCode.INVALID_ARGUMENT, text, parameter);
  }

  public ErrorCode code() {
    return code;
  }

  public @Nullable String parameter() {
    return parameter;
  }

  /** The text for the user; never null. */
  public String text() {
    String text = getMessage();
    return text == null ? code.name() : text;
  }
}
