package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.RegexParser.Extent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Strings of which a pattern and a length are said, counted beside the pattern. 3 s. */
class CountedStringsTest {
  private static final long SEED = Long.getLong("seed", 23);
  private static final TokenTrie TRIE = trie();
  private static final String[] LETTERS = {"a", "b", "é", "😀", "\\n", "\\u00e9", "\\ud83d\\ude00"};
  private static final String[] VALUES = {"a", "b", "é", "😀", "\n", "é", "😀"};

  private static TokenTrie trie() {
    List<byte[]> tokens = new ArrayList<>(SampleVocabulary.tokens(600, SEED));
    String[] more = {
      "ab", "aba", "bb", "aaaa", "b\"", "a\"", "éa", "\\n", "\\u", "00e9", "aab\",\""
    };
    for (String token : more) {
      tokens.add(token.getBytes(StandardCharsets.UTF_8));
    }
    tokens.add(new byte[] {(byte) 0xc3});
    tokens.add(new byte[] {(byte) 0xa9, 'a'});
    return TokenTrie.of(tokens.size(), tokens::get);
  }

  /** Counted beside the automaton, however small the bounds are. */
  private static Grammar counted(String pattern, int min, int max) {
    Expression values = RegexParser.parse(pattern, Extent.WHOLE);
    return Grammar.of(new JsonStrings(Budget.defaults()).of(values, min, max), Budget.defaults());
  }

  private static final String[] PATTERNS = {
    "(ab|c)*",
    "a*b+",
    "(aaaa)*",
    "(a|b){3}(é|a)*",
    "[^b]*b[^b]*",
    "(a{2}|b{5})*é?",
    ".*",
    "a?b?é?",
    "(😀a)*",
    "b|(aab)*",
    "(.a)+\\n?"
  };

  @Test
  void match_anyBounds_isThatOfPatternAndLength() {
    Random random = new Random(SEED);
    int matched = 0;
    for (String pattern : PATTERNS) {
      Pattern oracle = Pattern.compile(pattern, Pattern.DOTALL);
      for (int round = 0; round < 12; round++) {
        int min = random.nextInt(6);
        int max = round % 4 == 0 ? Integer.MAX_VALUE : min + random.nextInt(6);
        StateSpace space;
        try {
          space = new StateSpace(counted(pattern, min, max));
        } catch (GrammarException nothing) {
          assertThat(nothing).hasMessageContaining("no text can match");
          continue;
        }
        for (int i = 0; i < 300; i++) {
          StringBuilder spelled = new StringBuilder("\"");
          StringBuilder value = new StringBuilder();
          for (int length = random.nextInt(9); length > 0; length--) {
            int letter = random.nextInt(random.nextBoolean() ? 2 : LETTERS.length);
            spelled.append(LETTERS[letter]);
            value.append(VALUES[letter]);
          }
          int length = value.codePointCount(0, value.length());
          boolean isDotWithoutLines = pattern.contains(".") && value.indexOf("\n") >= 0;
          if (isDotWithoutLines) {
            continue;
          }
          boolean expected = length >= min && length <= max && oracle.matcher(value).matches();
          matched += expected ? 1 : 0;
          assertThat(matches(space, spelled.append('"').toString()))
              .as("%s {%d,%d}: %s", pattern, min, max, spelled)
              .isEqualTo(expected);
        }
      }
    }
    assertThat(matched).isGreaterThan(500);
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      space.effort().begin();
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  /** What is begun can be ended, and masks are what bytes lead to. */
  @Test
  void allowed_anyWalk_endsWithinTheBounds() {
    Random random = new Random(SEED);
    for (String pattern : PATTERNS) {
      for (int[] bounds : new int[][] {{0, 7}, {5, 8}, {3, Integer.MAX_VALUE}, {90, 101}}) {
        TokenGrammar grammar;
        try {
          grammar = new TokenGrammar(counted(pattern, bounds[0], bounds[1]), TRIE);
        } catch (GrammarException nothing) {
          continue;
        }
        for (int walk = 0; walk < 3; walk++) {
          GrammarState state = grammar.start();
          for (int step = 0; step < 130 && !state.mustEnd(); step++) {
            List<Integer> fitting = fitting(grammar, state);
            assertThat(fitting).as("%s, %d", pattern, step).isNotEmpty();
            int token = fitting.get(random.nextInt(fitting.size()));
            state = Objects.requireNonNull(grammar.next(state, token));
          }
        }
      }
    }
  }

  private static List<Integer> fitting(TokenGrammar grammar, GrammarState state) {
    long[] allowed = grammar.allowed(state);
    List<Integer> fitting = new ArrayList<>();
    for (int token = 0; token < TRIE.vocabularySize(); token++) {
      boolean fits = grammar.next(state, token) != null;
      assertThat((allowed[token >> 6] >>> token & 1) != 0).as("token %d", token).isEqualTo(fits);
      if (fits) {
        fitting.add(token);
      }
    }
    return fitting;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'pattern':'^(ab|c)*$','minLength':20000,'maxLength':20001}",
        "{'format':'uri','minLength':3000,'maxLength':9000}",
        "{'pattern':'^[\\\\p{L} ]+$','maxLength':100000}",
        "{'pattern':'x','maxLength':1000000}",
        "{'pattern':'^a','allOf':[{'pattern':'b$'}],'maxLength':50000}",
        "{'not':{'enum':['a','b']},'minLength':1,'maxLength':8000}"
      })
  void compile_largeBounds_takesFewStates(String schema) {
    String text = "{\"type\":\"string\"," + schema.replace('\'', '"').substring(1);
    Budget budget = TestSchemas.budget();
    Grammar grammar = GrammarCompiler.compile(new JsonSchema(text, JsonStyle.USUAL), budget);
    assertThat(grammar.states()).isLessThan(6000);
    assertThat(grammar.bytes()).isLessThan(4 << 20);
  }

  @Test
  void compile_boundsNoTextHas_isRefused() {
    for (String schema :
        List.of(
            "{\"type\":\"string\",\"pattern\":\"^(aaaa)*$\",\"minLength\":9001,\"maxLength\":9003}",
            "{\"type\":\"string\",\"pattern\":\"^.{3}$\",\"minLength\":4000}")) {
      assertThatThrownBy(
              () ->
                  GrammarCompiler.compile(
                      new JsonSchema(schema, JsonStyle.USUAL), TestSchemas.budget()))
          .as(schema)
          .isInstanceOf(GrammarException.class)
          .hasMessageContaining("no text can match");
    }
  }

  /** There the automaton would have to count, to be told from other names. */
  @Test
  void compile_largeBoundsOfNames_areRefused() {
    String schema = "{\"propertyNames\":{\"pattern\":\"^(ab|c)*$\",\"maxLength\":50000}}";
    assertThatThrownBy(
            () ->
                GrammarCompiler.compile(
                    new JsonSchema(schema, JsonStyle.USUAL), TestSchemas.budget()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("in a name");
  }
}
