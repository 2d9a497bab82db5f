package io.verdier.verticles.http;

import io.verdier.verticles.observe.HttpMetrics;
import io.vertx.core.Handler;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop of its connection: one request and its one answer.
 *
 * <p>Whatever happens (an answer, a client that leaves, the deadline, a drain that runs out),
 * {@link #done} runs exactly once, when it is decided, and {@link #release} when the answer's last
 * byte has left or never will: then the place in {@link Admission} and the connection are free.
 * That is why nobody else ends a response.
 */
public final class Exchange extends Requester {
  private static final int DRAINED_BYTES_MAX = 1 << 20;
  private static final int ID_CHARS_MAX = 128;
  private static final double NANOS = 1e9;

  /** As nginx calls it: there is no answer that could have a status. */
  private static final int CLIENT_GONE = 499;

  private static final String IGNORED_FIELDS = "X-Verdier-Ignored-Fields";
  private static final int IGNORED_SHOWN_MAX = 16;

  private final RoutingContext routing;
  private final HttpServerRequest request;
  private final String requestId;
  private final ConnectionClock clock;
  private final Set<String> ignored = new LinkedHashSet<>();
  private final JsonBody.Texts jsonTexts;

  private Problem.Dialect dialect;
  private String answerId = "";
  private String handler = HttpMetrics.NO_HANDLER;
  private Runnable whenDone = () -> {};
  private @Nullable BodyReader reader; // while the body is being read
  private boolean done;

  /**
   * @param clock is told when the answer is handed over
   */
  Exchange(Ingress ingress, RoutingContext routing, String requestId, ConnectionClock clock) {
    super(ingress);
    this.routing = routing;
    this.request = routing.request();
    this.requestId = requestId;
    this.clock = clock;
    this.dialect = ingress.dialect();
    this.jsonTexts = ingress.json().texts();
    request.response().closeHandler(ignored -> onClientGone());
    // A broken connection is told to both, before or instead of the close.
    request.exceptionHandler(ignored -> onClientGone());
    request.response().exceptionHandler(ignored -> onClientGone());
  }

  /** The request; its path is raw, without the root path. */
  public HttpServerRequest request() {
    return request;
  }

  /** Identity of the request in answers: the client's {@code X-Request-Id}, or a random one. */
  public String requestId() {
    return requestId;
  }

  /** Whether an id may be repeated in headers, JSON and logs as it is. */
  public static boolean isHarmlessId(String id) {
    return !id.isEmpty()
        && id.length() <= ID_CHARS_MAX
        && id.chars()
            .allMatch(
                c ->
                    (c >= 'a' && c <= 'z')
                        || (c >= 'A' && c <= 'Z')
                        || (c >= '0' && c <= '9')
                        || "-_.:".indexOf(c) >= 0);
  }

  /** Is called when it is decided what becomes of the request, which it is not yet. */
  public void whenDone(Runnable work) {
    whenDone = work;
  }

  /** The answer is known by this id. */
  public void answersAs(String id) {
    answerId = id;
  }

  @Override
  String shownId() {
    return answerId.isEmpty() ? requestId : answerId;
  }

  @Override
  boolean isOneOf(Set<String> ids) {
    return ids.contains(requestId) || ids.contains(answerId);
  }

  /** Reads what stands as JSON in the texts of the body. */
  public JsonBody.Texts jsonTexts() {
    return jsonTexts;
  }

  /** How errors are told. */
  Problem.Dialect dialect() {
    return dialect;
  }

  /** From here on errors are told so. */
  void speak(Problem.Dialect routes) {
    dialect = routes == Problem.Dialect.OPENAI ? ingress().dialect() : routes;
  }

  /** A row of the table of routes, or none of them, answers. */
  void handledBy(String path) {
    handler = path;
  }

  @Override
  MultiMap headers() {
    return request.headers();
  }

  @Override
  public boolean isDone() {
    return done;
  }

  /**
   * A field of the request has no effect: a header of the answer names it, the metrics count it.
   *
   * @param known whether the field is one of the API's
   */
  public void ignored(String field, boolean known) {
    ingress().metrics().onIgnoredField(known ? field : "other");
    if (ignored.size() < IGNORED_SHOWN_MAX
        && isHarmlessId(field)
        && ignored.add(field)
        && !request.response().headWritten()) {
      request.response().putHeader(IGNORED_FIELDS, String.join(", ", ignored));
    }
  }

  /**
   * @param newReader hears of the end; null: the body is complete
   */
  void readBy(@Nullable BodyReader newReader) {
    reader = newReader;
  }

  @Override
  public void reply(Problem problem) {
    if (done) {
      return;
    }
    ingress().metrics().onRefused(problem.code().name());
    HttpServerResponse response = request.response();
    if (response.headWritten()) {
      cut();
      return;
    }
    if (problem.status() == 503 || problem.status() == 429) {
      response.putHeader("Retry-After", "1");
    }
    if (problem.status() == 401) {
      response.putHeader("WWW-Authenticate", "Bearer");
    }
    JsonWriter out = ingress().writer().clear();
    problem.write(out, dialect);
    reply(problem.status(), "application/json", out.toBuffer());
  }

  /** Answers 200 with what {@code out} holds. */
  public void replyJson(JsonWriter out) {
    reply(200, "application/json", out.toBuffer());
  }

  /** Answers. */
  public void reply(int status, String contentType, Buffer body) {
    if (done) {
      return;
    }
    HttpServerResponse response = request.response();
    response.setStatusCode(status);
    if (body.length() > 0 || status == 200) {
      response.putHeader("Content-Type", contentType);
    }
    closeAfterIfUnread();
    done(status, body.length());
    clock.onAnswered(request.connection());
    boolean wholeRead = request.isEnded() || declaredLength() == 0;
    response.end(body).onComplete(written -> onWritten(written.succeeded(), wholeRead));
  }

  /**
   * Leaves the answer to a handler of the web library, which ends it or passes on to the next
   * route. Only for what holds no place in {@link Admission}.
   */
  public void leaveTo(Handler<RoutingContext> handler) {
    closeAfterIfUnread();
    clock.onAnswered(request.connection());
    boolean wholeRead = request.isEnded() || declaredLength() == 0;
    request
        .response()
        .endHandler(
            ignored -> {
              done(request.response().getStatusCode(), 0);
              // Not written yet: the clock started above bounds the wait for a slow reader.
              if (wholeRead && clock.isLeaving(request.connection())) {
                request.connection().close();
              }
            });
    handler.handle(routing);
  }

  /**
   * An answer that comes before the whole body was read: what little is left is read and dropped by
   * the connection, so that the client gets to see the answer; more than that is not waited for.
   */
  private void closeAfterIfUnread() {
    if (request.isEnded()) {
      return;
    }
    long declared = declaredLength();
    if (declared < 0 || declared > DRAINED_BYTES_MAX) {
      closeAfterwards();
    }
    request.handler(null);
    request.resume();
  }

  private void onWritten(boolean written, boolean wholeRead) {
    release();
    HttpConnection connection = request.connection();
    if (!written) {
      ConnectionClock.cut(connection);
      return;
    }
    clock.onWritten(connection);
    if (wholeRead && clock.isLeaving(connection)) {
      connection.close();
    }
  }

  /** The answer is the last one of its connection. */
  void closeAfterwards() {
    request.response().putHeader("Connection", "close");
    clock.leave(request.connection());
  }

  /** The declared length of the body; -1 where it is chunked. */
  long declaredLength() {
    String declared = request.getHeader("Content-Length");
    if (declared == null) {
      return request.getHeader("Transfer-Encoding") == null ? 0 : -1;
    }
    try {
      return Long.parseLong(declared);
    } catch (NumberFormatException tooLarge) {
      return Long.MAX_VALUE;
    }
  }

  /** Writes the last bytes of a stream whose head is set. */
  public void endStream(Buffer last) {
    if (!done) {
      done(request.response().getStatusCode(), last.length());
      clock.onAnswered(request.connection());
      request.response().end(last).onComplete(written -> onWritten(written.succeeded(), true));
    }
  }

  /** Closes the connection without another word, nor those that were not written yet. */
  @Override
  void cut() {
    onClientGone();
    ConnectionClock.cut(request.connection());
  }

  private void onClientGone() {
    if (!done) {
      abandon();
      HttpServerResponse response = request.response();
      done(response.headWritten() ? response.getStatusCode() : CLIENT_GONE, 0);
    }
    release();
  }

  /**
   * @param lastBytes of the body, not written yet
   */
  private void done(int status, int lastBytes) {
    if (done) {
      return;
    }
    done = true;
    stopClock();
    if (reader != null) {
      reader.stop();
      reader = null;
    }
    HttpMetrics.Sizes bytes =
        new HttpMetrics.Sizes(request.bytesRead(), request.response().bytesWritten() + lastBytes);
    whenDone.run();
    double seconds = (System.nanoTime() - startNanos()) / NANOS;
    ingress().noteSize(bytes.response());
    ingress().metrics().http().onAnswered(handler, request.method().name(), status, bytes, seconds);
  }
}
