package io.verdier.verticles.bus;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import org.jspecify.annotations.Nullable;

/** A query was refused. Immutable. */
public record Refused(ErrorCode code, String text, @Nullable String parameter) {

  /** The same refusal as an exception. */
  public RejectedException exception() {
    return new RejectedException(code, text, parameter);
  }

  /**
   * A refusal that says what {@code cause} says; anything unexpected becomes an internal error
   * without details.
   */
  public static Refused of(Throwable cause) {
    if (cause instanceof RejectedException rejected) {
      return new Refused(rejected.code(), rejected.text(), rejected.parameter());
    }
    return new Refused(ErrorCode.INTERNAL, "The request failed inside the server.", null);
  }
}
