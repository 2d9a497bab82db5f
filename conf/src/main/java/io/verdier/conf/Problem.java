package io.verdier.conf;

/**
 * One reason not to start. Immutable.
 *
 * @param message what is wrong, the value unless secret, the limit, what to do
 */
public record Problem(Origin origin, String message) {

  /** The message with its origin, on one line. */
  public String text() {
    return origin instanceof Origin.Default ? message : message + " (" + origin.text() + ")";
  }
}
