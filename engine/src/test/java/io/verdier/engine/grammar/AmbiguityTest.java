package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.RegexParser.Extent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Texts with many readings: they are followed together, or given up by a rule of their own. 4 s.
 */
class AmbiguityTest {
  private static final long SEED = Long.getLong("seed", 3);
  private static final TokenTrie TRIE = TestVocabularies.demo();

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static TokenGrammar tokens(Constraint constraint) {
    return new TokenGrammar(GrammarCompiler.compile(constraint, TestSchemas.budget()), TRIE);
  }

  /** At each level a text may be of either option, until the last property tells. */
  @Test
  void next_optionsThatBeginAlikeAtEachLevel_areFollowedTogether() {
    String option =
        "{'type':'object','additionalProperties':false,'required':['in','%s'],"
            + "'properties':{'in':{'$ref':'#/$defs/node'},'%s':{'type':'integer'}}}";
    String schema =
        ("{'$ref':'#/$defs/node','$defs':{'node':{'anyOf':[{'type':'null'},"
                + option.formatted("a", "a")
                + ","
                + option.formatted("b", "b")
                + "]}}}")
            .replace('\'', '"');
    TokenGrammar tokens = tokens(new JsonSchema(schema, new JsonStyle(true, null, false)));
    int depth = 60; // 2^60 readings
    StringBuilder text = new StringBuilder("{\"in\": ".repeat(depth)).append("null");
    Random random = new Random(SEED);
    for (int i = 0; i < depth; i++) {
      text.append(", \"").append("ab".charAt(random.nextInt(2))).append("\": 7}");
    }
    GrammarState state = tokens.start();
    for (byte value : utf8(text.toString())) {
      long[] allowed = tokens.allowed(state);
      int token = onlyByte(value);
      assertThat((allowed[token >> 6] >>> token) & 1).isOne();
      state = Objects.requireNonNull(tokens.next(state, token));
    }
    assertThat(state.mayEnd()).isTrue();
    assertThat(state.mustEnd()).isTrue();
    assertThat(tokens.next(tokens.start(), utf8("{\"in\": {\"in\": null, \"a\": 1, \"b\": 1}")))
        .isNull();
    assertThat(tokens.bytes()).isLessThan(4 << 20);
  }

  private static int onlyByte(byte value) {
    for (int token = 0; token < TRIE.vocabularySize(); token++) {
      if (Arrays.equals(TRIE.bytes(token), new byte[] {value})) {
        return token;
      }
    }
    throw new IllegalStateException("no token for " + value);
  }

  /** Balanced in any of 3 ways each time, and only the counts of them are told at the end. */
  @Test
  void next_manyWaysToSplitAText_matchesWhatAnyOfThemDoes() {
    TokenGrammar tokens =
        tokens(
            new Constraint.Rules(
                "root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | s2\n"
                    + "s2 ::= \"a\" s2 \"c\" | \"x\""));
    for (String end : List.of("bcbcc", "ccccc", "bbbbb", "cbbbb")) {
      GrammarState state = tokens.next(tokens.start(), utf8("aaaaax" + end));
      // the inner ones, which come first, may be c only where s2 is within
      assertThat(state).as(end).isNotNull();
      assertThat(state.mayEnd()).isTrue();
    }
    assertThat(tokens.next(tokens.start(), utf8("aaxbbb"))).isNull();
  }

  @Test
  void next_textsThatEndAnywhere_matchAsLongAsTheyAreFollowed() {
    // of "aaab" one letter may still be closed: the third is within the second
    TokenGrammar tokens =
        tokens(new Constraint.Rules("root ::= root root | \"a\" | \"a\" root \"b\""));
    GrammarState state =
        Objects.requireNonNull(tokens.next(tokens.start(), utf8("aaab".repeat(30))));
    assertThat(state.mayEnd()).isTrue();
    assertThat(tokens.next(state, utf8("b".repeat(31)))).isNull();
    assertThat(tokens.next(state, utf8("b".repeat(30)))).isNotNull();
  }

  /** What a step of a text leads to, or that it does not. */
  private record Outcome(@Nullable List<Long> mask, boolean mayEnd) {}

  private static Outcome outcome(Supplier<TokenGrammar> grammars, List<Integer> said) {
    try {
      TokenGrammar grammar = grammars.get();
      GrammarState state = grammar.start();
      for (int token : said) {
        state = Objects.requireNonNull(grammar.next(state, token));
      }
      return new Outcome(Arrays.stream(grammar.allowed(state)).boxed().toList(), state.mayEnd());
    } catch (GrammarException tooMuch) {
      return new Outcome(null, false);
    }
  }

