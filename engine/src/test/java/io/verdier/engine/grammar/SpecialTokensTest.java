package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Tags whose marks are special tokens, over a vocabulary of all bytes, a token of several, and
 * special ones. Texts are written as they read, a special token as its letter of {@link #SPECIALS}.
 */
class SpecialTokensTest {
  private static final List<String> SPECIALS = List.of("<call>", "</call>", "<plug>", "<other>");
  private static final String LETTERS = "①②③④";
  private static final List<String> MARKS = SPECIALS.subList(0, 3);
  private static final int FIRST = 257;

  private static final TokenTrie TRIE =
      TokenTrie.of(
          FIRST + SPECIALS.size(),
          id -> id < 256 ? new byte[] {(byte) id} : id == 256 ? bytes("<ca") : bytes("bytes"),
          id -> id < FIRST ? null : SPECIALS.get(id - FIRST),
          null);

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static TokenGrammar grammar(String trigger, String begin, List<String> marks) {
    String tag =
        "{\"format\": {\"type\": \"triggered_tags\", \"triggers\": [\""
            + trigger
            + "\"], \"tags\": [{\"begin\": \""
            + begin
            + "\", \"content\": {\"type\": \"regex\", \"pattern\": \"[xy]+\"},"
            + " \"end\": \"</call>\"}]}}";
    Constraint constraint = new Constraint.StructuralTag(tag, JsonStyle.USUAL, marks);
    Budget budget = new Budget(Budget.Limits.defaults(), () -> 0); // whatever else the machine does
    return new TokenGrammar(GrammarCompiler.compile(constraint, budget), TRIE);
  }

  private static List<Integer> tokens(String text) {
    List<Integer> ids = new ArrayList<>();
    for (int at = 0; at < text.length(); at++) {
      int special = LETTERS.indexOf(text.charAt(at));
      if (special >= 0) {
        ids.add(FIRST + special);
      } else {
        for (byte value : bytes(text.substring(at, at + 1))) {
          ids.add(value & 0xff);
        }
      }
    }
    return ids;
  }

  /** Asks the mask before each token, and whether the token then leads on. */
  private static boolean matches(TokenGrammar grammar, List<Integer> ids) {
    @Nullable GrammarState state = grammar.start();
    for (int id : ids) {
      boolean isAllowed = (grammar.allowed(state)[id >> 6] >>> id & 1) != 0;
      state = grammar.next(state, id);
      assertThat(isAllowed).as("token %d of %s", id, ids).isEqualTo(state != null);
      if (state == null) {
        return false;
      }
    }
    return state.mayEnd();
  }

  @Test
  void marks_asTokensAndAsText_areHeldAlike() {
    TokenGrammar grammar = grammar("<call>", "<call>", MARKS);
    for (String open : List.of("①", "<call>")) {
      for (String close : List.of("②", "</call>")) {
        String call = open + "xy" + close;
        for (String good :
            List.of(call, "a<b é " + call, call + " and " + call + "!", "<cal" + call)) {
          assertThat(matches(grammar, tokens(good))).as(good).isTrue();
        }
        for (String bad :
            List.of(
                open,
                open + "z" + close,
                open + close,
                open + "x" + open,
                open + "x",
                call + open + "text",
                open + "x④" + close)) {
          assertThat(matches(grammar, tokens(bad))).as(bad).isFalse();
        }
      }
    }
    assertThat(matches(grammar, List.of(256, (int) 'l', (int) 'l', (int) '>', (int) 'z')))
        .isFalse();
  }

  @Test
  void otherSpecials_andBytesThatNoTextHas_neverFollow() {
    TokenGrammar grammar = grammar("<call>", "<call>", MARKS);
    for (String alone : List.of("②", "③", "④", "text④", "①x③")) {
      assertThat(matches(grammar, tokens(alone))).as(alone).isFalse();
    }
    List<Integer> spelled = new ArrayList<>(List.of(0xff)); // as the trie spells the first one
    spelled.addAll(tokens("<call>"));
    spelled.addAll(List.of(0xff, (int) 'x'));
    assertThat(matches(grammar, spelled)).isFalse();
  }

  @Test
  void marks_ofSeveralTokens_areAllTokensOrAllText() {
    TokenGrammar grammar = grammar("<call><plug>", "<call><plug>\\n", MARKS);
    for (String good : List.of("①③\nx②", "<call><plug>\nx②", "<call> alone", "so ①③\ny</call>")) {
      assertThat(matches(grammar, tokens(good))).as(good).isTrue();
    }
    for (String bad : List.of("① alone", "①③x②", "①③", "③", "<call>③\nx②")) {
      assertThat(matches(grammar, tokens(bad))).as(bad).isFalse();
    }
  }

  @Test
  void tag_withoutMarks_isTextAlone() {
    TokenGrammar grammar = grammar("<call>", "<call>", List.of());
    assertThat(matches(grammar, tokens("<call>x</call>"))).isTrue();
    for (String bad : List.of("①", "①x②", "<call>x②")) {
      assertThat(matches(grammar, tokens(bad))).as(bad).isFalse();
    }
  }
}
