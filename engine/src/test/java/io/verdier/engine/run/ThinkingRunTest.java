package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.ThinkingBudget;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Answers whose reasoning is bounded are the same to the bit alone, together, in pieces, preempted,
 * planned ahead and taken up anywhere.
 */
class ThinkingRunTest {
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 128;
  private static final int REQUESTS = 16;
  private static final DemoVocabulary VOCABULARY = DemoVocabulary.load();
  private static final String ENDING = "</think>";

  private static List<EngineRequest> requests = List.of();
  private static Map<Long, String> expected = Map.of();

  @BeforeAll
  static void runOneAfterTheOther() {
    List<EngineRequest> all = new ArrayList<>();
    List<int[]> prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .toList();
    for (int i = 0; i < REQUESTS; i++) {
      all.add(request(i, prompts.get(i % prompts.size())));
    }
    requests = all;
    Map<Long, String> texts = new TreeMap<>();
    requests.forEach(one -> texts.putAll(texts(run(cpu(), List.of(one), 1024, BLOCKS, 1))));
    expected = texts;
  }

  /** Every fourth is a neighbour that is free; every third must match something behind it. */
  private static EngineRequest request(int i, int[] prompt) {
    ParamsBuilder params = i % 5 == 4 ? new ParamsBuilder() : CudaSamplingTest.builder(i % 7);
    params.seed = i;
    params.temperature = i % 4 == 1 ? 0 : 1.5f;
    params.maxTokens = 50;
    params.allowed = new int[0];
    params.badWords = new int[0][];
    params.stopIds = new int[0];
    TextParams text =
        new TextParams(
            List.of(), false, true, Set.of(), true, Optional.of(ReasoningFormat.QWEN3), 2 * i, "");
    EngineRequest request =
        new EngineRequest(i, prompt, prompt.length, params.build(), text, 0, "", "");
    if (i % 4 == 0) {
      return request;
    }
    request =
        request.with(
            new ThinkingBudget(
                VOCABULARY.tokenizer,
                text,
                VOCABULARY.tokenizer.encode("<think>\n", false),
                VOCABULARY.tokenizer.encode(ENDING, false)));
    return i % 3 == 0 ? request.with(matching()) : request;
  }

  private static Guide matching() {
    return VOCABULARY
        .regex("[0-9]{3}-[0-9]{4}")
        .behind(new Thinking(true, new int[0], new int[0], List.of(ENDING)));
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
  }

  private static Map<Long, Heard> run(
      Backend backend, List<EngineRequest> all, int tokens, int blocks, int plans) {
    LoadedModel model =
        ModelLoader.load(
            Golden.DRAFT,
            TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(blocks)),
            backend,
            (done, total) -> {});
    try (ModelRunner runner = new ModelRunner(model, 2048, 64)) {
      Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
      Map<Long, Heard> heard = engine.run(all, Map.of());
      assertThat(engine.preemptions() > 0).isEqualTo(blocks < BLOCKS);
      return heard;
    }
  }

  private static Map<Long, String> texts(Map<Long, Heard> heard) {
    Map<Long, String> texts = new TreeMap<>();
    heard.forEach((key, stream) -> texts.put(key, stream.text()));
    return texts;
  }

  @ParameterizedTest
  @CsvSource({"1024,128,1", "7,128,2", "60,10,2"})
  void run_together_givesWhatEachGivesAlone(int tokens, int blocks, int plans) {
    assertThat(texts(run(cpu(), requests, tokens, blocks, plans))).isEqualTo(expected);
  }

  /** Device and processor round differently: there it is compared with itself. */
  @Test
  void run_togetherOnADevice_givesWhatEachGivesAlone() {
    Map<Long, String> alone = new TreeMap<>();
    for (EngineRequest request : requests.subList(0, 6)) {
      alone.putAll(
          texts(run(TestCuda.backend(Options.defaults()), List.of(request), 1024, BLOCKS, 1)));
    }
    Backend late = TestCuda.lateBackend(Options.defaults());
    assertThat(texts(run(late, requests.subList(0, 6), 16, BLOCKS, 2))).isEqualTo(alone);
  }

  @Test
  void run_bounded_endsItsReasoningWhereItMust() {
    Map<Long, Heard> heard = run(cpu(), requests, 1024, BLOCKS, 1);
    int forced = 0;
    for (EngineRequest request : requests) {
      if (request.thinking() == null) {
        continue;
      }
      List<Integer> tokens = Engine.of(heard, request).tokens;
      int most = request.thinking().tokensMax();
      int[] ending = request.thinking().ending();
      String thoughts = VOCABULARY.text(tokens.subList(0, Math.min(most, tokens.size())));
      if (tokens.size() >= most + ending.length && !thoughts.contains(ENDING)) {
        assertThat(tokens.subList(most, most + ending.length))
            .isEqualTo(Arrays.stream(ending).boxed().toList());
        forced++;
      }
      String answer = VOCABULARY.text(tokens);
      if (request.guide() != null && answer.contains(ENDING)) {
        String behind = answer.substring(answer.indexOf(ENDING) + ENDING.length());
        assertThat(behind).matches("[0-9]{3}-[0-9]{4}");
      }
    }
    assertThat(forced).isGreaterThan(6);
  }

  /** As after a preemption, or a move from another node: all but the first tokens come anew. */
  @Test
  void run_takenUpAnywhere_goesOnAsIfNothingHadBeen() {
    Map<Long, Heard> whole = run(cpu(), requests, 1024, BLOCKS, 1);
    for (int said : new int[] {1, 4, 7, 12}) {
      List<EngineRequest> later = new ArrayList<>();
      for (EngineRequest request : requests) {
        List<Integer> tokens = Engine.of(whole, request).tokens;
        if (tokens.size() > said && request.thinking() != null) {
          later.add(Engine.continued(request, tokens.subList(0, said)));
        }
      }
      Map<Long, Heard> rest = run(cpu(), later, 30, BLOCKS, 1);
      for (EngineRequest request : later) {
        List<Integer> tokens = Engine.of(whole, request).tokens;
        assertThat(Engine.of(rest, request).tokens)
            .as("behind %s tokens of %s", said, request.key())
            .isEqualTo(tokens.subList(said, tokens.size()));
      }
    }
  }
}