  /** Small bounds, so that many are met. */
  private static TokenGrammar small(Grammar grammar, long spaceBytes, MaskStore store) {
    return new TokenGrammar(new StateSpace(grammar, new Effort(900, 80), spaceBytes), TRIE, store);
  }

  /**
   * Whatever was asked before: nothing, the same, other texts; and however much of that is
   * remembered.
   */
  @Test
  void allowed_nearItsBounds_failsByTheTextAlone() {
    Random random = new Random(SEED);
    int refused = 0;
    int served = 0;
    for (int i = 0; i < 60; i++) {
      Grammar grammar;
      try {
        List<Expression> rules = List.of(drawn(random, 3), drawn(random, 3), drawn(random, 2));
        grammar = Grammar.of(rules, Budget.defaults());
      } catch (GrammarException unusable) {
        continue;
      }
      TokenGrammar warm = small(grammar, 4 << 20, new MaskStore());
      TokenGrammar forgetful = small(grammar, 2000, new MaskStore(1));
      TokenGrammar mixed = small(grammar, 20_000, new MaskStore(100_000));
      for (int walk = 0; walk < 4; walk++) {
        List<Integer> said = new ArrayList<>();
        for (int step = 0; step < 14; step++) {
          Outcome fresh = outcome(() -> small(grammar, 4 << 20, new MaskStore()), said);
          for (TokenGrammar other : List.of(warm, forgetful, mixed, warm)) {
            assertThat(outcome(() -> other, said)).as("seed %d, %d", SEED, i).isEqualTo(fresh);
          }
          refused += fresh.mask == null ? 1 : 0;
          served += fresh.mask == null ? 0 : 1;
          int next = fresh.mask == null ? -1 : any(fresh.mask, random);
          if (next < 0) {
            break;
          }
          said.add(next);
        }
      }
    }
    assertThat(refused).as("of %d", served).isGreaterThan(20);
    assertThat(served).isGreaterThan(200);
  }

  private static int any(List<Long> mask, Random random) {
    int[] fitting =
        IntStream.range(0, TRIE.vocabularySize())
            .filter(t -> ((mask.get(t >> 6) >>> t) & 1) != 0)
            .toArray();
    return fitting.length == 0 ? -1 : fitting[random.nextInt(fitting.length)];
  }

  private static final String[] ATOMS = {
    "[a-z ]", "[^\"]", "\"", ",", "a", "e", "te", "\\d", "é", "\\w", ".", "[a-m]", "[^,]"
  };

  private static Expression drawn(Random random, int depth) {
    int kind = depth == 0 ? 0 : random.nextInt(9);
    return switch (kind) {
      case 1, 2 -> Expression.sequence(drawn(random, depth - 1), drawn(random, depth - 1));
      case 3 -> new Choice(List.of(drawn(random, depth - 1), drawn(random, depth - 1)));
      case 4 -> Expression.any(drawn(random, depth - 1));
      case 5, 6 -> {
        int min = random.nextInt(3) * random.nextInt(9);
        yield new Repeat(drawn(random, depth - 1), min, Math.max(1, min) + 530);
      }
      case 7 -> new Call(random.nextInt(3));
      case 8 -> {
        Expression values = RegexParser.parse("([a-z]*[0-9]?)*", Extent.WHOLE);
        int min = random.nextInt(4);
        yield new JsonStrings(Budget.defaults()).of(values, min, min + random.nextInt(40));
      }
      default -> RegexParser.parse(ATOMS[random.nextInt(ATOMS.length)], Extent.WHOLE);
    };
  }

  @Test
  void next_thousandsOfReadings_areGivenUpAtTheSamePlace() {
    // each letter may end any of the repetitions
    Expression part = new Repeat(new Chars(CodePoints.range('a', 'b')), 1, 30_000);
    Grammar grammar = Grammar.of(Expression.sequence(part, part, part, part), Budget.defaults());
    StateSpace space = new StateSpace(grammar, new Effort(100_000, 2500), 1 << 20);
    TokenGrammar tokens = new TokenGrammar(space, TRIE, new MaskStore());
    int first = followed(tokens);
    assertThat(first).isBetween(50, 1000);
    assertThat(followed(tokens)).isEqualTo(first);
    assertThat(tokens.bytes()).isLessThan(3 << 20);
  }

  private static int followed(TokenGrammar tokens) {
    GrammarState state = tokens.start();
    for (int i = 0; ; i++) {
      try {
        state = Objects.requireNonNull(tokens.next(state, new byte[] {'a'}));
      } catch (GrammarException tooMuch) {
        assertThat(tooMuch).hasMessageContaining("too ambiguous");
        return i;
      }
    }
  }
}
