package io.verdier.engine.text.toolcall;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.engine.text.toolcall.Samples.Sample;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;

class ToolCallParserTest {
  private static final long SEED = Long.getLong("seed", 20260101L);
  private static final ObjectMapper JSON = new ObjectMapper();

  @Test
  void samples_whole_giveContentAndCalls() {
    for (Sample sample : Samples.all()) {
      Heard heard = Heard.whole(sample.format(), Samples.TOOLS, sample.text());
      assertThat(heard.toString())
          .as("%s of: %s", sample.format(), sample.text())
          .isEqualTo(sample.expected());
    }
  }

  @Test
  void samples_everySplit_sameAsWhole() {
    for (Sample sample : Samples.all()) {
      String text = sample.text();
      String whole = Heard.whole(sample.format(), Samples.TOOLS, text).inOrder();
      for (int i = 0; i <= text.length(); i++) {
        check(sample.format(), List.of(text.substring(0, i), text.substring(i)), whole);
      }
      check(sample.format(), text.chars().mapToObj(c -> String.valueOf((char) c)).toList(), whole);
    }
  }

  @Test
  void brokenTexts_randomSplits_sameAsWholeAndNothingLost() {
    Random random = new Random(SEED);
    List<Sample> samples = Samples.all();
    List<ToolCallFormat> formats = List.of(ToolCallFormat.values());
    for (int round = 0; round < 6000; round++) {
      ToolCallFormat format = formats.get(round % formats.size());
      String text = broken(samples, format, random);
      Heard whole = Heard.whole(format, Samples.TOOLS, text);
      check(format, split(text, random), whole.inOrder());
      if (whole.names.isEmpty()) {
        assertThat(whole.content.toString()).as("%s seed %d", format, SEED).isEqualTo(text);
      }
      assertThat(whole.complete).hasSameSizeAs(whole.names);
      for (int i = 0; i < whole.names.size(); i++) {
        if (whole.complete.get(i)) {
          assertThat(isObject(whole.arguments.get(i).toString()))
              .as("%s seed %d: %s", format, SEED, whole)
              .isTrue();
        }
      }
    }
  }

  /** Time may at most grow a little faster than the text. */
  @Test
  void adversarialTexts_twiceAsLong_twiceTheTime() {
    List<IntFunction<String>> texts =
        List.of(
            n -> "{\"name\": \"f\", \"parameters\": ".repeat(n / 28),
            n -> "{".repeat(n),
            n -> "[".repeat(n),
            n -> "{\"a\":".repeat(n / 5),
            n -> "{\"name\": \"f\", \"parameters\": {\"a\": \"" + "\\\\".repeat(n / 2),
            n -> "<tool_call>".repeat(n / 11),
            n -> "<tool_call>\n<function=f>\n<parameter=a>" + "</paramete".repeat(n / 10),
            n -> "<tool_call>\n<function=f>\n<parameter=a>" + "\n".repeat(n),
            n -> "[TOOL_CALLS]".repeat(n / 12),
            n -> "<｜tool▁calls▁begin｜>".repeat(n / 21),
            n -> "[f(a=" + "[".repeat(n),
            n -> "[f(a='" + "x".repeat(n),
            n -> "<".repeat(n),
            n -> " ".repeat(n),
            n -> "<|python_tag|>" + "a".repeat(n),
            n -> "{\"name\": \"f\", \"x\": \"" + "y".repeat(n));
    for (ToolCallFormat format : ToolCallFormat.values()) {
      for (int i = 0; i < texts.size(); i++) {
        String once = texts.get(i).apply(20_000);
        String twice = texts.get(i).apply(40_000);
        double ratio = Double.MAX_VALUE;
        for (int round = 0; ratio > 2.5 && round < 20; round++) { // the machine may be busy
          ratio = (double) nanos(format, twice) / Math.max(500_000, nanos(format, once));
        }
        assertThat(ratio).as("%s, text %d", format, i).isLessThanOrEqualTo(2.5);
      }
    }
  }

  @Test
  void arguments_ofTheOnlyFunction_areItsCall() {
    Tools only = Tools.of(List.of(Map.of("function", Map.of("name", "f"))));
    for (String text : List.of(" {\"a\": [1]} \n", "{}", "{\"a\": ", "{x", "x{}", " ", "{} {}")) {
      Heard whole = Heard.whole(ToolCallFormat.ARGUMENTS, only, text);
      for (int i = 0; i <= text.length(); i++) {
        List<String> pieces = List.of(text.substring(0, i), text.substring(i));
        assertThat(Heard.of(ToolCallFormat.ARGUMENTS, only, pieces).inOrder())
            .isEqualTo(whole.inOrder());
      }
      boolean call = !text.contains("x") && !text.isBlank();
      assertThat(whole.names).hasSize(call ? 1 : 0);
      assertThat(whole.content.toString()).isEqualTo(call ? rest(text) : text);
    }
  }

  private static String rest(String text) {
    return text.equals("{} {}") ? " {}" : "";
  }

  @Test
  void table_everyName_findsItsFormat() {
    for (ToolCallFormat format : ToolCallFormat.values()) {
      for (String name : format.names()) {
        assertThat(ToolCallFormat.of(name)).contains(format);
      }
    }
    assertThat(ToolCallFormat.of("nothing")).isEmpty();
  }

  private static long nanos(ToolCallFormat format, String text) {
    long best = Long.MAX_VALUE;
    for (int run = 0; run < 2; run++) {
      long start = System.nanoTime();
      Heard.whole(format, Samples.TOOLS, text);
      best = Math.min(best, System.nanoTime() - start);
    }
    return best;
  }

  private static void check(ToolCallFormat format, List<String> pieces, String whole) {
    assertThat(Heard.of(format, Samples.TOOLS, pieces).inOrder())
        .as("%s in pieces %s, seed %d", format, pieces, SEED)
        .isEqualTo(whole);
  }

  private static List<String> split(String text, Random random) {
    List<String> pieces = new ArrayList<>();
    int at = 0;
    while (at < text.length()) {
      int next = Math.min(text.length(), at + random.nextInt(1 + random.nextInt(12)));
      pieces.add(text.substring(at, next));
      at = next;
    }
    return pieces;
  }

  /** Two samples of the format, joined, with a few characters lost, doubled or put in. */
  private static String broken(List<Sample> samples, ToolCallFormat format, Random random) {
    List<Sample> own = samples.stream().filter(sample -> sample.format() == format).toList();
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 2; i++) {
      text.append(own.get(random.nextInt(own.size())).text());
    }
    for (int edits = random.nextInt(4); edits > 0 && !text.isEmpty(); edits--) {
      int at = random.nextInt(text.length());
      switch (random.nextInt(4)) {
        case 0 -> text.deleteCharAt(at);
        case 1 -> text.insert(at, text.charAt(random.nextInt(text.length())));
        case 2 -> text.setLength(at);
        default -> text.insert(at, "{}[]()<>\"'\\,:;=\n 0a".charAt(random.nextInt(19)));
      }
    }
    return text.toString();
  }

  private static boolean isObject(String text) {
    try {
      JsonNode node = JSON.readTree(text);
      return node != null && node.isObject();
    } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
      return false;
    }
  }
}
