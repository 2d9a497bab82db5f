package io.verdier.engine.text.reasoning;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ReasoningParserTest {
  private static final long SEED = Long.getLong("seed", 20260102L);

  /** A text behind a prompt, and its two parts. */
  private record Sample(
      ReasoningFormat format, String tail, String text, String reasoning, String content) {}

  private static final String ASSISTANT = "<|im_start|>assistant\n";

  private static final List<Sample> SAMPLES = samples();

  private static List<Sample> samples() {
    List<Sample> samples = new ArrayList<>();
    ReasoningFormat r1 = ReasoningFormat.DEEPSEEK_R1;
    ReasoningFormat qwen = ReasoningFormat.QWEN3;
    samples.add(new Sample(r1, "", "I think.</think>\n\nYes.", "I think.", "\n\nYes."));
    samples.add(new Sample(r1, "", "<think>\nHm 🐦</think>Yes.", "\nHm 🐦", "Yes."));
    samples.add(new Sample(r1, "<think>\n", "Hm</think>Yes </think>", "Hm", "Yes </think>"));
    samples.add(new Sample(r1, "", "\n<think>a <think> b</think>", "a <think> b", ""));
    samples.add(new Sample(r1, "", "never ends </thin", "never ends </thin", ""));
    samples.add(new Sample(r1, "", " \n", " \n", ""));
    samples.add(new Sample(r1, "", "</think>x", "", "x"));
    samples.add(new Sample(r1, "<think>\n\n</think>\n\n", "Yes.", "", "Yes."));
    samples.add(new Sample(qwen, ASSISTANT, "<think>\nHm\n</think>\n\nYes.", "\nHm\n", "\n\nYes."));
    samples.add(new Sample(qwen, ASSISTANT, "\n<think>Hm", "Hm", ""));
    samples.add(new Sample(qwen, ASSISTANT, "Yes <think>no</think>", "", "Yes <think>no</think>"));
    samples.add(new Sample(qwen, ASSISTANT, "</think>Yes", "", "</think>Yes"));
    samples.add(new Sample(qwen, ASSISTANT, "<thin", "", "<thin"));
    samples.add(new Sample(qwen, ASSISTANT, "", "", ""));
    samples.add(new Sample(qwen, ASSISTANT, "\n ", "", "\n "));
    samples.add(new Sample(qwen, ASSISTANT + "<think>\n", "Hm</think>Yes", "Hm", "Yes"));
    samples.add(
        new Sample(qwen, "<think>\n\n</think>\n\n", "<think>is text", "", "<think>is text"));
    ReasoningFormat mistral = ReasoningFormat.MISTRAL;
    samples.add(new Sample(mistral, "[/INST]", "[THINK]Hm[/THINK]Yes", "Hm", "Yes"));
    samples.add(new Sample(mistral, "[/INST]", "Yes [1]", "", "Yes [1]"));
    ReasoningFormat granite = ReasoningFormat.GRANITE;
    samples.add(
        new Sample(
            granite,
            "",
            "Here is my thought process: Hm. Here's my response: Yes.",
            " Hm. ",
            " Yes."));
    samples.add(new Sample(granite, "", "Here's my thought process:\nHere is", "\nHere is", ""));
    samples.add(new Sample(granite, "", "Here is my answer.", "", "Here is my answer."));
    return samples;
  }

  @Test
  void samples_everySplit_givePartsAsWhole() {
    Random random = new Random(SEED);
    for (Sample sample : SAMPLES) {
      String text = sample.text();
      for (int i = 0; i <= text.length(); i++) {
        check(sample, List.of(text.substring(0, i), text.substring(i)));
      }
      check(sample, text.chars().mapToObj(c -> String.valueOf((char) c)).toList());
      for (int round = 0; round < 50; round++) {
        check(sample, split(text, random));
      }
    }
  }

  @Test
  void isPast_onceContentBegins_true() {
    ReasoningParser parser = ReasoningFormat.QWEN3.parser("<think>", new Heard());
    parser.append("Hm</think");
    assertThat(parser.isPast()).isFalse();
    parser.append(">");
    assertThat(parser.isPast()).isTrue();
  }

  @Test
  void table_everyName_findsItsFormat() {
    for (ReasoningFormat format : ReasoningFormat.values()) {
      assertThat(ReasoningFormat.of(format.label())).contains(format);
      assertThat(format.visibleTokens()).containsAll(format.endings());
    }
    assertThat(ReasoningFormat.of("nothing")).isEmpty();
  }

  private static List<String> split(String text, Random random) {
    List<String> pieces = new ArrayList<>();
    int at = 0;
    while (at < text.length()) {
      int next = Math.min(text.length(), at + random.nextInt(6));
      pieces.add(text.substring(at, next));
      at = next;
    }
    return pieces;
  }

  private static void check(Sample sample, List<String> pieces) {
    Heard heard = new Heard();
    ReasoningParser parser = sample.format().parser(sample.tail(), heard);
    pieces.forEach(parser::append);
    parser.finish();
    assertThat(heard.reasoning).as("%s, seed %d", pieces, SEED).hasToString(sample.reasoning());
    assertThat(heard.content).as("%s, seed %d", pieces, SEED).hasToString(sample.content());
  }

  /** Both parts, gathered. */
  private static final class Heard implements ReasoningParser.Sink {
    final StringBuilder reasoning = new StringBuilder();
    final StringBuilder content = new StringBuilder();

    @Override
    public void reasoning(CharSequence text) {
      assertThat(content).as("reasoning comes first").isEmpty();
      reasoning.append(text);
    }

    @Override
    public void content(CharSequence text) {
      content.append(text);
    }
  }
}
