package io.verdier.engine;

/**
 * Why a request got no answer. A closed table: the HTTP layer maps each to a status in one place.
 */
public enum ErrorCode {
  /** The request breaks a rule or a limit; sending it again cannot help. */
  INVALID_ARGUMENT,
  /** The named model, adapter or route does not exist. */
  NOT_FOUND,
  /** The request is well formed but asks for what this server does not do. */
  UNSUPPORTED,
  /** Too much work is queued; later may succeed. */
  OVERLOADED,
  /** The server is loading or shutting down. */
  UNAVAILABLE,
  /** The deadline passed. */
  TIMED_OUT,
  /** Our bug: the request failed through no fault of its own. */
  INTERNAL
}
