package io.verdier.verticles.http;

import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Route.Action;
import io.verdier.verticles.http.Route.Gate;
import io.verdier.verticles.observe.HttpMetrics;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Owned by one event loop: leads each request through the gate to its route.
 *
 * <p>The order is the point: origin and key before anything is looked up, state and admission on
 * the headers alone, then the body's size, then the parse. The {@link Router} finds the row, but by
 * the raw path as the table spells it, never normalized or decoded and never by {@code Host}, so
 * that no two parts of the server can see two different paths. That is why rows are quoted
 * patterns: the router's own path syntax forgives a slash at the end and reads {@code :predict} as
 * a variable. What ends without a row, or fails, ends here too: the router's own error pages are
 * never reached.
 */
final class Dispatcher {
  /** Fields of a request's headers; the decoder bounds their bytes, not their number. */
  private static final int HEADER_FIELDS_MAX = 100;

  /** Larger bodies are parsed off the event loop: a parse must not delay the streams on it. */
  private static final int PARSED_HERE_BYTES_MAX = 64 * 1024;

  private static final String EXCHANGE = "exchange";

  private final Ingress ingress;
  private final ConnectionClock clock;
  private final ApiKeys keys;
  private final ApiKeys adminKeys;
  private final Origins origins;
  private final String rootPath;
  private final Router router;

  Dispatcher(Ingress ingress, ConnectionClock clock, List<Route> routes) {
    this.ingress = ingress;
    this.clock = clock;
    this.keys = new ApiKeys(ingress.config().http().apiKeys());
    this.adminKeys = new ApiKeys(ingress.config().http().adminKeys());
    this.origins = new Origins(ingress.config().http().allowedOrigins());
    this.rootPath = ingress.config().http().rootPath();
    this.router = router(routes);
  }

  private Router router(List<Route> routes) {
    Router built = Router.router(ingress.vertx());
    built.route().handler(this::begin).failureHandler(this::onFailure);
    built.route().handler(this::pass);
    // Exact paths go before prefixes, whatever the order of the table; among equals the first row
    // wins: Vertex AI may name one of our own routes as its predict route.
    routes.stream()
        .filter(row -> row.prefix() == null)
        .collect(Collectors.groupingBy(Route::path, LinkedHashMap::new, Collectors.toList()))
        .forEach((path, rows) -> addExact(built, Pattern.quote(path), rows));
    for (Route row : routes) {
      String prefix = row.prefix();
      if (prefix != null) {
        add(built, row, Pattern.quote(prefix) + ".+");
      }
    }
    built
        .route()
        .handler(
            gated(
                new Route(
                    "",
                    HttpMetrics.NO_HANDLER,
                    Gate.KEY,
                    (exchange, body) -> exchange.reply(ErrorMapper.noSuchRoute()))));
    return built;
  }

  private void addExact(Router built, String pattern, List<Route> rows) {
    rows.forEach(row -> add(built, row, pattern));
    String allowed =
        rows.stream().map(Route::method).distinct().sorted().collect(Collectors.joining(", "));
    built
        .routeWithRegex(pattern)
        .useNormalizedPath(false)
        .handler(
            gated(
                new Route(
                    "",
                    rows.getFirst().path(),
                    Gate.KEY,
                    rows.getFirst().dialect(),
                    (exchange, body) -> {
                      exchange.request().response().putHeader("Allow", allowed);
                      exchange.reply(ErrorMapper.wrongMethod(allowed));
                    })));
  }

  private void add(Router built, Route row, String pattern) {
    built
        .routeWithRegex(HttpMethod.valueOf(row.method()), pattern)
        .useNormalizedPath(false)
        .handler(gated(row));
  }

  private Handler<RoutingContext> gated(Route row) {
    return context -> {
      Exchange exchange = context.get(EXCHANGE);
      exchange.handledBy(row.path());
      exchange.speak(row.dialect());
      if (!mayPass(row.gate(), exchange.request())) {
        exchange.reply(ErrorMapper.unauthorized());
        return;
      }
      switch (row.gate()) {
        case OPEN, KEY, CONTROL -> row.action().run(exchange, Map.of());
        case ADMIN -> readJson(exchange, row.action());
        case WORK -> work(exchange, row.action());
      }
    };
  }

