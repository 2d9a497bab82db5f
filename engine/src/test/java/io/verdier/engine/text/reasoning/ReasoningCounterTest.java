package io.verdier.engine.text.reasoning;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ReasoningCounterTest {

  private static int count(ReasoningFormat format, String tail, String... tokens) {
    ReasoningCounter counter = new ReasoningCounter(format, tail);
    for (String token : List.of(tokens)) {
      counter.append(token);
    }
    return counter.count();
  }

  @Test
  void count_betweenMarkers_markersLeftOut() {
    ReasoningFormat qwen = ReasoningFormat.QWEN3;
    assertThat(count(qwen, "", "<think>", "a", "", " b", "</think>", "c", "d")).isEqualTo(3);
    assertThat(count(qwen, "", "<think>", "a", "b")).isEqualTo(2);
    assertThat(count(qwen, "", "", "<think>", "", "a", "</think>", "", "c")).isEqualTo(2);
    assertThat(count(qwen, "<think>\n", "", "a", "b", "</think>", "c")).isEqualTo(3);
    assertThat(count(qwen, "<think>\n", "a", "</think>", "c")).isEqualTo(1);
    assertThat(count(qwen, "", "a", "<think>", "b", "</think>")).isZero();
    assertThat(count(qwen, "<think>\n\n</think>\n\n", "a", "b")).isZero();
    assertThat(count(qwen, "", "<think>")).isZero();
    assertThat(count(qwen, "", "<think>", "</think>", "x")).isZero();
  }

  @Test
  void count_openFromTheBeginning_allUpToTheEnding() {
    ReasoningFormat r1 = ReasoningFormat.DEEPSEEK_R1;
    assertThat(count(r1, "", "a", "b", "</think>", "c")).isEqualTo(2);
    assertThat(count(r1, "", "<think>", "a", "b", "</think>", "c")).isEqualTo(2);
    assertThat(count(r1, "", "a", "b", "c")).isEqualTo(3);
  }

  @Test
  void count_markersOfSeveralTokens_areLeftOutToo() {
    ReasoningFormat granite = ReasoningFormat.GRANITE;
    assertThat(
            count(
                granite,
                "",
                "Here's",
                " my thought",
                " process:",
                " Hm",
                ".",
                " Here's",
                " my response",
                ":",
                " Yes"))
        .isEqualTo(3); // the third token has a blank before the marker
    assertThat(count(ReasoningFormat.QWEN3, "", "<th", "ink>a", "b</", "think>c")).isEqualTo(2);
  }
}
