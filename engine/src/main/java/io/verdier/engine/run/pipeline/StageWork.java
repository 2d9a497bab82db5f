package io.verdier.engine.run.pipeline;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenMask;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What goes down the pipeline, from the first stage to the last one, in order. A closed choice.
 * Immutable, but for the rows, which belong to whoever has them.
 *
 * <p>Every piece says all that is needed to compute it, block tables included: a stage remembers
 * keys and values and nothing else, the last one also the tokens of sequences that it has chosen
 * for.
 */
public sealed interface StageWork {

  /**
   * Some rows of a step, behind the layers of the stages before.
   *
   * @param first of the step's rows
   * @param slices of sequences, end to end
   * @param values {@code [rows, hidden]} f32, the residual stream; whoever gets them may change
   *     them
   */
  record Rows(int first, List<Slice> slices, float[] values) implements StageWork {
    public Rows {
      slices = List.copyOf(slices);
    }
  }

  /**
   * A run of consecutive tokens of one sequence.
   *
   * @param position of the first one
   * @param table the sequence's blocks, up to the last one that is needed
   */
  record Slice(int position, int count, int[] table) {}

  /**
   * The rows of the last step from which tokens are to be chosen or scored; answered by {@link
   * StageResult.Choices}.
   *
   * @param forgotten sequences that the last stage need not remember any more
   */
  record Choose(long[] forgotten, List<Wanted> wanted) implements StageWork {
    public Choose {
      wanted = List.copyOf(wanted);
    }
  }

  /**
   * A row and what is wanted of it.
   *
   * @param row of the step
   * @param position of the row's token in its sequence
   * @param id of the sequence, which no other one ever has
   * @param start where the last stage does not know it yet
   * @param given the token to score, or {@link #CHOOSE}
   * @param known tokens before the added ones
   * @param added tokens that the last stage does not know yet
   * @param mask what may follow them; null: anything
   */
  record Wanted(
      int row,
      int position,
      long id,
      @Nullable Start start,
      int given,
      int known,
      int[] added,
      @Nullable Mask mask) {
    /** In place of a given token: one is to be chosen. */
    public static final int CHOOSE = -1;
  }

  /**
   * A sequence enters the last stage.
   *
   * @param tokens all that are known, prompt first
   */
  record Start(int[] tokens, int promptTokens, SamplingParams params) {}

  /**
   * What a constraint lets follow, as {@link TokenMask} has it.
   *
   * @param tokens a bit for each
   */
  record Mask(long[] tokens, boolean mayEnd, boolean mustEnd) implements TokenMask {}

  /** Hidden states of these rows of the last step are wanted: {@link StageResult.States}. */
  record Pool(int[] rows) implements StageWork {}

  /** Whether all of the work before is done: {@link StageResult.Confirmed}. */
  record Confirm() implements StageWork {}

  /** All stages give their caches' memory back: {@link StageResult.Vacated}. */
  record Vacate() implements StageWork {}
}
