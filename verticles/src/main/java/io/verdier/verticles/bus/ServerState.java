package io.verdier.verticles.bus;

import java.util.List;

/** Where the server stands in its life. A closed choice; published at each change. Immutable. */
public sealed interface ServerState {
  /** The port is open, the model is not there yet. Requests get 503. */
  record Loading() implements ServerState {}

  /**
   * Requests are served.
   *
   * @param cards of the models, at least one but for a node that only keeps blocks; requests that
   *     name none mean the first
   */
  record Ready(List<ModelCard> cards) implements ServerState {
    public Ready {
      cards = List.copyOf(cards);
    }

    /** Of one model. */
    public Ready(ModelCard card) {
      this(List.of(card));
    }
  }

  /**
   * A node without an engine of its own knows none that could serve, and says 503 until it does.
   */
  record Adrift(String reason) implements ServerState {}

  /** SIGTERM came: health is 503, new work is refused, running streams go on until the deadline. */
  record Draining() implements ServerState {}

  /** The deadline passed: what still runs gets an error event and ends now. */
  record Stopping() implements ServerState {}

  /** The engine is gone for good; the process ends with a non-zero status. */
  record Failed(String reason) implements ServerState {}
}
