package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.BeamSearch;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.ReferenceSearch;
import io.verdier.engine.schedule.ReferenceSearch.Found;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Beam searches on the draft of the demo model: what they find is what the reference finds, and the
 * same to the bit alone, together, in pieces, preempted and planned ahead.
 */
class BeamSearchTest {
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 128;
  private static final int POSITIONS = 6;
  private static final TextParams TEXT = new TextParams(List.of(), false, true, true);

  /** Width and length penalty; the fourth and the fifth end by a token that is often found. */
  private static final double[][] KINDS = {{1, 1}, {2, 0}, {3, 1}, {3, 2}, {4, -1}};

  private static List<int[]> prompts = List.of();
  private static List<EngineRequest> requests = List.of();
  private static Map<Long, String> expected = Map.of();

  @BeforeAll
  static void runOneAfterTheOther() {
    prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .limit(4)
            .toList();
    List<EngineRequest> all = new ArrayList<>();
    for (int i = 0; i < KINDS.length; i++) {
      all.add(search(100L * i, prompts.get(i % prompts.size()), KINDS[i], i >= 3));
      all.add(plain(100L * i + 50, prompts.get((i + 1) % prompts.size())));
    }
    requests = all;
    Map<Long, String> texts = new TreeMap<>();
    try (ModelRunner runner = runner(1, BLOCKS)) {
      for (EngineRequest request : requests) {
        texts(new Engine(runner, 1024, BLOCKS, LENGTH_MAX, 1), List.of(request), texts);
      }
    }
    expected = texts;
    assertThat(expected.values()).anyMatch(text -> text.startsWith("STOP"));
  }

  private static EngineRequest search(long key, int[] prompt, double[] kind, boolean stops) {
    ParamsBuilder params = new ParamsBuilder();
    params.maxTokens = POSITIONS;
    params.logprobs = 4;
    params.promptLogprobs = 2;
    params.stopIds = stops ? new int[] {stopToken()} : new int[0];
    long[] keys = LongStream.range(key, key + (long) kind[0]).toArray();
    return new EngineRequest(key, prompt, prompt.length, params.build(), TEXT, 0, "", "")
        .with(new BeamSearch(keys, kind[1]));
  }

  private static EngineRequest plain(long key, int[] prompt) {
    ParamsBuilder params = new ParamsBuilder();
    params.maxTokens = 20;
    params.logprobs = 1;
    params.seed = key;
    return new EngineRequest(key, prompt, prompt.length, params.build(), TEXT, 0, "", "");
  }

  /** One that is among the most probable ones somewhere: the greedy answer's third. */
  private static int stopToken() {
    return Golden.cases("logits.json").getFirst().greedy()[2];
  }

  private static ModelRunner runner(int threads, int blocks) {
    LoadedModel model =
        ModelLoader.load(
            Golden.DRAFT,
            TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(blocks)),
            new CpuBackend(OptionalInt.of(threads), KernelForm.VECTOR),
            (done, total) -> {});
    return new ModelRunner(model, 2048, 64);
  }

  private static void texts(Engine engine, List<EngineRequest> work, Map<Long, String> texts) {
    engine.run(work, Map.of()).forEach((key, heard) -> texts.put(key, heard.text()));
  }

  @ParameterizedTest
  @CsvSource({"1024,128,2,1,0", "16,128,2,1,0", "100,8,1,1,1", "1024,128,1,2,0", "40,8,3,2,0"})
  void run_allTogether_findsWhatEachFindsAlone(
      int tokens, int blocks, int threads, int plans, int preemptionsMin) {
    try (ModelRunner runner = runner(threads, blocks)) {
      Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
      Map<Long, String> found = new TreeMap<>();
      texts(engine, requests, found);
      assertThat(found).isEqualTo(expected);
      assertThat(engine.preemptions()).isGreaterThanOrEqualTo(preemptionsMin);
    }
  }

  /** The reference asks for the scores of every beginning by itself, without a cache. */
  @Test
  void run_searches_findWhatTheReferenceFinds() {
    Map<List<Integer>, TokenLogprobs> known = new HashMap<>();
    try (ModelRunner runner = runner(2, BLOCKS)) {
      for (EngineRequest request : requests) {
        BeamSearch asked = request.search();
        if (asked == null) {
          continue;
        }
        int[] stops = request.sampling().stopTokenIds();
        ReferenceSearch reference =
            new ReferenceSearch(
                tokens -> known.computeIfAbsent(tokens, it -> scores(runner, it)),
                token -> token == 4065 || token == 4072 || token == 4073 || has(stops, token),
                asked.keys().length,
                request.promptTokens() + POSITIONS,
                asked.lengthPenalty());
        List<Found> wanted = reference.run(request.tokens());
        Map<Long, Heard> heard =
            new Engine(runner, 1024, BLOCKS, LENGTH_MAX, 1).run(List.of(request), Map.of());
        for (int i = 0; i < wanted.size(); i++) {
          Heard answer = Objects.requireNonNull(heard.get(asked.keys()[i]));
          List<Integer> tokens = wanted.get(i).tokens();
          assertThat(answer.tokens)
              .isEqualTo(tokens.subList(request.promptTokens(), tokens.size()));
          double sum = 0;
          for (TokenLogprobs score : answer.logprobs) {
            sum += score.logprob();
          }
          assertThat(sum).isEqualTo(wanted.get(i).sum());
        }
      }
    }
    assertThat(known).hasSizeGreaterThan(50);
  }

  private static boolean has(int[] ids, int id) {
    return ids.length == 1 && ids[0] == id;
  }

  private static TokenLogprobs scores(ModelRunner runner, List<Integer> tokens) {
    int[] prompt = tokens.stream().mapToInt(i -> i).toArray();
    SamplingParams one = SamplingParams.scores(1, 8, SamplingParams.NO_SCORES);
    EngineRequest request = new EngineRequest(1, prompt, prompt.length, one, TEXT, 0, "", "");
    Map<Long, Heard> heard =
        new Engine(runner, 1024, BLOCKS, LENGTH_MAX, 1).run(List.of(request), Map.of());
    return Objects.requireNonNull(heard.get(1L)).logprobs.getFirst();
  }
}
