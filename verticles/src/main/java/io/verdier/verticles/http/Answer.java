package io.verdier.verticles.http;

import io.verdier.verticles.bus.Delta;

/**
 * What becomes of the news of a {@link Flight}. Called on the event loop of the connection; at most
 * one of {@link #onEnd} and {@link #onFailure}, once.
 */
public interface Answer {
  /** News of one choice; never of a failure. */
  void onDelta(Sequence sequence, int choice, Delta delta);

  /** Every choice has ended well. */
  void onEnd(Usage usage);

  /** The request failed; what else ran for it is cancelled. */
  void onFailure(Problem problem);
}
