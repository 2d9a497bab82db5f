package io.verdier.conf;

/** A text that is not a value of its flag; the message continues "--flag: the value ...". */
final class BadValueException extends Exception {
  private static final long serialVersionUID = 1L;

  BadValueException(String message) {
    super(message);
  }
}
