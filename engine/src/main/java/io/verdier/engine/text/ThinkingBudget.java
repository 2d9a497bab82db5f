package io.verdier.engine.text;

import io.verdier.engine.text.reasoning.ReasoningCounter;
import io.verdier.engine.text.reasoning.ReasoningFormat;

/**
 * How long an answer may think, with what is needed to tell. Immutable (the arrays must not be
 * changed).
 *
 * @param text how the answer is read; says how reasoning is marked, and how many tokens it may have
 * @param context the prompt's last tokens: a template may have opened the reasoning there
 * @param ending tokens that spell the end of the reasoning: what is said when they are used up
 */
public record ThinkingBudget(Tokenizer tokenizer, TextParams text, int[] context, int[] ending) {

  /** Most tokens of reasoning. */
  public int tokensMax() {
    return text.thoughtTokensMax();
  }

  /** The text of the tokens as whoever counts them sees it. */
  public Detokenizer detokenizer() {
    return tokenizer.detokenizer(text.skipSpecialTokens(), text.visibleTokens(), context);
  }

  public ReasoningCounter counter() {
    ReasoningFormat format = text.thoughts().orElseThrow();
    return new ReasoningCounter(format, tokenizer.decode(context, false));
  }
}
