package io.verdier.verticles.http;

import io.verdier.conf.Limits;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.net.impl.ConnectionBase;
import java.time.Duration;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;

/**
 * Owned by one event loop: closes connections on which no request becomes complete in time.
 *
 * <p>Vert.x's idle timeout restarts with every byte, so a client that sends one byte in five
 * seconds would hold its connection for ever. This clock runs from the moment a request could begin
 * to the moment its headers are complete, whatever arrives in between. Bodies have their own, in
 * {@link BodyReader}; while an answer is under way the request's deadline counts, and from its last
 * byte handed over on, this clock again.
 */
final class ConnectionClock {
  /**
   * Time to take in, and drop, what a client is still sending when its last answer is out: closing
   * at once would reset the connection, and the client might never see the answer.
   */
  private static final Duration LINGER = Duration.ofMillis(500);

  private final Vertx vertx;
  private final Limits limits;
  private final IdentityHashMap<HttpConnection, Long> timers = new IdentityHashMap<>();
  private final Set<HttpConnection> open = Collections.newSetFromMap(new IdentityHashMap<>());
  private final Set<HttpConnection> leaving = Collections.newSetFromMap(new IdentityHashMap<>());

  ConnectionClock(Vertx vertx, Limits limits) {
    this.vertx = vertx;
    this.limits = limits;
  }

  void onConnected(HttpConnection connection) {
    open.add(connection);
    connection.closeHandler(
        ignored -> {
          stop(connection);
          open.remove(connection);
          leaving.remove(connection);
        });
    // Resets and the like; the close follows.
    connection.exceptionHandler(ignored -> {});
    start(connection, limits.headerTimeout());
  }

  void onRequest(HttpConnection connection) {
    stop(connection);
  }

  /** The answer was handed over; a client that neither reads it nor asks again is cut. */
  void onAnswered(HttpConnection connection) {
    start(connection, limits.keepAliveTimeout());
  }

  /** The answer has left; unless the next request came meanwhile, its time begins anew. */
  void onWritten(HttpConnection connection) {
    if (timers.containsKey(connection)) {
      start(connection, isLeaving(connection) ? LINGER : limits.keepAliveTimeout());
    }
  }

  /** The next answer is the connection's last; what comes after it is not heard. */
  void leave(HttpConnection connection) {
    leaving.add(connection);
  }

  boolean isLeaving(HttpConnection connection) {
    return leaving.contains(connection);
  }

  /**
   * Closes at once, and drops what was not written. {@link HttpConnection#close} would wait until
   * the peer has read it, for ever if it does not, and Vert.x cannot be closed before that; there
   * is no public way to a connection's channel.
   */
  @SuppressWarnings("FutureReturnValueIgnored") // the close handler hears of it
  static void cut(HttpConnection connection) {
    ((ConnectionBase) connection).channelHandlerContext().close();
  }

  /** The server ends, and no peer may hold it up. */
  void cutAll() {
    List.copyOf(open).forEach(ConnectionClock::cut);
  }

  private void start(HttpConnection connection, Duration timeout) {
    stop(connection);
    long timer =
        vertx.setTimer(
            Math.max(1, timeout.toMillis()),
            ignored -> {
              timers.remove(connection);
              cut(connection);
            });
    timers.put(connection, timer);
  }

  private void stop(HttpConnection connection) {
    Long timer = timers.remove(connection);
    if (timer != null) {
      vertx.cancelTimer(timer);
    }
  }
}
