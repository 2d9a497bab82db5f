package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import io.verdier.engine.grammar.RegexParser.Extent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every way to make a mask, against a plain walk of bytes for every token. */
class MaskTest {
  private static final long SEED = Long.getLong("seed", 17);
  private static final TokenTrie TRIE = trie();

  /** As a model's, with what tears characters, rules and counts apart. */
  private static TokenTrie trie() {
    List<byte[]> tokens = new ArrayList<>(SampleVocabulary.tokens(5000, SEED));
    Random random = new Random(SEED);
    String[] pieces = {
      "a", "en", "te", "\"", "\\", "\\n", "\\u00", ",", "]", "é", "日", "😀", "1", " "
    };
    for (int i = 0; i < 1500; i++) {
      StringBuilder token = new StringBuilder();
      for (int parts = 1 + random.nextInt(9); parts > 0; parts--) {
        token.append(pieces[random.nextInt(pieces.length)]);
      }
      byte[] bytes = token.toString().getBytes(StandardCharsets.UTF_8);
      int from = random.nextInt(6) == 0 ? 1 : 0;
      int to = random.nextInt(6) == 0 ? bytes.length - 1 : bytes.length;
      tokens.add(from < to ? Arrays.copyOfRange(bytes, from, to) : bytes);
    }
    tokens.add(new byte[0]);
    return TokenTrie.of(tokens.size(), tokens::get);
  }

  private static Expression regex(String pattern) {
    return RegexParser.parse(pattern, Extent.WHOLE);
  }

  private static final String CHARACTER =
      "([^\"\\\\\\x00-\\x1f]|\\\\([\"\\\\/bfnrt]|u[0-9a-fA-F]{4}))";

  private static Expression quoted(int min, int max) {
    return Expression.sequence(
        Expression.text("\""), new Repeat(regex(CHARACTER), min, max), Expression.text("\""));
  }

  private static Expression list(Expression item, int min, int max) {
    return Expression.sequence(
        Expression.text("["),
        item,
        new Repeat(Expression.sequence(Expression.text(","), item), min, max),
        Expression.text("]"));
  }

  static List<List<Expression>> grammars() {
    Expression string = regex("\"" + CHARACTER + "*\"");
    return List.of(
        List.of(string),
        List.of(list(new Call(1), 0, Repeat.UNBOUNDED), string),
        List.of(list(new Call(1), 2, 3000), string),
        List.of(list(quoted(1, 200), 0, 9)),
        List.of(list(quoted(0, 20), 40, 60)),
        List.of(quoted(30, 31)),
        List.of(quoted(3, Repeat.UNBOUNDED)),
        List.of(quoted(900, 900)),
        List.of(regex(".{1,5000}")),
        List.of(regex("[a-z]+( [a-z]+)*")),
        List.of(regex("\\p{L}+( \\p{L}+)*\\.")),
        List.of(list(new Call(1), 0, 9), regex("[A-Za-z_][A-Za-z0-9_]{0,63}")),
        List.of(list(new Call(1), 0, 600), regex("[a-z]*")),
        List.of(new Repeat(regex("[^\"]{0,3}\""), 2, 300)),
        List.of(
            Expression.choice(
                new Repeat(regex("[a-n]"), 0, 600), new Repeat(regex("\\w"), 5, 601))),
        List.of(
            Expression.sequence(
                new Repeat(regex("[a-z]"), 2, 550), regex("[a-z]{3}1"), regex("[^x日]*"))));
  }

  @ParameterizedTest
  @MethodSource("grammars")
  void allowed_anyState_isWhatBytesLetThrough(List<Expression> rules) {
    checkWalks(Grammar.of(rules, Budget.defaults()), new Random(SEED), 3);
  }

  /** Texts that run into the limits of counts, too. */
  private static void checkWalks(Grammar grammar, Random random, int walks) {
    TokenGrammar tokens = new TokenGrammar(grammar, TRIE);
    for (int walk = 0; walk < walks; walk++) {
      GrammarState state = tokens.start();
      for (int step = 0; step < 25 && !state.mustEnd(); step++) {
        int[] fitting = check(tokens, grammar, state);
        if (fitting.length == 0) {
          break;
        }
        // long tokens at first, so that counts get somewhere
        int token = fitting[random.nextInt(fitting.length)];
        for (int i = 0; i < 3 && random.nextBoolean(); i++) {
          int other = fitting[random.nextInt(fitting.length)];
          token = TRIE.bytes(other).length > TRIE.bytes(token).length ? other : token;
        }
        state = Objects.requireNonNull(tokens.next(state, token));
      }
    }
  }

  /** Against states of their own, which no mask has touched. */
  private static int[] check(TokenGrammar tokens, Grammar grammar, GrammarState state) {
    long[] allowed = tokens.allowed(state).clone();
    StateSpace plain = new StateSpace(grammar);
    GrammarState[] reached = new GrammarState[TRIE.nodes()];
    long[] expected = new long[TRIE.words()];
    int[] path = new int[TRIE.depthMax() + 1];
    for (int node = 0; node < TRIE.nodes(); node++) {
      int depth = TRIE.depth(node);
      path[depth] = node;
      GrammarState from = depth == 0 ? state : reached[path[depth - 1]];
      plain.effort().begin();
      reached[node] = from == null ? null : plain.stepped(from, TRIE.label(node));
      for (int i = TRIE.tokensStart(node); i < TRIE.tokensEnd(node); i++) {
        int token = TRIE.token(i);
        expected[token >> 6] |= reached[node] == null ? 0 : 1L << token;
      }
    }
    int[] differing =
        IntStream.range(0, TRIE.vocabularySize())
            .filter(t -> (((allowed[t >> 6] ^ expected[t >> 6]) >>> t) & 1) != 0)
            .toArray();
    assertThat(differing).as("seed %d", SEED).isEmpty();
    return IntStream.range(0, TRIE.vocabularySize())
        .filter(t -> ((expected[t >> 6] >>> t) & 1) != 0)
        .toArray();
  }

