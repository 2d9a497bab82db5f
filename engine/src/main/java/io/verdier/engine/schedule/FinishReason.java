package io.verdier.engine.schedule;

/** How a sequence ended. Exactly one per sequence. */
public enum FinishReason {
  /** A stop token or a stop string. */
  STOP,
  /** {@code max_tokens} or the model's length. */
  LENGTH,
  /** It said the same over and over. */
  REPETITION,
  /** Cancelled from outside. */
  ABORT,
  /** It failed, or was refused. */
  ERROR
}
