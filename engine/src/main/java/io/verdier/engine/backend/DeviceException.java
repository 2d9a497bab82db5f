package io.verdier.engine.backend;

/** The device or its driver refused; the message is for the operator. */
public class DeviceException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What an error leaves behind. */
  public enum Aftermath {
    /** Another call may succeed: memory was short, an argument was wrong. */
    USABLE,
    /** Every later call will fail too; only a new process helps. */
    LOST
  }

  private final Aftermath aftermath;

  protected DeviceException(String message, Aftermath aftermath) {
    super(message);
    this.aftermath = aftermath;
  }

  protected DeviceException(String message, Throwable cause) {
    super(message, cause);
    this.aftermath = Aftermath.USABLE;
  }

  public Aftermath aftermath() {
    return aftermath;
  }
}
