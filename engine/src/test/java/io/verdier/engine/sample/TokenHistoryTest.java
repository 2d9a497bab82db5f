package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TokenHistoryTest {

  @Test
  void append_pastCapacity_keepsAll() {
    int[] start = {7, 8, 9};
    TokenHistory history = new TokenHistory(start, 2);
    start[0] = -1;
    for (int i = 0; i < 1000; i++) {
      history.append(i);
    }
    assertThat(history.size()).isEqualTo(1003);
    assertThat(history.promptTokens()).isEqualTo(2);
    assertThat(history.generatedTokens()).isEqualTo(1001);
    assertThat(history.get(0)).isEqualTo(7);
    assertThat(history.get(1002)).isEqualTo(999);
    assertThat(history.copy()).hasSize(1003).startsWith(7, 8, 9, 0, 1);
  }

  @Test
  void get_outside_isRefused() {
    TokenHistory history = new TokenHistory(new int[] {1}, 1);
    assertThatThrownBy(() -> history.get(1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> new TokenHistory(new int[] {1}, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("2 prompt tokens of 1");
  }

  @Test
  void counts_randomTokens_equalCountingThemAll() {
    Random random = TestSeed.random("counts");
    List<Integer> all = new ArrayList<>();
    int[] prompt = random.ints(200, 0, 300).toArray();
    for (int token : prompt) {
      all.add(token);
    }
    TokenHistory history = new TokenHistory(prompt, prompt.length);
    for (int step = 0; step < 500; step++) {
      int token = random.nextInt(300) * 1_000_003;
      history.append(token);
      all.add(token);
      if (step % 7 == 0) {
        assertCounts(history.counts(), all, prompt.length);
      }
    }
  }

  private static void assertCounts(TokenCounts counts, List<Integer> all, int promptTokens) {
    List<Integer> distinct = List.copyOf(new LinkedHashSet<>(all));
    List<Integer> generated = all.subList(promptTokens, all.size());
    assertThat(counts.size()).isEqualTo(distinct.size());
    for (int i = 0; i < distinct.size(); i++) {
      assertThat(counts.token(i)).isEqualTo(distinct.get(i));
      assertThat(counts.generated(i)).isEqualTo(Collections.frequency(generated, distinct.get(i)));
    }
  }
}
