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

  /** Whose clients the error is for. */
  public enum Dialect {
    OPENAI,
    /** The same before vLLM 0.10: not in an object of its own. */
    FLAT,
    ANTHROPIC
  }

  /**
   * The same of a request that calls a field otherwise.
   *
   * @param field as the problem calls it, if it is about it
   */
  Problem renamed(String field, String name) {
    return field.equals(parameter)
        ? new Problem(code, status, type, message.replace(field, name), name)
        : this;
  }

  /** Appends {@code {"error":{…}}}, as OpenAI's clients read it. */
  public void write(JsonWriter out) {
    out.object().name("error").object();
    fields(out);
    out.end().end();
  }

  /** Appends the error as the clients of that dialect read it. */
  public void write(JsonWriter out, Dialect dialect) {
    switch (dialect) {
      case OPENAI -> write(out);
      case FLAT -> {
        out.object().field("object", "error");
        fields(out);
        out.end();
      }
      case ANTHROPIC -> {
        out.object().field("type", "error").name("error").object();
        out.field("type", anthropicType()).field("message", message);
        out.end().end();
      }
    }
  }

  /** The same within a stream, where older clients too look for an object of its own. */
  public void writeEvent(JsonWriter out, Dialect dialect) {
    if (dialect == Dialect.FLAT) {
      out.object().name("error");
      write(out, dialect);
      out.end();
    } else {
      write(out, dialect);
    }
  }

  /** The status says it better than our types do; theirs are one for each. */
  private String anthropicType() {
    return switch (status) {
      case 401 -> "authentication_error";
      case 403 -> "permission_error";
      case 404 -> "not_found_error";
      case 413 -> "request_too_large";
      case 429 -> "rate_limit_error";
      case 503 -> "overloaded_error";
      case 408, 504 -> "timeout_error";
      default -> status < 500 ? "invalid_request_error" : "api_error";
    };
  }

  private void fields(JsonWriter out) {
    out.field("message", message).field("type", type).field("param", parameter);
    out.field("code", status);
  }
}
