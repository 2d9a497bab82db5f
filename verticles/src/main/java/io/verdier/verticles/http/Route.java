package io.verdier.verticles.http;

import io.verdier.verticles.http.Problem.Dialect;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One row of the route table. Immutable.
 *
 * @param path compared with the raw path, byte for byte; ending in {@code /*} it is a prefix
 * @param dialect how errors are told, those of the gate included
 */
public record Route(String method, String path, Gate gate, Dialect dialect, Action action) {

  /** A route that tells errors as OpenAI does. */
  public Route(String method, String path, Gate gate, Action action) {
    this(method, path, gate, Dialect.OPENAI, action);
  }

  /** What a request must pass before its route runs. */
  public enum Gate {
    /** Nothing: health probes carry no key. */
    OPEN,
    /** The API key. */
    KEY,
    /** The key of the administrator, and a JSON body: it must get through when nobody else does. */
    ADMIN,
    /** The key of the administrator; what is asked for stands in the path and behind it. */
    CONTROL,
    /** Key, server state, admission and a JSON body: everything that costs the engine work. */
    WORK
  }

  /** Answers one request, now or later. What it throws becomes the answer. */
  public interface Action {
    /**
     * @param body the JSON body of a {@link Gate#WORK} or {@link Gate#ADMIN} route, else empty
     */
    void run(Exchange exchange, Map<String, @Nullable Object> body);
  }

  /** What precedes the {@code *}; null where the path is exact. */
  @Nullable String prefix() {
    return path.endsWith("/*") ? path.substring(0, path.length() - 1) : null;
  }
}
