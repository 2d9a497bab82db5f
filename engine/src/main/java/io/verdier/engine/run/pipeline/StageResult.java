package io.verdier.engine.run.pipeline;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.List;

/** What the last stage tells the first one, in order. A closed choice. Immutable. */
public sealed interface StageResult {

  /**
   * What came of the wanted rows.
   *
   * @param choices one per row, in order
   */
  record Choices(List<Choice> choices) implements StageResult {
    public Choices {
      choices = List.copyOf(choices);
    }
  }

  /** What came of one row. A closed choice. */
  sealed interface Choice {}

  /** A chosen token. */
  record Token(Sampled sampled) implements Choice {}

  /** The score of a given token. */
  record Score(TokenLogprobs logprobs) implements Choice {}

  /**
   * A row that failed; the others are not touched by it.
   *
   * @param code {@link ErrorCode#INTERNAL} where it was not the request's fault
   */
  record Fault(ErrorCode code, String text) implements Choice {}

  /**
   * Hidden states behind the final norm.
   *
   * @param values {@code [rows, hidden]}
   */
  record States(float[] values) implements StageResult {}

  /** All stages have done what went down before it was asked for. */
  record Confirmed() implements StageResult {}

  /** All stages have given their memory back. */
  record Vacated() implements StageResult {}
}
