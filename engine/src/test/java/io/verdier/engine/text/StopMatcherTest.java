package io.verdier.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.verdier.engine.RejectedException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopMatcherTest {

  /** What a text gives: {@code stop} is -1 where it does not stop. */
  private record Answer(String text, int stop) {}

  @Test
  void append_everySplitOfAText_givesTheSameAnswer() {
    Random random = SeededRandom.of("split");
    for (int round = 0; round < 4000; round++) {
      List<String> stops = new ArrayList<>();
      for (int n = random.nextInt(4); n >= 0; n--) {
        stops.add(word(random, 1 + random.nextInt(5)));
      }
      String text = word(random, random.nextInt(14));
      boolean include = random.nextBoolean();
      assertThat(streamed(random, text, stops, include))
          .as("seed %d, round %d, %s in %s", SeededRandom.SEED, round, stops, text)
          .isEqualTo(naive(text, stops, include));
    }
  }

  @Test
  void append_allSplitsOfOneText_giveTheSameAnswer() {
    String text = "so STO, STOP here";
    for (int cuts = 0; cuts < 1 << (text.length() - 1); cuts++) {
      StopMatcher matcher = new StopMatcher(List.of("STOP"), false);
      StringBuilder out = new StringBuilder();
      int from = 0;
      for (int i = 1; i <= text.length(); i++) {
        if (i == text.length() || (cuts >> (i - 1) & 1) == 1) {
          matcher.append(text.substring(from, i), out);
          from = i;
        }
      }
      matcher.finish(out);
      assertThat(out).hasToString("so STO, ");
    }
  }

  @Test
  void append_severalMatches_takesTheOneThatEndsFirst() {
    assertThat(whole("xabcd", "abcd", "bc")).isEqualTo(new Answer("xa", 1));
    assertThat(whole("xabc", "bc", "abc")).isEqualTo(new Answer("xa", 0));
    assertThat(whole("xabc", "abc", "bc")).isEqualTo(new Answer("x", 0));
    assertThat(whole("a", "a", "a")).isEqualTo(new Answer("", 0));
  }

  @Test
  void append_includeStop_holdsNothingBack() {
    StopMatcher matcher = new StopMatcher(List.of("STOP"), true);
    StringBuilder out = new StringBuilder();
    assertThat(matcher.append("a STO", out)).isFalse();
    assertThat(out).hasToString("a STO");
    assertThat(matcher.append("P b", out)).isTrue();
    assertThat(out).hasToString("a STOP");
    assertThat(matcher.append("more", out)).isTrue();
    matcher.finish(out);
    assertThat(out).hasToString("a STOP");
  }

  @Test
  void append_partialMatch_isHeldUntilItFailsOrTheEnd() {
    StopMatcher matcher = new StopMatcher(List.of("###"), false);
    StringBuilder out = new StringBuilder();
    matcher.append("a##", out);
    assertThat(out).hasToString("a");
    matcher.append("b#", out);
    assertThat(out).hasToString("a##b");
    matcher.finish(out);
    assertThat(out).hasToString("a##b#");
    assertThat(matcher.matched()).isEqualTo(StopMatcher.NONE);
  }

  @Test
  void appendUnmatched_stopThatEndsInside_doesNotCount() {
    StopMatcher matcher = new StopMatcher(List.of("ab"), false);
    StringBuilder out = new StringBuilder();
    matcher.appendUnmatched("xaba", out);
    assertThat(out).hasToString("xab");
    assertThat(matcher.append("b", out)).isTrue();
    assertThat(out).hasToString("xab");
  }

  @Test
  void append_repetitiveText_costsTimeInProportion() {
    String stop = "a".repeat(1000) + "b";
    StopMatcher matcher = new StopMatcher(List.of(stop, stop, stop, stop), false);
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 200_000; i++) { // would be 800 million comparisons if searched each time
      matcher.append("a", out);
    }
    matcher.finish(out);
    assertThat(out).hasSize(200_000);
  }

  @Test
  void new_emptyOrBrokenStop_isRefused() {
    assertThatExceptionOfType(RejectedException.class)
        .isThrownBy(() -> new StopMatcher(List.of("a", ""), false))
        .withMessageContaining("stop[1] is empty");
    assertThatExceptionOfType(RejectedException.class)
        .isThrownBy(() -> new StopMatcher(List.of("\uDE00"), false))
        .withMessageContaining("unpaired surrogate");
  }

  private static Answer streamed(Random random, String text, List<String> stops, boolean include) {
    StopMatcher matcher = new StopMatcher(stops, include);
    StringBuilder out = new StringBuilder();
    int from = 0;
    while (from < text.length()) {
      int to = from + 1 + random.nextInt(text.length() - from);
      boolean stopped = matcher.append(text.substring(from, to), out);
      from = to;
      int held = include ? 0 : longestBeginning(text.substring(0, to), stops);
      if (!stopped) {
        assertThat(out).hasSize(to - held);
      }
    }
    matcher.finish(out);
    return new Answer(out.toString(), matcher.matched());
  }

  /** Length of the longest end of the text that is the beginning of a stop string. */
  private static int longestBeginning(String text, List<String> stops) {
    int longest = 0;
    for (String stop : stops) {
      for (int n = 1; n < stop.length(); n++) {
        if (text.endsWith(stop.substring(0, n))) {
          longest = Math.max(longest, n);
        }
      }
    }
    return longest;
  }

  private static Answer naive(String text, List<String> stops, boolean include) {
    for (int end = 1; end <= text.length(); end++) {
      for (int s = 0; s < stops.size(); s++) {
        if (text.substring(0, end).endsWith(stops.get(s))) {
          int cut = include ? end : end - stops.get(s).length();
          return new Answer(text.substring(0, cut), s);
        }
      }
    }
    return new Answer(text, StopMatcher.NONE);
  }

  private static Answer whole(String text, String... stops) {
    StopMatcher matcher = new StopMatcher(List.of(stops), false);
    StringBuilder out = new StringBuilder();
    matcher.append(text, out);
    matcher.finish(out);
    return new Answer(out.toString(), matcher.matched());
  }

  private static String word(Random random, int length) {
    StringBuilder word = new StringBuilder();
    for (int i = 0; i < length; i++) {
      word.append((char) ('a' + random.nextInt(2)));
    }
    return word.toString();
  }
}
