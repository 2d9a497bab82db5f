package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Grammar;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class GuidanceTest {
  private static final int END = 0;
  private static final int THINK = 1;
  private static final int DONE = 2;
  private static final String[] TOKENS = {"", "", "", "a", "b", "ab", "c", "x"};
  private static final TokenTrie TRIE =
      TokenTrie.of(TOKENS.length, id -> TOKENS[id].getBytes(StandardCharsets.UTF_8));
  private static final int[] PROMPT = {7, 3};

  @Test
  void maskBehind_wordByWord_saysWhatFollows() {
    TokenHistory history = new TokenHistory(PROMPT, 2);
    Guidance guidance = guidance("(ab)*c", Thinking.NONE);
    assertMask(guidance.maskBehind(history), false, 3, 5, 6);
    history.append(3);
    assertMask(guidance.maskBehind(history), false, 4);
    history.append(4);
    assertMask(guidance.maskBehind(history), false, 3, 5, 6);
    history.append(6);
    assertMask(guidance.maskBehind(history), true);
    history.append(END);
    assertMask(guidance.maskBehind(history), true); // planned before the end was known
  }

  @Test
  void maskBehind_endInTheMiddle_isAllowed() {
    assertMask(guidance("(ab)*", Thinking.NONE).maskBehind(said(5)), true, 3, 5);
  }

  @Test
  void maskBehind_everyBeginning_isAsIfSaidHere() {
    int[] answer = {5, 3, 4, 6, END};
    for (int known = 0; known <= answer.length; known++) {
      TokenHistory history = said(java.util.Arrays.copyOf(answer, known));
      Guidance later = guidance("(ab)*c", Thinking.NONE);
      Guidance along = guidance("(ab)*c", Thinking.NONE);
      TokenHistory growing = new TokenHistory(PROMPT, 2);
      TokenMask mask = Objects.requireNonNull(along.maskBehind(growing));
      for (int i = 0; i < known; i++) {
        growing.append(answer[i]);
        mask = Objects.requireNonNull(along.maskBehind(growing));
      }
      TokenMask other = Objects.requireNonNull(later.maskBehind(history));
      assertThat(other.tokens()).isEqualTo(mask.tokens());
      assertThat(other.mayEnd()).isEqualTo(mask.mayEnd());
      assertThat(other.mustEnd()).isEqualTo(mask.mustEnd());
    }
  }

  @Test
  void maskBehind_thinking_isNoneUpToItsEnd() {
    Thinking open = thinking(true, List.of());
    assertThat(guidance("ab", open).maskBehind(said())).isNull();
    assertThat(guidance("ab", open).maskBehind(said(7, THINK, END))).isNull();
    assertMask(guidance("ab", open).maskBehind(said(7, THINK, DONE)), false, 3, 5);
    assertMask(guidance("ab", open).maskBehind(said(DONE, 3)), false, 4);
  }

  @Test
  void maskBehind_mayThink_opensWithTheFirstTokenOrNever() {
    Thinking undecided = thinking(false, List.of());
    assertMask(guidance("ab", undecided).maskBehind(said()), false, THINK, 3, 5);
    assertMask(guidance("ab", undecided).maskBehind(said(3)), false, 4);
    assertThat(guidance("ab", undecided).maskBehind(said(THINK))).isNull();
    assertThat(guidance("ab", undecided).maskBehind(said(THINK, 7, THINK))).isNull();
    assertMask(guidance("ab", undecided).maskBehind(said(THINK, 7, DONE)), false, 3, 5);
    assertMask(guidance("(ab)?", undecided).maskBehind(said()), true, THINK, 3, 5);
    TokenMask end = Objects.requireNonNull(guidance("", undecided).maskBehind(said()));
    assertThat(end.mayEnd()).isTrue();
    assertThat(end.mustEnd()).isFalse();
  }

  @Test
  void maskBehind_endingOfSeveralTokens_isFoundInTheText() {
    Thinking spelled = thinking(true, List.of("bxa", "cxx"));
    assertThat(guidance("b+", spelled).maskBehind(said(4, 3, 4, 7))).isNull();
    assertMask(guidance("b+", spelled).maskBehind(said(4, 3, 4, 7, 3)), false, 4);
    assertMask(guidance("b+", spelled).maskBehind(said(6, 6, 7, 7)), false, 4);
    // the last token of an ending begins the answer
    assertMask(guidance("b+", spelled).maskBehind(said(5, 7, 5)), true, 4);
    assertThatThrownBy(() -> guidance("a", spelled).maskBehind(said(5, 7, 5)))
        .isInstanceOf(RejectedException.class);
  }

  @Test
  void maskBehind_markInThePrompt_doesNotCount() {
    TokenHistory history = new TokenHistory(new int[] {7, DONE, 3}, 2);
    assertThat(guidance("ab", thinking(true, List.of())).maskBehind(history)).isNull();
  }

  @Test
  void maskBehind_textThatCannotBe_refuses() {
    assertThatThrownBy(() -> guidance("ab", Thinking.NONE).maskBehind(said(6)))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("do not match");
    assertThatThrownBy(() -> guidance("ad", Thinking.NONE).maskBehind(said(3)))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("no token of this model's vocabulary");
  }

  private static TokenHistory said(int... answer) {
    int[] all = IntStream.concat(IntStream.of(PROMPT), IntStream.of(answer)).toArray();
    return new TokenHistory(all, 2);
  }

  private static Thinking thinking(boolean isOpen, List<String> endings) {
    return new Thinking(isOpen, new int[] {THINK}, new int[] {DONE}, endings);
  }

  private static Guidance guidance(String pattern, Thinking thinking) {
    Grammar grammar = GrammarCompiler.compile(new Constraint.Regex(pattern), Budget.defaults());
    return new Guidance(
        new TokenGrammar(grammar, TRIE), new int[] {END}, thinking, 2, SamplingParams.greedy(9));
  }

  private static void assertMask(@Nullable TokenMask nullable, boolean mayEnd, int... tokens) {
    TokenMask mask = Objects.requireNonNull(nullable);
    assertThat(IntStream.range(0, 64).filter(id -> TokenMask.has(mask.tokens(), id)).toArray())
        .isEqualTo(tokens);
    assertThat(mask.mayEnd()).isEqualTo(mayEnd);
    assertThat(mask.mustEnd()).isEqualTo(tokens.length == 0);
  }
}
