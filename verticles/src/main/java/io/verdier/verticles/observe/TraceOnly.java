package io.verdier.verticles.observe;

import org.jspecify.annotations.Nullable;

/**
 * What a log may show of a failure near a prompt or an answer: its class and where it happened. Its
 * message is left out, for it may quote what a user wrote. Immutable.
 */
public final class TraceOnly extends Throwable {
  /** Chains of causes are short; this only bounds one that runs in a circle. */
  private static final int CAUSES_MAX = 8;

  public TraceOnly(Throwable failure) {
    this(failure, CAUSES_MAX);
  }

  private TraceOnly(Throwable failure, int causesMax) {
    super(failure.getClass().getName(), cause(failure, causesMax), false, true);
    setStackTrace(failure.getStackTrace());
  }

  private static @Nullable Throwable cause(Throwable failure, int causesMax) {
    Throwable cause = failure.getCause();
    return cause == null || causesMax == 0 ? null : new TraceOnly(cause, causesMax - 1);
  }
}
