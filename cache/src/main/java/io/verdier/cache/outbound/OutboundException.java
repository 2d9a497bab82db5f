package io.verdier.cache.outbound;

import java.io.IOException;

/** The policy forbids a request. Asking again changes nothing. The text names no address found. */
public final class OutboundException extends IOException {
  public OutboundException(String text) {
    super(text);
  }
}
