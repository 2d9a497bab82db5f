package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Refused;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The only place that knows which HTTP status an error has. Immutable.
 *
 * <p>Statuses follow vLLM's: refused parameters are 400 with type {@code BadRequestError}, also
 * where HTTP has a more exact word. What fails before a route is chosen has no {@link ErrorCode} of
 * its own and is listed below the table.
 */
public final class ErrorMapper {
  private static final Logger LOG = LoggerFactory.getLogger(ErrorMapper.class);

  private final int overloadStatus;

  /**
   * @param overloadStatus 503, or 429 for clients and balancers that take a 503 for a dead replica
   */
  public ErrorMapper(int overloadStatus) {
    this.overloadStatus = overloadStatus;
  }

  /** The table. */
  public Problem of(ErrorCode code, String message, @Nullable String parameter) {
    return switch (code) {
      case INVALID_ARGUMENT, UNSUPPORTED ->
          new Problem(code, 400, "BadRequestError", message, parameter);
      case NOT_FOUND -> new Problem(code, 404, "NotFoundError", message, parameter);
      case OVERLOADED ->
          new Problem(
              code,
              overloadStatus,
              overloadStatus == 429 ? "RateLimitError" : "ServiceUnavailableError",
              message,
              parameter);
      case UNAVAILABLE -> new Problem(code, 503, "ServiceUnavailableError", message, parameter);
      case TIMED_OUT -> new Problem(code, 504, "TimeoutError", message, parameter);
      case INTERNAL -> new Problem(code, 500, "InternalServerError", message, parameter);
    };
  }

  public Problem of(Refused refused) {
    return of(refused.code(), refused.text(), refused.parameter());
  }

  /** What is not a {@link RejectedException} is our bug: logged here, told without details. */
  public Problem of(Throwable cause) {
    if (!(cause instanceof RejectedException)) {
      // The class and the place are enough to find it; the message might quote a prompt.
      LOG.warn("A request failed: {} at {}", cause.getClass().getName(), place(cause));
    }
    return of(Refused.of(cause));
  }

  private static String place(Throwable cause) {
    StackTraceElement[] trace = cause.getStackTrace();
    return trace.length == 0 ? "unknown place" : trace[0].toString();
  }

  static Problem badRequest(String message) {
    return new Problem(ErrorCode.INVALID_ARGUMENT, 400, "BadRequestError", message, null);
  }

  /** A field that vLLM's routes for operators miss, or cannot use. */
  public static Problem userInput(String message, String parameter) {
    return new Problem(ErrorCode.INVALID_ARGUMENT, 400, "InvalidUserInput", message, parameter);
  }

  static Problem unauthorized() {
    String message = "The API key is missing or wrong. Send it as \"Authorization: Bearer <key>\".";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 401, "AuthenticationError", message, null);
  }

  static Problem originNotAllowed() {
    String message = "This origin may not use the server; see --allowed-origins.";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 403, "PermissionDeniedError", message, null);
  }

  static Problem noSuchRoute() {
    String message = "There is no such route.";
    return new Problem(ErrorCode.NOT_FOUND, 404, "NotFoundError", message, null);
  }

  static Problem wrongMethod(String allowed) {
    String message = "This route answers " + allowed + " only.";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 405, "MethodNotAllowedError", message, null);
  }

  static Problem bodyTooSlow() {
    String message = "The request body did not arrive in time.";
    return new Problem(ErrorCode.TIMED_OUT, 408, "TimeoutError", message, null);
  }

  static Problem bodyTooLarge(long bytesMax) {
    String message =
        "The request body is larger than " + bytesMax + " bytes. Send less, or raise the limit.";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 413, "RequestTooLargeError", message, null);
  }

  static Problem lineTooLong() {
    String message = "The request line is too long.";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 414, "BadRequestError", message, null);
  }

  static Problem encodedBody() {
    String message = "Content-Encoding is not accepted; send the body as it is.";
    return new Problem(ErrorCode.UNSUPPORTED, 415, "BadRequestError", message, null);
  }

  static Problem headersTooLarge() {
    String message = "The request headers are too large.";
    return new Problem(ErrorCode.INVALID_ARGUMENT, 431, "BadRequestError", message, null);
  }
}