  @Test
  void allowed_randomGrammars_isWhatBytesLetThrough() {
    Random random = new Random(SEED);
    int compiled = 0;
    int refused = 0;
    for (int i = 0; i < 40; i++) {
      List<Expression> rules =
          List.of(drawn(random, 3), drawn(random, 2), drawn(random, 1), drawn(random, 1));
      Grammar grammar;
      try {
        grammar = Grammar.of(rules, Budget.defaults());
      } catch (GrammarException unusable) {
        continue; // left recursion, or nothing matches
      }
      compiled++;
      try {
        checkWalks(grammar, random, 1);
      } catch (GrammarException ambiguous) {
        refused++;
      }
    }
    assertThat(compiled).isGreaterThan(8);
    assertThat(refused).isLessThan(compiled / 4);
  }

  private static final String[] ATOMS = {
    "[a-z]",
    "[^\"]",
    "[^\"\\\\]",
    "\"",
    ",",
    "a",
    "te",
    "\\d",
    "é",
    "[é-日]",
    "\\w",
    ".",
    "\\\\n",
    "\\]"
  };

  private static Expression drawn(Random random, int depth) {
    int kind = depth == 0 ? 0 : random.nextInt(8);
    return switch (kind) {
      case 1, 2 -> new Sequence(List.of(drawn(random, depth - 1), drawn(random, depth - 1)));
      case 3 -> new Choice(List.of(drawn(random, depth - 1), drawn(random, depth - 1)));
      case 4 -> Expression.any(drawn(random, depth - 1));
      case 5, 6 -> {
        int min = random.nextInt(3) * random.nextInt(30);
        int more = random.nextBoolean() ? random.nextInt(20) : 520;
        yield new Repeat(drawn(random, depth - 1), min, Math.max(1, min + more));
      }
      case 7 -> new Call(1 + random.nextInt(3));
      default -> regex(ATOMS[random.nextInt(ATOMS.length)]);
    };
  }

  @Test
  void forced_oneWayOn_isThatUpToAChoiceOrTheEnd() {
    assertThat(forced("(abc|abd)e", "")).isEqualTo("ab");
    assertThat(forced("(abc|abd)e", "abd")).isEqualTo("e");
    assertThat(forced("(abc|abd)e", "abde")).isEmpty();
    assertThat(forced("ab(cd)?", "")).isEqualTo("ab");
    assertThat(forced("ab(cd)?", "abc")).isEqualTo("d");
    assertThat(forced("[ab]c", "")).isEmpty();
    assertThat(forced("日(a|b)", "")).isEqualTo("日");
    assertThat(forced("x{1000}", "")).hasSize(ForcedText.BYTES_MAX);
    assertThat(forced("(ab){900}c", "ab".repeat(899))).isEqualTo("abc");
  }

  private static String forced(String pattern, String before) {
    TokenGrammar tokens = new TokenGrammar(Grammar.of(regex(pattern), Budget.defaults()), TRIE);
    GrammarState state =
        Objects.requireNonNull(
            tokens.next(tokens.start(), before.getBytes(StandardCharsets.UTF_8)));
    return new String(tokens.forced(state), StandardCharsets.UTF_8);
  }

  @Test
  void allowed_storeOfOneMask_givesTheSame() {
    Grammar grammar = Grammar.of(grammars().get(3), Budget.defaults());
    MaskStore small = new MaskStore(1);
    TokenGrammar scant = new TokenGrammar(grammar, TRIE, small);
    TokenGrammar ample = new TokenGrammar(grammar, TRIE);
    GrammarState a = scant.start();
    GrammarState b = ample.start();
    for (byte value : "[\"ab\",\"c".getBytes(StandardCharsets.UTF_8)) {
      assertThat(scant.allowed(a)).isEqualTo(ample.allowed(b));
      a = Objects.requireNonNull(scant.next(a, new byte[] {value}));
      b = Objects.requireNonNull(ample.next(b, new byte[] {value}));
    }
    assertThat(small.bytes()).isLessThan(20_000);
    scant.release();
    assertThat(small.bytes()).isZero();
  }

  @Test
  void next_moreStatesThanAreKept_goesOn() {
    Grammar grammar = Grammar.of(new Repeat(regex("[a-z]"), 1, 200_000), Budget.defaults());
    TokenGrammar tokens = new TokenGrammar(grammar, TRIE);
    GrammarState start = tokens.start();
    GrammarState state = start;
    for (int i = 0; i < 60_000; i++) {
      state = Objects.requireNonNull(tokens.next(state, new byte[] {'a'}));
    }
    assertThat(tokens.bytes()).isLessThan(6 << 20);
    assertThat(check(tokens, grammar, state)).isNotEmpty();
    assertThat(check(tokens, grammar, start)).isNotEmpty();
  }

  @Test
  void next_ambiguousGrammar_fails() {
    // each letter may end any of the repetitions: thousands of readings
    Expression part = new Repeat(new Chars(CodePoints.range('a', 'b')), 1, 3000);
    Grammar grammar = Grammar.of(Expression.sequence(part, part, part, part), Budget.defaults());
    TokenGrammar tokens = new TokenGrammar(grammar, TRIE);
    assertThatThrownBy(
            () -> {
              GrammarState state = tokens.start();
              for (int i = 0; i < 2000; i++) {
                state = Objects.requireNonNull(tokens.next(state, new byte[] {'a'}));
              }
            })
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("too ambiguous");
  }
}
