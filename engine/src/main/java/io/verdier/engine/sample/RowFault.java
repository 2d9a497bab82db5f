package io.verdier.engine.sample;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;

/**
 * Why a row gave no token, in words: the same ones wherever it was sampled. The first two are the
 * model's fault, the last two the request's.
 */
public final class RowFault {
  private RowFault() {}

  /** A logit of the model is NaN or positive infinity. */
  public static IllegalStateException brokenLogit(int id, float logit) {
    return new IllegalStateException("the model gave the logit " + logit + " for token " + id);
  }

  /** Every logit of the model is negative infinity. */
  public static IllegalStateException brokenRow() {
    return new IllegalStateException("the model gave the logit -Infinity for every token");
  }

  /** The stages mask every token. */
  public static RejectedException noTokenLeft() {
    return new RejectedException(
        ErrorCode.INVALID_ARGUMENT,
        "No token can be chosen: allowed_token_ids, bad_words, min_tokens and what the answer must match together exclude every token of the vocabulary. Allow more tokens or leave one of them out.");
  }

  /** The stages make a sound logit NaN or positive infinity. */
  public static RejectedException refusedLogit(float logit) {
    return new RejectedException(
        ErrorCode.INVALID_ARGUMENT,
        "No token can be chosen: logit_bias and the penalties make a logit %s. Use a repetition_penalty nearer to 1."
            .formatted(logit));
  }
}
