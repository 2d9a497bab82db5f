package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.RegexParser.Extent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Masks and states over tokens, against trying every token by itself. */
class TokenGrammarTest {
  private static final long SEED = Long.getLong("seed", 5);
  private static final TokenTrie TRIE = trie();

  /**
   * Every byte, and pieces that break rules apart in all ways, duplicates and special tokens too.
   */
  private static TokenTrie trie() {
    List<byte[]> tokens = new ArrayList<>();
    tokens.add(new byte[0]);
    for (int value = 0; value < 256; value++) {
      tokens.add(new byte[] {(byte) value});
    }
    Random random = new Random(SEED);
    String[] pieces = {
      "[", "]", "[[", "]]", "],", ",[", "a", "ab", "\"", "\",\"", "1", "12", "-", "é", "日本", "{",
      "}", ":", " "
    };
    for (int i = 0; i < 600; i++) {
      StringBuilder token = new StringBuilder();
      for (int parts = 1 + random.nextInt(4); parts > 0; parts--) {
        token.append(pieces[random.nextInt(pieces.length)]);
      }
      byte[] bytes = token.toString().getBytes(StandardCharsets.UTF_8);
      tokens.add(random.nextInt(10) == 0 ? Arrays.copyOf(bytes, 1 + bytes.length / 2) : bytes);
    }
    return TokenTrie.of(tokens.size(), tokens::get);
  }

  private static Expression regex(String pattern) {
    return RegexParser.parse(pattern, Extent.WHOLE);
  }

  static List<List<Expression>> grammars() {
    Expression list =
        Expression.sequence(
            Expression.text("["),
            Expression.optional(
                Expression.sequence(
                    new Call(0),
                    Expression.any(Expression.sequence(Expression.text(","), new Call(0))))),
            Expression.text("]"));
    Expression value = Expression.choice(new Call(1), new Call(2), regex("-?\\d+"));
    return List.of(
        List.of(regex("[ab]+(\"[^\"]*\",?)*")),
        List.of(value, list, regex("\"[^\"]*\"")),
        List.of(
            Expression.sequence(
                Expression.text("["),
                new Repeat(regex("[^\\[\\]]"), 3, 2000),
                Expression.text("]"))),
        List.of(new Repeat(new Call(1), 2, 700), Expression.choice(Expression.text("a"), list(1))),
        List.of(Expression.choice(new Call(1), new Call(2)), regex("a*1"), regex("a*12?")),
        List.of(new Expression.Both(regex("[a-z]{2,9}"), new Expression.Except(regex(".*ab.*")))));
  }

  private static Expression list(int rule) {
    return Expression.sequence(
        Expression.text("["), Expression.any(new Call(rule)), Expression.text("]"));
  }

  @ParameterizedTest
  @MethodSource("grammars")
  void allowed_anyState_isWhatCanBeCompleted(List<Expression> rules) {
    TokenGrammar grammar = new TokenGrammar(Grammar.of(rules, Budget.defaults()), TRIE);
    Random random = new Random(SEED);
    for (int run = 0; run < 20; run++) {
      GrammarState state = grammar.start();
      for (int step = 0; step < 25 && !state.mustEnd(); step++) {
        List<Integer> fitting = new ArrayList<>();
        long[] allowed = grammar.allowed(state);
        for (int token = 0; token < TRIE.vocabularySize(); token++) {
          boolean expected = grammar.next(state, token) != null;
          assertThat(((allowed[token >> 6] >>> token) & 1) != 0)
              .as("token %d", token)
              .isEqualTo(expected);
          if (expected) {
            fitting.add(token);
          }
        }
        assertThat(fitting.isEmpty()).isEqualTo(state.mustEnd());
        state =
            Objects.requireNonNull(
                grammar.next(state, fitting.get(random.nextInt(fitting.size()))));
      }
    }
  }

  @Test
  void next_sameBytesInOtherTokens_givesEqualState() {
    TokenGrammar grammar = new TokenGrammar(Grammar.of(grammars().get(1), Budget.defaults()), TRIE);
    byte[] text = "[[1,\"a".getBytes(StandardCharsets.UTF_8);
    @Nullable GrammarState whole = grammar.next(grammar.start(), text);
    GrammarState state = grammar.start();
    for (byte value : text) {
      state = Objects.requireNonNull(grammar.next(state, new byte[] {value}));
    }
    assertThat(state).isSameAs(whole);
  }

  @Test
  void next_deepNesting_needsNoStackOfTheThread() {
    TokenGrammar grammar = new TokenGrammar(Grammar.of(grammars().get(1), Budget.defaults()), TRIE);
    int depth = 100_000;
    byte[] text = ("[".repeat(depth) + "]".repeat(depth)).getBytes(StandardCharsets.UTF_8);
    @Nullable GrammarState state = grammar.next(grammar.start(), text);
    assertThat(state).isNotNull();
    assertThat(state.mustEnd()).isTrue();
  }

  @Test
  void compile_ruleThatBeginsWithItself_isRefused() {
    List<Expression> rules =
        List.of(
            Expression.choice(
                Expression.sequence(new Call(0), Expression.text("a")), Expression.text("b")));
    assertThatThrownBy(() -> Grammar.of(rules, Budget.defaults()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("left recursion");
  }

  @Test
  void compile_ruleWithoutEnd_isRefused() {
    assertThatThrownBy(
            () ->
                Grammar.of(
                    Expression.sequence(Expression.text("a"), new Call(0)), Budget.defaults()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("no text can match");
  }

  @Test
  void compile_optionWithoutEnd_isTakenOut() {
    List<Expression> rules =
        List.of(
            Expression.choice(
                Expression.text("a"), Expression.sequence(Expression.text("b"), new Call(1))),
            Expression.sequence(Expression.text("c"), new Call(1)));
    TokenGrammar grammar = new TokenGrammar(Grammar.of(rules, Budget.defaults()), TRIE);
    assertThat(grammar.next(grammar.start(), new byte[] {'b'})).isNull();
    assertThat(grammar.next(grammar.start(), new byte[] {'a'})).isNotNull();
  }
}
