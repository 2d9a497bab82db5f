package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** One of several texts, against a set of them. */
class ChoicesTest {
  private static final long SEED = Long.getLong("seed", 7);

  private static StateSpace space(List<String> options) {
    return new StateSpace(GrammarCompiler.compile(new Constraint.Choice(options), untimed()));
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

  @Test
  void compile_randomOptions_matchesThemAndNoOther() {
    Random random = new Random(SEED);
    String[] pieces = {"a", "b", "ab", "é", "日", "😀"};
    for (int run = 0; run < 300; run++) {
      List<String> texts = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        StringBuilder text = new StringBuilder();
        for (int parts = random.nextInt(7); parts > 0; parts--) {
          text.append(pieces[random.nextInt(pieces.length)]);
        }
        texts.add(text.toString());
      }
      Set<String> options = new HashSet<>(texts.subList(0, 1 + random.nextInt(100)));
      StateSpace space = space(texts.subList(0, options.size()));
      options = new HashSet<>(texts.subList(0, options.size()));
      for (String text : texts) {
        assertThat(matches(space, text)).as("seed %d", SEED).isEqualTo(options.contains(text));
      }
    }
  }

  @Test
  void compile_duplicatesAndBeginnings_areOptions() {
    StateSpace space = space(List.of("ab", "", "a", "ab", "abc"));
    assertThat(space.start().mayEnd()).isTrue();
    for (String text : List.of("", "a", "ab", "abc")) {
      assertThat(matches(space, text)).isTrue();
    }
    assertThat(matches(space, "abcd")).isFalse();
    assertThat(matches(space, "b")).isFalse();
    assertThat(matches(space(List.of("")), "")).isTrue();
  }

  @Test
  void compile_aHundredThousandOptions_shareWhatTheyEndWith() {
    List<String> options =
        IntStream.range(0, 100_000).mapToObj(i -> "item-%05d.txt".formatted(i)).toList();
    StateSpace space = space(options);
    assertThat(space.grammar().states()).isLessThan(50);
    assertThat(matches(space, "item-04711.txt")).isTrue();
    assertThat(matches(space, "item-4711.txt")).isFalse();
  }

  @Test
  void compile_tooManyOptions_areRefused() {
    Random random = new Random(SEED);
    List<String> options =
        IntStream.range(0, 100_000).mapToObj(i -> Long.toHexString(random.nextLong())).toList();
    assertThatThrownBy(() -> space(options))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("the constraint");
  }

  @Test
  void compile_longOptions_needNoStackOfTheThread() {
    List<String> options = new ArrayList<>(List.of("x".repeat(40_000)));
    for (int i = 0; i < 1500; i++) {
      options.add("a".repeat(i) + i);
    }
    StateSpace space = space(options);
    assertThat(matches(space, "x".repeat(40_000))).isTrue();
    assertThat(matches(space, "a".repeat(1499) + 1499)).isTrue();
    assertThat(matches(space, "a".repeat(1499) + 1498)).isFalse();
  }

  @Test
  void compile_noOptionsOrHalfAPair_isRefused() {
    assertThatThrownBy(() -> space(List.of())).isInstanceOf(GrammarException.class);
    assertThatThrownBy(() -> space(List.of("a\ud83d")))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("surrogate");
  }
}
