package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Objects with more properties than can be written out. 3 s. */
class ManyPropertiesTest {
  private static final long SEED = Long.getLong("seed", 11);
  private static final TokenTrie TRIE = TestVocabularies.demo();

  /** Every {@code every}th is required; 0: none is. */
  private static String schema(int count, int every, boolean isOpen) {
    List<String> properties = new ArrayList<>();
    List<String> required = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      properties.add("\"p%d\":{\"type\":\"integer\"}".formatted(i));
      if (every > 0 && i % every == every / 2) {
        required.add("\"p" + i + '"');
      }
    }
    return "{\"type\":\"object\",\"properties\":{%s},\"required\":[%s],\"additionalProperties\":%s}"
        .formatted(String.join(",", properties), String.join(",", required), isOpen);
  }

  private static TokenGrammar compile(String schema) {
    Constraint constraint = new JsonSchema(schema, JsonStyle.USUAL);
    return new TokenGrammar(GrammarCompiler.compile(constraint, TestSchemas.budget()), TRIE);
  }

  private static boolean matches(TokenGrammar grammar, List<Integer> names, String others) {
    List<String> members = new ArrayList<>();
    names.forEach(name -> members.add("\"p%d\": %d".formatted(name, name)));
    if (!others.isEmpty()) {
      members.add(others);
    }
    String text = "{" + String.join(", ", members) + "}";
    @Nullable GrammarState state =
        grammar.next(grammar.start(), text.getBytes(StandardCharsets.UTF_8));
    return state != null && state.mayEnd();
  }

  @ParameterizedTest
  @CsvSource({
    "60,0,false",
    "60,0,true",
    "300,100,false",
    "130,60,true",
    "1000,0,false",
    "1000,0,true"
  })
  void match_someInOrder_areAnyOfThem(int count, int every, boolean isOpen) {
    TokenGrammar grammar = compile(schema(count, every, isOpen));
    Random random = new Random(SEED);
    for (int run = 0; run < (count > 500 ? 2 : 20); run++) {
      double share = random.nextDouble() * random.nextDouble();
      List<Integer> names =
          IntStream.range(0, count)
              .filter(i -> (every > 0 && i % every == every / 2) || random.nextDouble() < share)
              .boxed()
              .toList();
      assertThat(matches(grammar, names, "")).as("%s", names).isTrue();
      assertThat(matches(grammar, names, "\"other\": [1]")).isEqualTo(isOpen);
      if (names.size() > 1) {
        List<Integer> wrong = new ArrayList<>(names);
        int at = random.nextInt(names.size() - 1);
        Collections.swap(wrong, at, at + 1);
        assertThat(matches(grammar, wrong, "")).as("%s", wrong).isFalse();
        wrong.set(at, wrong.get(at + 1));
        assertThat(matches(grammar, wrong, "")).as("%s", wrong).isFalse();
      }
      if (every > 0) {
        List<Integer> lacking = new ArrayList<>(names);
        lacking.remove(Integer.valueOf(every / 2));
        assertThat(matches(grammar, lacking, "")).as("%s", lacking).isFalse();
      }
    }
  }

  @Test
  void allowed_aThousand_letsEachTokenOfAnInstanceThrough() {
    TokenGrammar grammar = compile(schema(1000, 0, true));
    byte[] text =
        "{\n    \"p7\": 12,\n    \"p70\": 0,\"p999\":-5 , \"x\": \"p\"\n}"
            .getBytes(StandardCharsets.UTF_8);
    GrammarState state = grammar.start();
    for (int at = 0; at < text.length; ) {
      int token = TestVocabularies.longest(TRIE, text, at);
      assertThat(grammar.allowed(state)[token >> 6] >>> token & 1).as("at %d", at).isOne();
      state = Objects.requireNonNull(grammar.next(state, token));
      at += TRIE.bytes(token).length;
    }
    assertThat(state.mustEnd()).isTrue();
    assertThat(grammar.bytes()).isLessThan(24 << 20);
  }

  @Test
  void compile_moreThanCanBeFollowed_isRefused() {
    assertThatThrownBy(() -> compile(schema(2001, 0, false)))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("more than 2000 optional properties");
  }
}
