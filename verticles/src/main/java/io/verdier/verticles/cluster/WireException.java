package io.verdier.verticles.cluster;

/** Bytes from another node that cannot be read: garbage, a forgery, or another version. */
public final class WireException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public WireException(String what) {
    super(what, null, false, false); // nobody reads its trace, and anybody may provoke it
  }
}
