package io.verdier.engine.text;

import java.util.List;

/**
 * How the tokens of one sequence become text. Immutable.
 *
 * @param stopStrings end the sequence when they appear in its text; none is empty
 * @param includeStop whether the stop string stays in the text
 * @param skipSpecialTokens whether special tokens are left out of the text
 * @param streaming whether text is wanted as it comes; otherwise only whole
 */
public record TextParams(
    List<String> stopStrings, boolean includeStop, boolean skipSpecialTokens, boolean streaming) {
  public TextParams {
    stopStrings = List.copyOf(stopStrings);
  }
}