  void onRequest(HttpServerRequest request) {
    HttpConnection connection = request.connection();
    if (clock.isLeaving(connection)) {
      return;
    }
    if (!request.uri().startsWith("/")) {
      refuse(request, ErrorMapper.badRequest("The request target must be a path."));
      return;
    }
    if (request.headers().entries().size() > HEADER_FIELDS_MAX) {
      refuse(request, ErrorMapper.headersTooLarge());
      return;
    }
    clock.onRequest(connection);
    router.handle(request);
  }

  /** What the HTTP decoder could not read. */
  void onInvalid(HttpServerRequest request) {
    refuse(
        request,
        switch (request.decoderResult().cause()) {
          case TooLongHttpLineException ignored -> ErrorMapper.lineTooLong();
          case TooLongHttpHeaderException ignored -> ErrorMapper.headersTooLarge();
          case null, default -> ErrorMapper.badRequest("The HTTP request is malformed.");
        });
  }

  /** No request came of it, so there is no exchange; the connection cannot be trusted further. */
  private void refuse(HttpServerRequest request, Problem problem) {
    clock.onRequest(request.connection());
    ingress.metrics().onRefused(problem.code().name());
    JsonWriter out = ingress.writer().clear();
    problem.write(out, ingress.dialect());
    request
        .response()
        .setStatusCode(problem.status())
        .putHeader("Content-Type", "application/json")
        .putHeader("Connection", "close")
        .end(out.toBuffer())
        .onComplete(ignored -> request.connection().close());
    clock.onAnswered(request.connection());
  }

  /** Comes twice to a request whose path begins with the root path, the second time without it. */
  private void begin(RoutingContext context) {
    if (context.get(EXCHANGE) != null) {
      context.next();
      return;
    }
    context.put(EXCHANGE, new Exchange(ingress, context, requestId(context.request()), clock));
    String path = context.request().path();
    if (!rootPath.isEmpty() && path.startsWith(rootPath + "/")) {
      context.reroute(path.substring(rootPath.length()));
    } else {
      context.next();
    }
  }

  private void onFailure(RoutingContext context) {
    Exchange exchange = context.get(EXCHANGE);
    if (exchange == null) {
      // The one thing that the router looks at before the first handler.
      refuse(context.request(), ErrorMapper.badRequest("The request has no valid Host."));
      return;
    }
    Throwable cause = context.failure();
    exchange.fail(
        cause == null ? new IllegalStateException("status " + context.statusCode()) : cause);
  }

  private void pass(RoutingContext context) {
    HttpServerRequest request = context.request();
    Exchange exchange = context.get(EXCHANGE);
    if (ingress.config().http().requestIdHeaders()) {
      request.response().putHeader("X-Request-Id", exchange.requestId());
    }
    if (ingress.isLeaving()) {
      exchange.closeAfterwards();
    }
    if (hasOddFraming(request)) {
      exchange.closeAfterwards();
      exchange.reply(ErrorMapper.badRequest("Transfer-Encoding must be \"chunked\" alone."));
      return;
    }
    String upgrade = request.getHeader("Upgrade");
    if (upgrade != null && upgrade.toLowerCase(Locale.ROOT).contains("websocket")) {
      exchange.reply(ErrorMapper.badRequest("There are no WebSockets here."));
      return;
    }
    boolean originAllowed = origins.admit(request);
    if (Origins.isPreflight(request)) {
      if (originAllowed) {
        Origins.answerPreflight(request.response());
      }
      exchange.reply(204, "", Buffer.buffer());
    } else if (!originAllowed && !request.method().equals(HttpMethod.GET)) {
      exchange.reply(ErrorMapper.originNotAllowed());
    } else {
      context.next();
    }
  }

  /**
   * The decoder reads more spellings than a proxy in front may. Where the two could disagree on
   * where a request ends, another could be smuggled in its body: nothing more is read then.
   */
  private static boolean hasOddFraming(HttpServerRequest request) {
    List<String> codings = request.headers().getAll("Transfer-Encoding");
    return !codings.isEmpty()
        && (codings.size() > 1 || !codings.getFirst().equalsIgnoreCase("chunked"));
  }

