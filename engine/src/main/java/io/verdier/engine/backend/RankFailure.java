package io.verdier.engine.backend;

/**
 * A rank failed in the middle of a step, so the others have nobody to go on with: all of them end
 * with this, and so does the engine.
 */
public final class RankFailure extends DeviceException {
  private static final long serialVersionUID = 1;

  /**
   * @param cause what happened to the rank
   */
  public RankFailure(String message, Throwable cause) {
    super(message, Aftermath.LOST);
    initCause(cause);
  }
}
