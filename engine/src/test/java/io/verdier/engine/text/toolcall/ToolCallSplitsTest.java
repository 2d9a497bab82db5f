package io.verdier.engine.text.toolcall;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.engine.text.toolcall.WrittenCalls.Answer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * However a text comes in pieces, what is read of it is what the whole text gives: every split in
 * two, every split in three of short texts, letter by letter, of whole answers and of cut ones.
 */
class ToolCallSplitsTest {
  private static final long SEED = Long.getLong("seed", 20260101L);
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Answers of each format. */
  private static final int ANSWERS = 60;

  /** Characters of texts that are split in three at all places. */
  private static final int PAIRS_LENGTH_MAX = 120;

  private static List<Answer> answers(ToolCallFormat format) {
    WrittenCalls writer = new WrittenCalls(new Random(SEED + format.name().hashCode()));
    List<Answer> answers = new ArrayList<>();
    for (int i = 0; i < ANSWERS; i++) {
      answers.add(writer.answer(format));
    }
    return answers;
  }

  @ParameterizedTest
  @EnumSource
  void answers_whole_giveWhatWasWritten(ToolCallFormat format) throws Exception {
    int several = 0;
    for (Answer answer : answers(format)) {
      Heard heard = Heard.whole(format, answer.tools(), answer.text());
      assertThat(heard.names)
          .as("seed %d: %s", SEED, answer.text())
          .isEqualTo(answer.calls().stream().map(WrittenCalls.Call::name).toList());
      for (int i = 0; i < heard.names.size(); i++) {
        JsonNode written = JSON.readTree(WrittenCalls.json(answer.calls().get(i).arguments()));
        assertThat(JSON.readTree(heard.arguments.get(i).toString()))
            .as("call %d, seed %d: %s", i, SEED, answer.text())
            .isEqualTo(written);
      }
      assertThat(heard.complete).doesNotContain(false);
      assertThat(solid(heard.content)).as(answer.text()).isEqualTo(solid(answer.content()));
      several += answer.calls().size() > 1 ? 1 : 0;
    }
    assertThat(several > 10).isEqualTo(format != ToolCallFormat.ARGUMENTS);
  }

  /** Blanks beside marks are nobody's. */
  private static String solid(CharSequence text) {
    return text.toString().replaceAll("\\s", "");
  }

  @ParameterizedTest
  @EnumSource
  void answers_everySplit_sameAsWhole(ToolCallFormat format) {
    int pairs = 0;
    for (Answer answer : answers(format)) {
      splitInTwo(answer, answer.text());
      pairs += splitInThree(answer, answer.text());
    }
    assertThat(pairs).as("texts that are short").isPositive();
  }

  @ParameterizedTest
  @EnumSource
  void answers_cutAnywhere_sameHoweverTheyCame(ToolCallFormat format) {
    Random random = new Random(SEED);
    for (Answer answer : answers(format)) {
      String text = answer.text();
      for (int end = 0; end < text.length(); end++) {
        letters(answer, text.substring(0, end));
      }
      splitInTwo(answer, text.substring(0, random.nextInt(text.length())));
    }
  }

  /** With a letter or two lost, doubled or put in. */
  @ParameterizedTest
  @EnumSource
  void answers_broken_everySplitSameAsWhole(ToolCallFormat format) {
    Random random = new Random(SEED);
    for (Answer answer : answers(format)) {
      StringBuilder text = new StringBuilder(answer.text());
      for (int edits = 1 + random.nextInt(2); edits > 0; edits--) {
        int at = random.nextInt(text.length());
        switch (random.nextInt(3)) {
          case 0 -> text.deleteCharAt(at);
          case 1 -> text.insert(at, text.charAt(random.nextInt(text.length())));
          default -> text.insert(at, "{}[]()<>\"'\\,:;=|\n 0".charAt(random.nextInt(19)));
        }
      }
      splitInTwo(answer, text.toString());
    }
  }

  private static void splitInTwo(Answer answer, String text) {
    String whole = letters(answer, text);
    for (int i = 0; i <= text.length(); i++) {
      check(answer, List.of(text.substring(0, i), text.substring(i)), whole);
    }
  }

  private static int splitInThree(Answer answer, String text) {
    if (text.length() > PAIRS_LENGTH_MAX) {
      return 0;
    }
    String whole = Heard.whole(answer.format(), answer.tools(), text).inOrder();
    for (int i = 0; i <= text.length(); i++) {
      for (int j = i; j <= text.length(); j++) {
        List<String> pieces =
            List.of(text.substring(0, i), text.substring(i, j), text.substring(j));
        check(answer, pieces, whole);
      }
    }
    return 1;
  }

  /** Letter by letter; returns what the whole text gives. */
  private static String letters(Answer answer, String text) {
    String whole = Heard.whole(answer.format(), answer.tools(), text).inOrder();
    check(answer, text.chars().mapToObj(c -> String.valueOf((char) c)).toList(), whole);
    return whole;
  }

  private static void check(Answer answer, List<String> pieces, String whole) {
    String heard = Heard.of(answer.format(), answer.tools(), pieces).inOrder();
    if (!heard.equals(whole)) { // a description costs more than a parse
      assertThat(heard)
          .as("%s in pieces %s, seed %d", answer.format(), pieces, SEED)
          .isEqualTo(whole);
    }
  }
}
