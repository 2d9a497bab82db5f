package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class RepetitionTest {

  @Test
  void ends_anyTokens_asTheirDefinitionSays() {
    SplittableRandom random = new SplittableRandom(7);
    int found = 0;
    for (int trial = 0; trial < 20_000; trial++) {
      int[] tokens = random.ints(random.nextInt(1, 14), 0, 2).toArray();
      int from = random.nextInt(tokens.length);
      int min = 1 + random.nextInt(3);
      Repetition repetition = new Repetition(min, min + random.nextInt(3), 2 + random.nextInt(2));
      boolean expected = isRepeated(repetition, tokens, from);
      assertThat(repetition.ends(tokens, from, tokens.length)).isEqualTo(expected);
      found += expected ? 1 : 0;
    }
    assertThat(found).isBetween(1000, 19_000);
  }

  private static boolean isRepeated(Repetition asked, int[] tokens, int from) {
    StringBuilder text = new StringBuilder();
    for (int i = from; i < tokens.length; i++) {
      text.append((char) ('a' + tokens[i]));
    }
    for (int length = asked.patternMin(); length <= asked.patternMax(); length++) {
      if (length <= text.length()) {
        String pattern = text.substring(text.length() - length);
        if (text.toString().endsWith(pattern.repeat(asked.count()))) {
          return true;
        }
      }
    }
    return false;
  }

  @Test
  void ends_none_never() {
    assertThat(Repetition.NONE.ends(new int[100], 0, 100)).isFalse();
  }
}
