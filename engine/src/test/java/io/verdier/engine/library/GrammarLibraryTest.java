package io.verdier.engine.library;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Grammar;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.grammar.TokenTrie;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * The grammars without the server, as docs/structured-output.md shows them: public classes only.
 */
class GrammarLibraryTest {
  private static final String SCHEMA =
      """
      {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer",
       "minimum": 1, "maximum": 14}}, "required": ["city", "days"], "additionalProperties": false}
      """;

  /** Every character of ASCII is a token, and some words are. */
  private static List<byte[]> vocabulary() {
    List<byte[]> tokens = new ArrayList<>();
    for (int c = 0; c < 128; c++) {
      tokens.add(new byte[] {(byte) c});
    }
    for (String word : List.of("Rome", "\"city\"", "\": ", "Oslo\"", "{\"", "days")) {
      tokens.add(word.getBytes(StandardCharsets.UTF_8));
    }
    return tokens;
  }

  @Test
  void sample_throughMasks_isWhatTheSchemaDescribes() {
    List<byte[]> tokens = vocabulary();
    TokenTrie trie = TokenTrie.of(tokens.size(), tokens::get);
    Grammar grammar =
        GrammarCompiler.compile(
            new Constraint.JsonSchema(SCHEMA, new JsonStyle(true, null, false)), Budget.defaults());
    TokenGrammar guide = new TokenGrammar(grammar, trie);
    Random random = new Random(1);
    for (int run = 0; run < 50; run++) {
      StringBuilder text = new StringBuilder();
      GrammarState state = guide.start();
      while (!state.mustEnd()) {
        long[] allowed = guide.allowed(state); // a bit for each token id
        int token;
        do {
          token = random.nextInt(tokens.size());
        } while ((allowed[token >> 6] >>> token & 1) == 0);
        text.append(new String(tokens.get(token), StandardCharsets.UTF_8));
        state = Objects.requireNonNull(guide.next(state, token));
      }
      assertThat(text.toString())
          .matches("\\{\"city\": \"(Rome|Oslo)\", \"days\": ([1-9]|1[0-4])}");
    }
  }

  @Test
  void state_keptAndComeBackTo_goesOnAsBefore() {
    List<byte[]> tokens = vocabulary();
    TokenGrammar guide =
        new TokenGrammar(
            GrammarCompiler.compile(new Constraint.Regex("(ab|ac)+"), Budget.defaults()),
            TokenTrie.of(tokens.size(), tokens::get));
    GrammarState kept = Objects.requireNonNull(guide.next(guide.start(), 'a'));
    assertThat(guide.next(kept, 'b')).isNotNull();
    assertThat(guide.next(kept, 'a')).isNull();
    assertThat(Objects.requireNonNull(guide.next(kept, 'c')).mayEnd()).isTrue();
    assertThat(new String(guide.forced(guide.start()), StandardCharsets.UTF_8)).isEqualTo("a");
  }

  @Test
  void compile_whatCannotBeHeld_saysWhy() {
    assertThatThrownBy(
            () -> GrammarCompiler.compile(new Constraint.Regex("(?=a)"), Budget.defaults()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("looking ahead is not supported");
  }
}
