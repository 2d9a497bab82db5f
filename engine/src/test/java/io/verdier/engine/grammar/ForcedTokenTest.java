package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Which token must come next, over a vocabulary that spells texts by its longest tokens. */
class ForcedTokenTest {
  private static final List<String> TOKENS =
      List.of(":", ";", ",", "!", "<", ":;", ":;,", "!<", "é", "[end]");
  private static final int END = TOKENS.size() - 1;
  private static final int HALF = TOKENS.size(); // of é
  private static final int NONE = -1;

  @Test
  void forcedToken_textWithoutChoice_isItsSpelling() {
    assertThat(run(":;,:;", "")).isEqualTo(":;, :;");
    assertThat(run(":;,:;", ":")).as("what was said is not spelled anew").isEqualTo("; , :;");
    assertThat(run("<(:;,){3}", "")).isEqualTo("< :;, :;, :;,");
  }

  @Test
  void forcedToken_longerTokenMayFollow_isHeldBack() {
    assertThat(run("<:(;|!)", "")).as("longer or not").isEqualTo("<");
    assertThat(run("<:(,|!)", "")).as("there is no longer one").isEqualTo("< :");
    assertThat(run("<:;(,|!)", "")).as("longer or not").isEqualTo("<");
    assertThat(run("<:;(;|!)", "")).as("the longer one is not allowed").isEqualTo("< :;");
    assertThat(run("<!(<|:)", "")).isEqualTo("<");
  }

  @Test
  void forcedToken_wordMayGoOn_isHeldBack() {
    assertThat(run("<:é(é|:)", "")).as("with the sign before it").isEqualTo("<");
    assertThat(run("<:é(!|:)", "")).isEqualTo("< : é");
  }

  @Test
  void forcedToken_textMayEnd_isNone() {
    assertThat(run("(:;,)*", "")).isEmpty();
    assertThat(run(":;(,:;)?", "")).as("a longer one or not").isEmpty();
    assertThat(run(":;(!<)?", "")).isEqualTo(":;");
    assertThat(run(":;(,:;)?", ":;,")).isEqualTo(":;");
  }

  @Test
  void forcedToken_longText_isWorkedOutInPieces() {
    assertThat(run("(:;,!<){40}", "").split(" ")).hasSize(80);
  }

  @Test
  void forcedToken_withinACharacter_isNone() {
    TokenTrie trie = trie(ForcedTokenTest::longest);
    TokenGrammar grammar = grammar("<é:", trie);
    GrammarState state = grammar.start();
    assertThat(grammar.forcedToken(state)).isEqualTo(TOKENS.indexOf("<"));
    state = next(grammar, state, "<".getBytes(StandardCharsets.UTF_8));
    assertThat(grammar.forcedToken(state)).isEqualTo(TOKENS.indexOf("é"));
    state = next(grammar, state, new byte[] {(byte) 0xc3});
    assertThat(grammar.forcedToken(state)).isEqualTo(NONE);
  }

  @Test
  void forcedToken_spellingOfOtherBytes_isNone() {
    TokenTrie marking = trie(text -> longest("<" + text)); // as some mark the beginning of a text
    assertThat(grammar(":;,:;", marking).forcedToken(grammar(":;,:;", marking).start()))
        .isEqualTo(NONE);
    TokenTrie special = trie(text -> new int[] {END});
    assertThat(grammar("\\[end\\]", special).forcedToken(grammar("\\[end\\]", special).start()))
        .isEqualTo(NONE);
    TokenTrie unknown = trie(text -> new int[] {1000});
    assertThat(grammar(":;", unknown).forcedToken(grammar(":;", unknown).start())).isEqualTo(NONE);
  }

  @Test
  void forcedToken_withoutAnEncoder_isNone() {
    TokenTrie plain = trie(null);
    assertThat(grammar(":;,", plain).forcedToken(grammar(":;,", plain).start())).isEqualTo(NONE);
  }

  /** The tokens that follow each other behind some text. */
  private static String run(String pattern, String before) {
    TokenGrammar grammar = grammar(pattern, trie(ForcedTokenTest::longest));
    GrammarState state = next(grammar, grammar.start(), before.getBytes(StandardCharsets.UTF_8));
    StringBuilder run = new StringBuilder();
    for (int token = grammar.forcedToken(state); token != NONE; ) {
      run.append(run.isEmpty() ? "" : " ").append(TOKENS.get(token));
      state = next(grammar, state, TOKENS.get(token).getBytes(StandardCharsets.UTF_8));
      token = grammar.forcedToken(state);
    }
    return run.toString();
  }

  private static GrammarState next(TokenGrammar grammar, GrammarState state, byte[] bytes) {
    GrammarState next = grammar.next(state, bytes);
    assertThat(next).isNotNull();
    return next == null ? state : next;
  }

  private static TokenGrammar grammar(String pattern, TokenTrie trie) {
    return new TokenGrammar(
        GrammarCompiler.compile(new Constraint.Regex(pattern), Budget.defaults()), trie);
  }

  private static TokenTrie trie(TokenTrie.@Nullable Encoder encoder) {
    return TokenTrie.of(
        TOKENS.size() + 2,
        id ->
            id == END
                ? null
                : id < END
                    ? TOKENS.get(id).getBytes(StandardCharsets.UTF_8)
                    : new byte[] {(byte) (id == HALF ? 0xc3 : 0xa9)},
        encoder);
  }

  private static int[] longest(String text) {
    int[] ids = new int[text.length()];
    int count = 0;
    for (int at = 0; at < text.length(); ) {
      int best = NONE;
      for (int id = 0; id < END; id++) {
        boolean fits = text.startsWith(TOKENS.get(id), at);
        best = fits && (best < 0 || longer(id, best)) ? id : best;
      }
      ids[count++] = best;
      at += TOKENS.get(best).length();
    }
    return Arrays.copyOf(ids, count);
  }

  private static boolean longer(int id, int other) {
    return TOKENS.get(id).length() > TOKENS.get(other).length();
  }
}
