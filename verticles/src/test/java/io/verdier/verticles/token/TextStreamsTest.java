package io.verdier.verticles.token;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.Tokenizer;
import io.verdier.verticles.bus.Delta;
import java.io.IOException;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextStreamsTest {
  private static final Path MODEL = Path.of("../engine/src/main/resources/demo-model");
  private static final long KEY = 77;
  private static final int END = 4073;

  @TempDir static Path natives;
  private static @Nullable Tokenizer loaded;

  private final Tokenizer tokenizer = Objects.requireNonNull(loaded);
  private final TextStreams streams = new TextStreams(tokenizer);

  @BeforeAll
  static void load() throws IOException {
    loaded = Tokenizer.load(MODEL, natives);
  }

  private EngineRequest request(List<String> stops, int... generated) {
    int[] prompt = tokenizer.encode("Hello there", true);
    int[] tokens = Arrays.copyOf(prompt, prompt.length + generated.length);
    System.arraycopy(generated, 0, tokens, prompt.length, generated.length);
    return new EngineRequest(
        KEY,
        tokens,
        prompt.length,
        SamplingParams.greedy(64),
        new TextParams(stops, false, true, true),
        0,
        "",
        "");
  }

  private @Nullable Delta on(
      @Nullable EngineRequest opened, @Nullable Finish finish, int... tokens) {
    return streams.on(new Emission(KEY, opened, 0, tokens, List.of(), List.of(), finish));
  }

  private static Finish finish(FinishReason reason, int stopToken, @Nullable Fault fault) {
    return new Finish(reason, stopToken, 3, fault);
  }

  @Test
  void on_tokensOneByOne_textAddsUpAndEndTokenIsHidden() {
    int[] words = tokenizer.encode("A car 🚗 drives.", false);
    StringBuilder text = new StringBuilder();
    EngineRequest opened = request(List.of());
    for (int token : words) {
      Delta delta = on(opened, null, token);
      assertThat(delta).isNotNull();
      assertThat(delta.start() != null).isEqualTo(opened != null);
      text.append(delta.text());
      opened = null;
    }
    Delta last = on(null, finish(FinishReason.STOP, -1, null), END);
    assertThat(last).isNotNull();
    assertThat(text.append(last.text())).hasToString("A car 🚗 drives.");
    assertThat(last.end()).isNotNull();
    assertThat(last.end().reason()).isEqualTo(FinishReason.STOP);
    assertThat(last.end().generatedTokens()).isEqualTo(words.length + 1);
    assertThat(on(null, null, 5)).as("after the end").isNull();
  }

  @Test
  void on_stopString_endsAtOnceAndTellsScheduler() {
    int[] words = tokenizer.encode("one two three four", false);
    Delta delta = on(request(List.of("three")), null, words);
    assertThat(delta).isNotNull();
    assertThat(delta.text()).isEqualTo("one two ");
    assertThat(delta.end()).isNotNull();
    assertThat(delta.end().stopString()).isEqualTo("three");
    assertThat(delta.end().generatedTokens()).isLessThan(words.length);
    assertThat(delta.tokens()).hasSize(delta.end().generatedTokens());
    assertThat(streams.takeStopped()).containsExactly(KEY);
    assertThat(streams.takeStopped()).isEmpty();
    assertThat(on(null, finish(FinishReason.STOP, -1, null))).isNull();
  }

  @Test
  void on_stopStringWithTheSchedulersEnd_isOneEndAndSchedulerKnowsAlready() {
    int[] words = tokenizer.encode("one two three", false);
    Delta delta = on(request(List.of("three")), finish(FinishReason.LENGTH, -1, null), words);
    assertThat(delta).isNotNull();
    assertThat(delta.end()).isNotNull();
    assertThat(delta.end().reason()).isEqualTo(FinishReason.STOP);
    assertThat(streams.takeStopped()).isEmpty();
  }

  @Test
  void on_refusedAtTheDoor_isAnEndWithTheReason() {
    Fault fault = new Fault(ErrorCode.INVALID_ARGUMENT, "too long");
    Delta delta = on(request(List.of()), finish(FinishReason.ERROR, -1, fault));
    assertThat(delta).isNotNull();
    assertThat(delta.end()).isNotNull();
    assertThat(delta.end().refusal()).isNotNull();
    assertThat(delta.end().refusal().text()).isEqualTo("too long");
  }

  @Test
  void on_movedSequence_onlyNewTextComesOut() {
    int[] words = tokenizer.encode("one two three four", false);
    int[] before = Arrays.copyOf(words, 2);
    Delta delta = on(request(List.of(), before), null, words[2]);
    assertThat(delta).isNotNull();
    assertThat(delta.text()).isEqualTo(tokenizer.decode(new int[] {words[2]}, true));
    Delta last = on(null, finish(FinishReason.LENGTH, -1, null), words[3]);
    assertThat(last).isNotNull();
    assertThat(last.end()).isNotNull();
    assertThat(last.end().generatedTokens()).isEqualTo(4);
  }

  /** It moved here to be ended: its client does not stream, and has none of its text. */
  @Test
  void on_movedSequenceEndedBeforeItsTurn_allTextComesOut() {
    int[] words = tokenizer.encode("one two three", false);
    EngineRequest told = request(List.of(), words);
    EngineRequest whole =
        new EngineRequest(
            KEY,
            told.tokens(),
            told.promptTokens(),
            told.sampling(),
            new TextParams(List.of(), false, true, false),
            0,
            "",
            "");
    Delta delta = on(whole, new Finish(FinishReason.ABORT, -1, words.length, null));
    assertThat(delta).isNotNull();
    assertThat(delta.text()).isEqualTo("one two three");
    assertThat(delta.tokens()).isEmpty();
    assertThat(delta.end()).isNotNull();
    assertThat(delta.end().generatedTokens()).isEqualTo(words.length);
  }

  @Test
  void on_unknownKey_isDropped() {
    assertThat(on(null, null, 1, 2)).isNull();
  }

  @Test
  void on_logprobs_carryTextAndBytes() {
    int token = tokenizer.encode(" car", false)[0];
    TokenLogprobs logprobs =
        new TokenLogprobs(token, -0.5f, 1, new int[] {token, END}, new float[] {-0.5f, -2});
    Delta delta =
        streams.on(
            new Emission(
                KEY, request(List.of()), 0, new int[] {token}, List.of(logprobs), List.of(), null));
    assertThat(delta).isNotNull();
    Delta.Scores scores = delta.scores().getFirst();
    assertThat(scores.chosen().text()).isEqualTo(" car");
    assertThat(scores.chosen().bytes()).isEqualTo(new byte[] {' ', 'c', 'a', 'r'});
    assertThat(scores.top()).hasSize(2);
    assertThat(scores.top().get(1).text()).isEqualTo("<|eot_id|>");
  }

  @Test
  void on_anythingThrownMeanwhile_endsThatSequenceAlone() {
    for (Throwable fault :
        List.of(
            new IllegalStateException("a test"),
            new NoClassDefFoundError("a test"),
            new OutOfMemoryError("a test"),
            new StackOverflowError("a test"))) {
      int token = tokenizer.encode(" car", false)[0];
      on(request(List.of()), null, token);
      Emission broken =
          new Emission(KEY, null, 0, new int[] {token}, throwing(fault), List.of(), null);
      Delta delta = streams.on(broken);
      assertThat(delta).as(fault.toString()).isNotNull();
      assertThat(delta.end()).isNotNull();
      assertThat(delta.end().reason()).isEqualTo(FinishReason.ERROR);
      assertThat(delta.end().refusal()).isNotNull();
      assertThat(delta.end().refusal().code()).isEqualTo(ErrorCode.INTERNAL);
      assertThat(streams.size()).isZero();
      assertThat(streams.takeStopped()).containsExactly(KEY);
    }
  }

  /** A list that cannot be read. */
  private static List<TokenLogprobs> throwing(Throwable fault) {
    return new AbstractList<>() {
      @Override
      public TokenLogprobs get(int index) {
        throw new IndexOutOfBoundsException(index);
      }

      @Override
      public int size() {
        if (fault instanceof Error error) {
          throw error;
        }
        throw (RuntimeException) fault;
      }
    };
  }

  @Test
  void on_failureOfOneSequence_endsItAlone() {
    EngineRequest broken =
        new EngineRequest(
            KEY, new int[] {1}, 5, SamplingParams.greedy(1), request(List.of()).text(), 0, "", "");
    Delta delta =
        streams.on(new Emission(KEY, broken, 0, new int[] {-9}, List.of(), List.of(), null));
    assertThat(delta).isNotNull();
    assertThat(delta.end()).isNotNull();
    assertThat(delta.end().reason()).isEqualTo(FinishReason.ERROR);
    assertThat(streams.takeStopped()).containsExactly(KEY);
  }
}
