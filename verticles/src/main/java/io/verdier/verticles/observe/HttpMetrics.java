package io.verdier.verticles.observe;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Answers by route, under the names of the library that vLLM measures its routes with
 * (prometheus-fastapi-instrumentator), so that its dashboards and alerts work. Thread-safe.
 *
 * <p>Labels come from closed sets: a handler is a path of the table of routes, or {@code none}, and
 * methods that nobody defined are {@code OTHER}; what a caller sends cannot grow the page.
 */
public final class HttpMetrics {
  /** The handler of what no row of the table matches. */
  public static final String NO_HANDLER = "none";

  /** Not counted, as in vLLM: what only looks at the server would drown what it serves. */
  private static final List<String> UNCOUNTED =
      List.of("/metrics", "/health", "/load", "/ping", "/version", "/server_info");

  private static final Set<String> METHODS =
      Set.of("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT");

  private static final double[] SECONDS = {
    .01, .025, .05, .075, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60
  };
  private static final double[] FEW_SECONDS = {.1, .5, 1};

  private final Set<String> uncounted = ConcurrentHashMap.newKeySet();
  private final Exposition page = new Exposition(Map.of());
  private final Exposition.Labelled<Exposition.Counter> requests =
      page.counters("http_requests", "Requests.", "handler", "method", "status");
  private final Exposition.Labelled<Exposition.Histogram> requestBytes =
      page.summaries("http_request_size_bytes", "Bodies of requests.", "handler");
  private final Exposition.Labelled<Exposition.Histogram> responseBytes =
      page.summaries("http_response_size_bytes", "Bodies of answers.", "handler");
  private final Exposition.Histogram duration =
      page.histogram("http_request_duration_highr_seconds", "Time until the answer ends.", SECONDS);
  private final Exposition.Labelled<Exposition.Histogram> durations =
      page.histograms(
          "http_request_duration_seconds",
          "Time until the answer ends, by route.",
          List.of("handler", "method"),
          FEW_SECONDS);

  HttpMetrics() {
    uncounted.addAll(UNCOUNTED);
  }

  /** One more path that only looks at the server. */
  public void leaveOut(String handler) {
    uncounted.add(handler);
  }

  /**
   * A request has its whole answer.
   *
   * @param handler path of its row in the table of routes, or {@link #NO_HANDLER}
   * @param method as it was sent
   */
  public void onAnswered(String handler, String method, int status, Sizes bytes, double seconds) {
    if (uncounted.contains(handler)) {
      return;
    }
    String shown = METHODS.contains(method) ? method : "OTHER";
    requests.of(handler, shown, status / 100 + "xx").add(1);
    requestBytes.of(handler).observe(bytes.request());
    responseBytes.of(handler).observe(bytes.response());
    duration.observe(seconds);
    durations.of(handler, shown).observe(seconds);
  }

  /**
   * Bytes of bodies.
   *
   * @param request that were read
   * @param response that were written
   */
  public record Sizes(double request, double response) {}

  void write(StringBuilder text) {
    page.write(text);
  }
}
