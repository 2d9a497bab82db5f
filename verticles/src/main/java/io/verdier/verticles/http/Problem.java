package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import org.jspecify.annotations.Nullable;

/**
 * An error as a client sees it. Immutable.
 *
 * @param code for the metrics
 * @param status HTTP status
 * @param type as OpenAI's clients know it
 * @param message for the user; no path, no class name
 * @param parameter dotted path of the field at fault, null where there is none
 */
public record Problem(
    ErrorCode code, int status, String type, String message, @Nullable String parameter) {

  /** Appends {@code {"error":{…}}}. */
  public void write(JsonWriter out) {
    out.object().name("error").object();
    out.field("message", message).field("type", type).field("param", parameter);
    out.field("code", status);
    out.end().end();
  }
}
