package io.verdier.verticles.token;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PromptEncoderTest {
  private static final Path MODEL = Path.of("../engine/src/main/resources/demo-model");
  private static final int LENGTH_MAX = 100_000;

  @TempDir static Path natives;
  private static @Nullable PromptEncoder loaded;

  private final PromptEncoder encoder = Objects.requireNonNull(loaded);

  @BeforeAll
  static void load() throws IOException {
    ChatRenderer renderer =
        new ChatRenderer(
            ChatTemplate.load(MODEL, Optional.empty()),
            Map.of(),
            new RenderLimits(1000, 1000),
            Clock.systemUTC());
    loaded =
        new PromptEncoder(
            Tokenizer.load(MODEL, natives), renderer, LENGTH_MAX, Integer.MAX_VALUE, 64);
  }

  private List<EngineRequest> requests(int choices, int promptTokens, int promptLogprobs) {
    long[] keys = new long[choices];
    Arrays.setAll(keys, choice -> 7 + choice);
    int[] prompt = new int[promptTokens];
    Arrays.fill(prompt, 300);
    return encoder.requests(
        new Submit(
            keys,
            new Prompt.Tokens(prompt),
            scored(promptLogprobs),
            List.of(),
            Truncation.NONE,
            new TextParams(List.of(), false, true, false),
            0,
            "",
            null,
            null,
            OptionalDouble.empty()));
  }

  @Test
  void requests_secondChoiceMovedHere_goesOnAsThatChoiceBehindWhatItSaid() {
    Submit whole =
        new Submit(
            new long[] {7, 8},
            new Prompt.Tokens(new int[] {300, 301}),
            scored(3),
            List.of(),
            Truncation.NONE,
            new TextParams(List.of(), false, true, false),
            0,
            "",
            null,
            null,
            OptionalDouble.empty());
    EngineRequest untouched = encoder.requests(whole).get(1);
    Submit moved = whole.resumed(1, new Prompt.Tokens(new int[] {300, 301}), new int[] {5, 6});
    EngineRequest request = encoder.requests(moved).getFirst();
    assertThat(request.key()).isEqualTo(8);
    assertThat(request.tokens()).containsExactly(300, 301, 5, 6);
    assertThat(request.promptTokens()).isEqualTo(2);
    assertThat(request.sampling()).usingRecursiveComparison().isEqualTo(untouched.sampling());
  }

  private static SamplingParams scored(int promptLogprobs) {
    return new SamplingParams(
        0,
        1,
        0,
        0,
        0,
        0,
        1,
        40,
        1,
        0,
        false,
        new int[0],
        new int[0],
        new float[0],
        new int[0],
        new int[0][],
        -1,
        promptLogprobs);
  }

  @Test
  void requests_scoresOfAllChoices_boundedTogether() {
    assertThat(requests(1, 40_000, 20)).hasSize(1);
    assertThatThrownBy(() -> requests(2, 40_000, 20))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("80000 tokens of all choices")
        .hasMessageContaining("lower it to 11");
  }

  @Test
  void requests_severalChoices_onlyTheFirstScoresThePrompt() {
    List<EngineRequest> requests = requests(3, 10, 5);
    assertThat(requests)
        .extracting(request -> request.sampling().promptLogprobs())
        .containsExactly(5, -1, -1);
    assertThat(requests)
        .extracting(request -> request.sampling().seed())
        .containsExactly(40L, 41L, 42L);
  }

  @Test
  void requests_scoresWithinTheBound_arePassedOn() {
    assertThat(requests(2, 25_000, 19)).hasSize(2);
    assertThat(requests(2, 90_000, -1)).hasSize(2);
  }

  @Test
  void requests_tooManyScores_refusedWithValueAndLimit() {
    for (int promptLogprobs : new int[] {20, Integer.MAX_VALUE}) {
      assertThatThrownBy(() -> requests(1, 50_000, promptLogprobs))
          .isInstanceOf(RejectedException.class)
          .hasMessageContaining("50000 tokens")
          .hasMessageContaining("%d scores".formatted(50_000 * (promptLogprobs + 1L)))
          .hasMessageContaining("1000000 are possible")
          .hasMessageContaining("lower it to 19")
          .extracting(refused -> ((RejectedException) refused).code())
          .isEqualTo(ErrorCode.INVALID_ARGUMENT);
    }
  }

  private Submit submit(int promptTokens, int maxTokens, int truncate) {
    int[] prompt = new int[promptTokens];
    Arrays.setAll(prompt, i -> 300 + i % 7);
    return new Submit(
        new long[] {7},
        new Prompt.Tokens(prompt),
        SamplingParams.greedy(1).withMaxTokens(maxTokens),
        List.of(),
        new Truncation(truncate, Truncation.End.LAST),
        new TextParams(List.of(), false, true, false),
        0,
        "",
        null,
        null,
        OptionalDouble.empty());
  }

  @Test
  void requests_truncated_keepTheEndAndLeaveRoomForTheAnswer() {
    EngineRequest cut = encoder.requests(submit(LENGTH_MAX + 50, 16, LENGTH_MAX)).getFirst();
    assertThat(cut.promptTokens()).isEqualTo(LENGTH_MAX - 16);
    assertThat(cut.tokens()[cut.promptTokens() - 1]).isEqualTo(300 + (LENGTH_MAX + 49) % 7);
    EngineRequest open =
        encoder.requests(submit(LENGTH_MAX + 50, Submit.MAX_TOKENS_OPEN, LENGTH_MAX)).getFirst();
    assertThat(open.sampling().maxTokens()).isEqualTo(1);
    assertThat(encoder.requests(submit(10, 16, 4)).getFirst().promptTokens()).isEqualTo(4);
  }

  @Test
  void requests_promptLeavesNoRoom_refusedWithNumbers() {
    assertThatThrownBy(() -> encoder.requests(submit(LENGTH_MAX, 16, -1)))
        .hasMessageContaining("prompt has 100000 tokens; this model accepts 100000");
    assertThatThrownBy(() -> encoder.requests(submit(LENGTH_MAX - 5, 16, -1)))
        .hasMessageContaining("maximum context length is 100000")
        .hasMessageContaining("lower max_tokens to 5");
    assertThat(
            encoder
                .requests(submit(LENGTH_MAX - 5, Submit.MAX_TOKENS_OPEN, -1))
                .getFirst()
                .sampling()
                .maxTokens())
        .isEqualTo(5);
  }

  /** Words are encoded as prompts are, and may be as long. */
  @Test
  void requests_badWordLongerThanAnyPrompt_refusedUnencoded() {
    PromptEncoder small =
        new PromptEncoder(encoder.tokenizer(), encoder.renderer(), 16, Integer.MAX_VALUE, 64);
    int charsMax = 16 * encoder.tokenizer().tokenBytesMax();
    assertThat(small.requests(forbidding("x".repeat(charsMax))).getFirst().sampling().badWords())
        .isNotEmpty();
    assertThatThrownBy(() -> small.requests(forbidding("x".repeat(charsMax + 1))))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("bad_words has %d characters".formatted(charsMax + 1))
        .hasMessageContaining("16 tokens");
  }

  private Submit forbidding(String word) {
    Submit base = submit(1, 1, -1);
    return new Submit(
        base.keys(),
        base.prompt(),
        base.sampling(),
        List.of(word),
        base.truncation(),
        base.text(),
        0,
        "",
        null,
        null,
        OptionalDouble.empty());
  }
}
