package io.verdier.verticles.http;

import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Immutable. Which web pages may use the server (CORS). Keys travel in a header, never in a cookie,
 * so credentials are not allowed and {@code *} is safe as vLLM's default.
 *
 * <p>Vert.x Web's {@code CorsHandler} does something else: it refuses reads as well, which browsers
 * do by themselves, and does not know the server's own page by its {@code Host}.
 */
final class Origins {
  private final boolean any;
  private final Set<String> allowed;

  Origins(List<String> allowed) {
    this.any = allowed.contains("*");
    this.allowed = Set.copyOf(allowed);
  }

  /** Adds the headers that let the page read the answer; false: the page may not use the server. */
  boolean admit(HttpServerRequest request) {
    String origin = request.getHeader("Origin");
    if (origin == null) {
      return true;
    }
    HttpServerResponse response = request.response();
    if (any) {
      response.putHeader("Access-Control-Allow-Origin", "*");
      return true;
    }
    response.putHeader("Vary", "Origin");
    if (allowed.contains(origin)) {
      response.putHeader("Access-Control-Allow-Origin", origin);
      return true;
    }
    return isOwnPage(origin, request.getHeader("Host"));
  }

  /** A page that came from this very server, such as the chat page. */
  private static boolean isOwnPage(String origin, @Nullable String host) {
    return host != null && (origin.equals("http://" + host) || origin.equals("https://" + host));
  }

  /**
   * Whether this is a browser's question, before the real request, what it may send. It carries no
   * key and gets no data.
   */
  static boolean isPreflight(HttpServerRequest request) {
    return request.method().name().equals("OPTIONS")
        && request.getHeader("Origin") != null
        && request.getHeader("Access-Control-Request-Method") != null;
  }

  static void answerPreflight(HttpServerResponse response) {
    response.putHeader("Access-Control-Allow-Methods", "GET, POST");
    response.putHeader(
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, X-Request-Id, X-Vllm-Priority, X-Api-Key, Anthropic-Version,"
            + " Anthropic-Beta");
    response.putHeader("Access-Control-Max-Age", "600");
  }
}