  private boolean mayPass(Gate gate, HttpServerRequest request) {
    return switch (gate) {
      case OPEN -> true;
      case ADMIN, CONTROL -> hasKey(request, adminKeys);
      case KEY, WORK -> hasKey(request, keys);
    };
  }

  /** Anthropic's clients send the key in a header of its own, some both. */
  private static boolean hasKey(HttpServerRequest request, ApiKeys keys) {
    return keys.opens(onlyHeader(request, "Authorization"))
        || keys.opensPlain(onlyHeader(request, "X-Api-Key"));
  }

  private static @Nullable String onlyHeader(HttpServerRequest request, String name) {
    List<String> values = request.headers().getAll(name);
    return values.size() == 1 ? values.getFirst() : null;
  }

  /** State and admission on the headers; the body is not read when there is no place. */
  private void work(Exchange exchange, Action action) {
    ingress.checkReady();
    Optional<Admission.Permit> permit = ingress.admission().admit();
    if (permit.isEmpty()) {
      throw overloaded(ingress);
    }
    exchange.admitted(permit.get());
    readJson(
        exchange,
        (it, body) -> {
          ingress.checkReady(); // the state may have changed while the body came
          action.run(it, body);
        });
  }

  private void readJson(Exchange exchange, Action action) {
    HttpServerRequest request = exchange.request();
    if (!isJson(request.getHeader("Content-Type"))) {
      throw RejectedException.invalid(
          "Content-Type", "Unsupported Media Type: Only 'application/json' is allowed");
    }
    String encoding = request.getHeader("Content-Encoding");
    if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
      exchange.reply(ErrorMapper.encodedBody());
      return;
    }
    BodyReader.read(exchange, (body, held) -> onBody(exchange, action, body, held));
  }

  static RejectedException overloaded(Ingress ingress) {
    return new RejectedException(
        ErrorCode.OVERLOADED,
        "The server holds "
            + ingress.admission().placesMax()
            + " sequences and takes no more now. Try again later.");
  }

  private static boolean isJson(@Nullable String contentType) {
    if (contentType == null) {
      return false;
    }
    String type = contentType.split(";", 2)[0].strip();
    return type.equalsIgnoreCase("application/json");
  }

  private void onBody(Exchange exchange, Action action, Buffer body, BodyBudget.Share held) {
    byte[] bytes = body.getBytes();
    if (bytes.length <= PARSED_HERE_BYTES_MAX) {
      held.close();
      guarded(exchange, () -> run(exchange, action, ingress.json().parse(bytes)));
      return;
    }
    Future<Map<String, @Nullable Object>> parsed =
        ingress.context().executeBlocking(() -> ingress.json().parse(bytes), false);
    parsed
        .onComplete(ignored -> held.close())
        .onComplete(
            object -> guarded(exchange, () -> run(exchange, action, object)), exchange::fail);
  }

  /** Whatever is thrown ends the request: its client waits, and it holds places. */
  private static void guarded(Exchange exchange, Runnable work) {
    try {
      work.run();
    } catch (Throwable failed) {
      exchange.fail(failed);
    }
  }

  private void run(Exchange exchange, Action action, Map<String, @Nullable Object> body) {
    if (exchange.isDone()) {
      return;
    }
    exchange.names(model(body));
    action.run(exchange, body);
  }

  /** The name of a model, where bodies have it; several instances must name the same one. */
  private static @Nullable Object model(Map<String, @Nullable Object> body) {
    return body.get("model") == null
            && body.get("instances") instanceof List<?> instances
            && !instances.isEmpty()
            && instances.getFirst() instanceof Map<?, ?> first
        ? first.get("model")
        : body.get("model");
  }

  /** The client's {@code X-Request-Id} where it is harmless, else a random one. */
  private static String requestId(HttpServerRequest request) {
    String given = request.getHeader("X-Request-Id");
    return given != null && Exchange.isHarmlessId(given) ? given : randomId();
  }

  /** Not secret: nobody gets anything for knowing one. */
  private static String randomId() {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    return String.format("%016x%016x", random.nextLong(), random.nextLong());
  }
}
