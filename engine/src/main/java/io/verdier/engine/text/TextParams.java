package io.verdier.engine.text;

import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How the tokens of one sequence become text. Immutable.
 *
 * @param stopStrings end the sequence when they appear in its text; none is empty
 * @param includeStop whether the stop string stays in the text
 * @param skipSpecialTokens whether special tokens are left out of the text
 * @param visibleTokens special tokens that are never left out, as the vocabulary spells them: who
 *     reads the text looks for them
 * @param streaming whether text is wanted as it comes; otherwise only whole
 * @param thoughts how reasoning is marked, whose tokens are counted then
 * @param thoughtTokensMax most of those; {@link #UNBOUNDED}: as many as there come
 * @param thoughtsEnd what is said when they are used up; empty: the mark that ends reasoning
 */
public record TextParams(
    List<String> stopStrings,
    boolean includeStop,
    boolean skipSpecialTokens,
    Set<String> visibleTokens,
    boolean streaming,
    Optional<ReasoningFormat> thoughts,
    int thoughtTokensMax,
    String thoughtsEnd) {
  /** As {@link #thoughtTokensMax}. */
  public static final int UNBOUNDED = -1;

  public TextParams {
    stopStrings = List.copyOf(stopStrings);
    visibleTokens = Set.copyOf(visibleTokens);
  }

  /** Without special tokens that anybody looks for. */
  public TextParams(
      List<String> stopStrings, boolean includeStop, boolean skipSpecialTokens, boolean streaming) {
    this(
        stopStrings,
        includeStop,
        skipSpecialTokens,
        Set.of(),
        streaming,
        Optional.empty(),
        UNBOUNDED,
        "");
  }

  /** The same with special tokens that somebody looks for. */
  public TextParams withVisibleTokens(Set<String> tokens) {
    return new TextParams(
        stopStrings,
        includeStop,
        skipSpecialTokens,
        tokens,
        streaming,
        thoughts,
        thoughtTokensMax,
        thoughtsEnd);
  }
}
