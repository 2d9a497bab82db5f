package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class PromptWriterTest {

  @Test
  void words_list_isClean() {
    assertThat(PromptWriter.WORDS)
        .hasSizeGreaterThan(300)
        .doesNotHaveDuplicates()
        .allMatch(word -> word.matches("[a-z]+"));
  }

  @Test
  void write_costsOfOneToThree_meetsEveryLength() {
    int[] costs = new int[PromptWriter.WORDS.size()];
    Arrays.setAll(costs, i -> 1 + i % 3);
    PromptWriter writer = new PromptWriter(7, costs);
    Random random = new Random(1);
    for (int length = 7; length < 300; length++) {
      Prompt prompt = writer.write(length, 5, random);
      assertThat(prompt.inputTokens()).isEqualTo(length);
      assertThat(prompt.outputTokens()).isEqualTo(5);
      assertThat(cost(prompt.text(), costs) + 7).isEqualTo(length);
    }
    assertThat(writer.write(3, 5, random).inputTokens()).isEqualTo(7);
  }

  @Test
  void write_noShortWord_staysBelow() {
    int[] costs = new int[PromptWriter.WORDS.size()];
    Arrays.fill(costs, 4);
    assertThat(new PromptWriter(1, costs).write(8, 1, new Random(1)).inputTokens()).isEqualTo(5);
  }

  @Test
  void write_rangeRatio_spreadsLengths() {
    BenchOptions options =
        BenchOptions.parse(
            List.of("--input-len", "100", "--output-len", "10", "--random-range-ratio", "0.5"));
    List<Prompt> prompts = PromptWriter.guessing().write(500, options, new Random(1));
    assertThat(prompts).allMatch(prompt -> prompt.inputTokens() >= 50);
    assertThat(prompts).allMatch(prompt -> prompt.inputTokens() <= 150);
    assertThat(prompts).anyMatch(prompt -> prompt.inputTokens() < 60);
    assertThat(prompts).anyMatch(prompt -> prompt.outputTokens() == 15);
    assertThat(prompts.stream().map(Prompt::text)).doesNotHaveDuplicates();
  }

  @Test
  void write_prefixRepetition_sharesBeginningsEvenly() {
    BenchOptions options =
        BenchOptions.parse(
            List.of(
                "--dataset-name=prefix_repetition",
                "--prefix-repetition-prefix-len=50",
                "--prefix-repetition-suffix-len=20",
                "--prefix-repetition-num-prefixes=4",
                "--prefix-repetition-output-len=7"));
    List<Prompt> prompts = PromptWriter.guessing().write(40, options, new Random(1));
    assertThat(prompts).allMatch(prompt -> prompt.inputTokens() == 70);
    assertThat(prompts).allMatch(prompt -> prompt.outputTokens() == 7);
    assertThat(prompts.stream().map(Prompt::text)).doesNotHaveDuplicates();
    Map<List<String>, Long> beginnings =
        prompts.stream()
            .map(prompt -> List.of(prompt.text().split(" ")).subList(0, 50))
            .collect(Collectors.groupingBy(it -> it, Collectors.counting()));
    assertThat(beginnings.values()).containsExactly(10L, 10L, 10L, 10L);
  }

  @Test
  void writer_wrongCosts_isRefused() {
    assertThatThrownBy(() -> new PromptWriter(1, new int[] {1}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("1 costs");
  }

  private static int cost(String text, int[] costs) {
    return Arrays.stream(text.split(" "))
        .skip(1)
        .mapToInt(word -> costs[PromptWriter.WORDS.indexOf(word)])
        .sum();
  }
}
