package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Grammar;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import java.nio.charset.StandardCharsets;
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
    Guidance guidance = guidance("(ab)*c", new int[0]);
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
    assertMask(guidance("(ab)*", new int[0]).maskBehind(said(5)), true, 3, 5);
  }

  @Test
  void maskBehind_everyBeginning_isAsIfSaidHere() {
    int[] answer = {5, 3, 4, 6, END};
    for (int known = 0; known <= answer.length; known++) {
      TokenHistory history = said(java.util.Arrays.copyOf(answer, known));
      Guidance later = guidance("(ab)*c", new int[0]);
      Guidance along = guidance("(ab)*c", new int[0]);
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
  void maskBehind_beforeItBegins_isNone() {
    int[] after = {THINK, DONE};
    assertThat(guidance("ab", after).maskBehind(said())).isNull();
    assertThat(guidance("ab", after).maskBehind(said(7, DONE, THINK))).isNull();
    assertThat(guidance("ab", after).maskBehind(said(7, END))).isNull();
    assertMask(guidance("ab", after).maskBehind(said(7, THINK, DONE)), false, 3, 5);
    assertMask(guidance("ab", after).maskBehind(said(7, THINK, DONE, 3)), false, 4);
  }

  @Test
  void maskBehind_markInThePrompt_doesNotCount() {
    TokenHistory history = new TokenHistory(new int[] {7, DONE, 3}, 2);
    assertThat(guidance("ab", new int[] {DONE}).maskBehind(history)).isNull();
  }

  @Test
  void maskBehind_textThatCannotBe_refuses() {
    assertThatThrownBy(() -> guidance("ab", new int[0]).maskBehind(said(6)))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("do not match");
    assertThatThrownBy(() -> guidance("ad", new int[0]).maskBehind(said(3)))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("no token of this model's vocabulary");
  }

  private static TokenHistory said(int... answer) {
    int[] all = IntStream.concat(IntStream.of(PROMPT), IntStream.of(answer)).toArray();
    return new TokenHistory(all, 2);
  }

  private static Guidance guidance(String pattern, int[] beginAfter) {
    Grammar grammar = GrammarCompiler.compile(new Constraint.Regex(pattern), Budget.defaults());
    return new Guidance(new TokenGrammar(grammar, TRIE), new int[] {END}, beginAfter, 2);
  }

  private static void assertMask(@Nullable TokenMask nullable, boolean mayEnd, int... tokens) {
    TokenMask mask = Objects.requireNonNull(nullable);
    assertThat(IntStream.range(0, 64).filter(id -> TokenMask.has(mask.tokens(), id)).toArray())
        .isEqualTo(tokens);
    assertThat(mask.mayEnd()).isEqualTo(mayEnd);
    assertThat(mask.mustEnd()).isEqualTo(tokens.length == 0);
  }
}
