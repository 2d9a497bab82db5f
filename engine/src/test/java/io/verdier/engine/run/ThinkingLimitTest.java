package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import io.verdier.engine.text.DemoTokenizer;
import io.verdier.engine.text.Detokenizer;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.ThinkingBudget;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.reasoning.ReasoningCounter;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class ThinkingLimitTest {
  private static final Tokenizer TOKENIZER = DemoTokenizer.TOKENIZER;
  private static final int[] PROMPT = {7, 3};
  private static final int[] ENDING = TOKENIZER.encode("</think>", false);

  private static ThinkingBudget budget(ReasoningFormat format, int tokensMax, String promptTail) {
    TextParams text =
        new TextParams(
            List.of(),
            false,
            true,
            format.visibleTokens(),
            true,
            Optional.of(format),
            tokensMax,
            "");
    return new ThinkingBudget(
        TOKENIZER,
        text,
        TOKENIZER.encode(promptTail, false),
        TOKENIZER.encode(format.endings().getFirst(), false));
  }

  private static TokenHistory history() {
    return new TokenHistory(PROMPT, PROMPT.length);
  }

  private static void say(TokenHistory history, String text) {
    for (int token : TOKENIZER.encode(text, false)) {
      history.append(token);
    }
  }

  private static @Nullable Integer forced(ThinkingLimit limit, TokenHistory history) {
    TokenMask mask = limit.maskBehind(history);
    if (mask == null) {
      return null;
    }
    assertThat(mask.mayEnd()).isFalse();
    assertThat(mask.mustEnd()).isFalse();
    BitSet tokens = BitSet.valueOf(mask.tokens());
    assertThat(tokens.cardinality()).isEqualTo(1);
    return tokens.nextSetBit(0);
  }

  @Test
  void maskBehind_budgetUsedUp_isTheEndingAndThenNone() {
    assertThat(ENDING).hasSizeGreaterThan(1);
    ThinkingLimit limit = limit(ReasoningFormat.QWEN3, 3, "<think>\n");
    TokenHistory history = history();
    for (int i = 0; i < 3; i++) {
      assertThat(forced(limit, history)).isNull();
      history.append(TOKENIZER.encode("a", false)[0]);
    }
    for (int token : ENDING) {
      assertThat(limit.isOver()).isFalse();
      assertThat(forced(limit, history)).isEqualTo(token);
      assertThat(forced(limit, history)).as("asked again").isEqualTo(token);
      history.append(token);
    }
    assertThat(forced(limit, history)).isNull();
    assertThat(limit.isOver()).isTrue();
    say(history, "<think>long after");
    assertThat(forced(limit, history)).isNull();
  }

  @Test
  void maskBehind_budgetOfNothing_endsAtOnce() {
    assertThat(forced(limit(ReasoningFormat.QWEN3, 0, "<think>\n"), history()))
        .isEqualTo(ENDING[0]);
    assertThat(forced(limit(ReasoningFormat.DEEPSEEK_R1, 0, ""), history())).isEqualTo(ENDING[0]);
    ThinkingLimit undecided = limit(ReasoningFormat.QWEN3, 0, "");
    TokenHistory history = history();
    assertThat(forced(undecided, history)).isNull();
    say(history, "<think>");
    assertThat(forced(undecided, history)).isEqualTo(ENDING[0]);
  }

  @Test
  void maskBehind_noReasoning_isNone() {
    ThinkingLimit closed = limit(ReasoningFormat.QWEN3, 0, "<think>\n\n</think>\n\n");
    assertThat(closed.isOver()).isTrue();
    assertThat(forced(closed, history())).isNull();
    ThinkingLimit undecided = limit(ReasoningFormat.QWEN3, 0, "");
    TokenHistory history = history();
    say(history, "An answer. <think>of nothing");
    assertThat(forced(undecided, history)).isNull();
    assertThat(undecided.isOver()).isTrue();
  }

  @Test
  void maskBehind_endedInTime_isNone() {
    ThinkingLimit limit = limit(ReasoningFormat.QWEN3, 50, "<think>\n");
    TokenHistory history = history();
    say(history, "Hm.</think>");
    assertThat(forced(limit, history)).isNull();
    assertThat(limit.isOver()).isTrue();
  }

  /** Whatever a model says: never more than allowed, and the same for who joins in the middle. */
  @Test
  void maskBehind_anyTokens_reasoningHasNoMoreThanItMay() {
    Random random = new Random(11);
    List<ReasoningFormat> formats = List.of(ReasoningFormat.values());
    int forcedEndings = 0;
    for (int round = 0; round < 400; round++) {
      ReasoningFormat format = formats.get(round % formats.size());
      int tokensMax = random.nextInt(12);
      boolean isOpened = random.nextBoolean();
      String tail = isOpened ? format.openings().getFirst() : "";
      ThinkingBudget budget = budget(format, tokensMax, tail);
      ThinkingLimit limit = new ThinkingLimit(budget, PROMPT.length);
      TokenHistory history = history();
      boolean mayOpen = !isOpened && format != ReasoningFormat.DEEPSEEK_R1; // which is open
      if (mayOpen && random.nextInt(3) > 0) {
        say(history, format.openings().getFirst());
      }
      boolean wasForced = false;
      for (int i = 0; i < 40; i++) {
        Integer next = forced(limit, history);
        ThinkingLimit later = new ThinkingLimit(budget, PROMPT.length);
        assertThat(forced(later, history)).isEqualTo(next);
        assertThat(later.isOver()).isEqualTo(limit.isOver());
        wasForced |= next != null;
        history.append(next != null ? next : random.nextInt(TOKENIZER.vocabSize()));
      }
      assertThat(reasoningTokens(budget, history))
          .as("round %d", round)
          .isLessThanOrEqualTo(tokensMax);
      forcedEndings += wasForced ? 1 : 0;
      assertThat(limit.isOver() || !wasForced).isTrue();
    }
    assertThat(forcedEndings).isGreaterThan(100);
  }

  private static ThinkingLimit limit(ReasoningFormat format, int tokensMax, String promptTail) {
    return new ThinkingLimit(budget(format, tokensMax, promptTail), PROMPT.length);
  }

  /** As the client's usage has them. */
  private static int reasoningTokens(ThinkingBudget budget, TokenHistory history) {
    Detokenizer detokenizer = budget.detokenizer();
    ReasoningCounter counter = budget.counter();
    for (int token : history.copyFrom(PROMPT.length)) {
      counter.append(detokenizer.append(token));
    }
    return counter.count();
  }
}
