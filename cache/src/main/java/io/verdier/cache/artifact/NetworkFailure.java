package io.verdier.cache.artifact;

import java.io.EOFException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import javax.net.ssl.SSLException;

/** Failures of the network in words for people: a class name or an address helps nobody. */
final class NetworkFailure {
  private NetworkFailure() {}

  /** A connection that is alive, and as good as dead. */
  static final class SlowException extends IOException {
    SlowException() {
      super("too slow");
    }
  }

  static String reason(IOException failed) {
    return switch (failed) {
      case Retry.BusyException busy -> "the server answers with " + busy.getMessage();
      case UnknownHostException unknown -> "its host name is unknown";
      case SocketTimeoutException silent -> "the server does not answer in time";
      case ConnectException refused -> "the server refuses the connection";
      case NoRouteToHostException unreachable -> "the server cannot be reached";
      case SSLException untrusted -> "no trusted TLS connection is possible";
      case EOFException ended -> "the answer ends early";
      case SlowException slow -> "the connection brings less than a kilobyte a second";
      default -> "the connection broke";
    };
  }
}
