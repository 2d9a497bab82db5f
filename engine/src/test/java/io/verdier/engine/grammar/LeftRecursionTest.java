package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Rules that begin with themselves, against a recogniser by tables that does not care. */
class LeftRecursionTest {
  private static final long SEED = Long.getLong("seed", 3);
  private static final int GRAMMARS = 800;
  private static final int LENGTH_MAX = 5;
  private static final int NAMES_MAX = 5;

  /**
   * A grammar as textbooks have it.
   *
   * @param productions by nonterminal; symbols are the letters a and b, and digits of nonterminals
   */
  private record Textbook(List<List<String>> productions) {

    /** Whether the first nonterminal derives the text: the least fixed point over all its spans. */
    boolean matches(String text) {
      int length = text.length();
      boolean[][][] derives = new boolean[productions.size()][length + 1][length + 1];
      boolean changes = true;
      while (changes) {
        changes = false;
        for (int name = 0; name < productions.size(); name++) {
          for (int from = 0; from <= length; from++) {
            for (String production : productions.get(name)) {
              boolean[] ends = ends(production, text, from, derives);
              for (int to = from; to <= length; to++) {
                if (ends[to] && !derives[name][from][to]) {
                  derives[name][from][to] = true;
                  changes = true;
                }
              }
            }
          }
        }
      }
      return derives[0][0][length];
    }

    private static boolean[] ends(String symbols, String text, int from, boolean[][][] derives) {
      boolean[] ends = new boolean[text.length() + 1];
      ends[from] = true;
      for (int i = 0; i < symbols.length(); i++) {
        char symbol = symbols.charAt(i);
        boolean[] next = new boolean[ends.length];
        for (int at = from; at < ends.length; at++) {
          for (int to = at; ends[at] && to < ends.length; to++) {
            next[to] |=
                Character.isDigit(symbol)
                    ? derives[symbol - '0'][at][to]
                    : to == at + 1 && text.charAt(at) == symbol;
          }
        }
        ends = next;
      }
      return ends;
    }

    String gbnf() {
      return text("root", " ::= ");
    }

    String lark() {
      return text("start", ": ");
    }

    private String text(String start, String defines) {
      StringBuilder text = new StringBuilder();
      for (int name = 0; name < productions.size(); name++) {
        text.append(name == 0 ? start : "r" + name).append(defines);
        for (int i = 0; i < productions.get(name).size(); i++) {
          text.append(i == 0 ? "" : " | ");
          String symbols = productions.get(name).get(i);
          for (int j = 0; j < symbols.length(); j++) {
            char symbol = symbols.charAt(j);
            String nonterminal = symbol == '0' ? start : "r" + symbol;
            text.append(Character.isDigit(symbol) ? nonterminal : "\"" + symbol + "\"").append(' ');
          }
        }
        text.append('\n');
      }
      return text.toString();
    }
  }

  private static Textbook textbook(Random random) {
    int names = 1 + random.nextInt(NAMES_MAX);
    List<List<String>> productions = new ArrayList<>();
    for (int name = 0; name < names; name++) {
      List<String> options = new ArrayList<>();
      for (int i = 1 + random.nextInt(3); i > 0; i--) {
        StringBuilder option = new StringBuilder();
        for (int j = random.nextInt(4); j > 0; j--) {
          option.append(
              random.nextBoolean()
                  ? (char) ('a' + random.nextInt(2))
                  : (char) ('0' + random.nextInt(names)));
        }
        options.add(option.toString());
      }
      productions.add(options);
    }
    return new Textbook(productions);
  }

  private static StateSpace space(String rules) {
    return new StateSpace(GrammarCompiler.compile(new Constraint.Rules(rules), untimed()));
  }

  /** The default limits but that of time: the machine may be busy with other things. */
  private static Budget untimed() {
    return new Budget(Budget.Limits.defaults(), () -> 0);
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  private static List<String> texts() {
    List<String> texts = new ArrayList<>(List.of(""));
    for (int i = 0; texts.size() < (1 << (LENGTH_MAX + 1)) - 1; i++) {
      texts.add(texts.get(i) + "a");
      texts.add(texts.get(i) + "b");
    }
    return texts;
  }

  @Test
  void compile_randomGrammars_matchWhatTheTextbookDoes() {
    Random random = new Random(SEED);
    List<String> texts = texts();
    int matching = 0;
    int ambiguous = 0;
    for (int i = 0; i < GRAMMARS; i++) {
      Textbook textbook = textbook(random);
      String rules = i % 2 == 0 ? textbook.gbnf() : textbook.lark();
      @Nullable StateSpace space = null;
      try {
        space = space(rules);
      } catch (GrammarException e) {
        assertThat(e).as("seed %d:\n%s", SEED, rules).hasMessageContaining("no text can match");
      }
      try {
        for (String text : texts) {
          boolean expected = textbook.matches(text);
          matching += expected ? 1 : 0;
          if (expected != (space != null && matches(space, text))) {
            throw new AssertionError("seed %d: '%s' of\n%s".formatted(SEED, text, rules));
          }
        }
      } catch (GrammarException e) {
        assertThat(e).hasMessageContaining("too ambiguous");
        ambiguous++;
      }
    }
    assertThat(matching).isGreaterThan(GRAMMARS);
    assertThat(ambiguous).isLessThan(GRAMMARS / 50);
  }

  @ParameterizedTest
  @CsvSource({
    "a+a*a, true",
    "'(a+a)*(a)', true",
    "a+, false",
    "+a, false",
    "'(a', false",
    "'', false",
    "a-a-a-a+a*a/a, true"
  })
  void compile_arithmeticThatBeginsWithItself_isMatched(String text, boolean expected) {
    String lark =
        """
        start: sum
        ?sum: sum "+" product | sum "-" product -> minus | product
        ?product: product "*" atom | product "/" atom | atom
        atom: "a" | "(" sum ")"
        """;
    String ambiguous =
        """
        root ::= expr
        expr ::= expr [-+*/] expr | "(" expr ")" | "a"
        """;
    assertThat(matches(space(lark), text)).isEqualTo(expected);
    assertThat(matches(space(ambiguous), text)).isEqualTo(expected);
  }

  @Test
  void compile_ambiguousOperators_staysUnambiguous() {
    StateSpace space = space("root ::= root [-+*/] root | \"a\"");
    assertThat(matches(space, "a" + "+a".repeat(20_000))).isTrue();
    assertThat(space.start().places()).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "root ::= root",
        "root ::= a\na ::= b\nb ::= a",
        "root ::= root root",
        "start: start \"x\""
      })
  void compile_nothingButRecursion_matchesNoText(String rules) {
    assertThatThrownBy(() -> space(rules))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("no text can match");
  }

  @Test
  void compile_manyRulesThatBeginWithEachOther_isRefusedByName() {
    StringBuilder rules = new StringBuilder("root ::= r0\n");
    for (int i = 0; i < 60; i++) {
      rules.append("r%d ::= \"x\"".formatted(i));
      for (int j = 0; j < 60; j++) {
        rules.append(" | r%d \"%d\"".formatted(j, i));
      }
      rules.append('\n');
    }
    assertThatThrownBy(() -> space(rules.toString()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("the rule r0 begins with itself");
  }
}
