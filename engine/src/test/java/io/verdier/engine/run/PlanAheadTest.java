package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cuda.CacheFormat;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.backend.cuda.WeightFormat;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Planning a step while the one before it runs changes nothing that a client sees: prompts of the
 * golden data with parameters of all kinds, some of which end early, on a device that does
 * everything as late as it may.
 */
class PlanAheadTest {
  private static final Options GRAPHS = Options.defaults();
  private static final Options EAGER = new Options(true, WeightFormat.BF16, CacheFormat.BF16, 0.9);
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 128;

  private static List<EngineRequest> requests = List.of();
  private static Map<Long, String> expected = Map.of();

  /** Every third request gets one of the tokens it would say as a stop token. */
  @BeforeAll
  static void runOneAfterTheOther() {
    requests = requests(Map.of());
    Map<Long, Heard> unstopped = run(TestCuda.backend(GRAPHS), 1024, BLOCKS, 1).heard;
    Map<Long, int[]> stops = new TreeMap<>();
    unstopped.forEach(
        (key, stream) -> {
          if (key % 3 == 1 && stream.tokens.size() > 3) {
            stops.put(key, new int[] {stream.tokens.get(2 + (int) (key % 2))});
          }
        });
    requests = requests(stops);
    expected = run(TestCuda.backend(GRAPHS), 1024, BLOCKS, 1).texts();
    assertThat(expected.values()).anyMatch(text -> text.startsWith("STOP"));
    assertThat(expected.values()).anyMatch(text -> text.startsWith("LENGTH"));
    assertThat(expected.values()).anyMatch(text -> text.startsWith("ERROR"));
  }

  private static List<EngineRequest> requests(Map<Long, int[]> stops) {
    List<EngineRequest> all = new ArrayList<>();
    List<int[]> prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .toList();
    for (int i = 0; i < 2 * prompts.size(); i++) {
      int[] prompt = prompts.get(i % prompts.size());
      ParamsBuilder params = i < prompts.size() ? CudaSamplingTest.builder(i) : new ParamsBuilder();
      params.maxTokens = i % 4 == 0 ? 40 : 5 + i % 11;
      int[] stop = stops.get((long) i);
      if (stop != null && params.minTokens == 0) {
        params.stopIds = stop;
      }
      all.add(
          new EngineRequest(
              i,
              prompt,
              prompt.length,
              params.build(),
              new TextParams(List.of(), false, true, true),
              0,
              "",
              ""));
    }
    return all;
  }

  /** What came of a run. */
  private record Result(Map<Long, Heard> heard, int pairs, long preemptions) {
    Map<Long, String> texts() {
      Map<Long, String> texts = new TreeMap<>();
      heard.forEach((key, stream) -> texts.put(key, stream.text()));
      return texts;
    }
  }

  private static Result run(Backend backend, int tokens, int blocks, int plans) {
    return run(backend, tokens, blocks, plans, Map.of());
  }

  private static LoadedModel load(Backend backend, int blocks) {
    return ModelLoader.load(
        Golden.DRAFT,
        TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(blocks)),
        backend,
        (done, total) -> {});
  }

  private static Result run(
      Backend backend, int tokens, int blocks, int plans, Map<Integer, Long> cancelled) {
    LoadedModel model = load(backend, blocks);
    try (ModelRunner runner = new ModelRunner(model, 2048, 64)) {
      Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
      Map<Long, Heard> heard = engine.run(requests, cancelled);
      return new Result(heard, engine.pairs(), engine.preemptions());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1024,128,false,0",
    "16,128,false,0",
    "1024,128,true,0",
    "100,9,false,1",
    "16,10,true,0",
  })
  void run_onALateDevice_givesWhatOneAfterTheOtherGives(
      int tokens, int blocks, boolean eager, int preemptionsMin) {
    Result result = run(TestCuda.lateBackend(eager ? EAGER : GRAPHS), tokens, blocks, 2);

    assertThat(result.texts()).isEqualTo(expected);
    assertThat(result.pairs).as("steps begun ahead").isGreaterThan(5);
    assertThat(result.preemptions).isGreaterThanOrEqualTo(preemptionsMin);
  }

  /** Several chunks a step, and with them the results of three or more steps and chunks. */
  @Test
  void run_fewRowsAtOnce_givesWhatOneAfterTheOtherGives() {
    LoadedModel model = load(TestCuda.lateBackend(GRAPHS), BLOCKS);
    RowSampling narrow = new NarrowSampling(RowSampling.of(model, 2048));
    try (ModelRunner runner = new ModelRunner(model, 2048, 64, narrow)) {
      Engine engine = new Engine(runner, 100, BLOCKS, LENGTH_MAX, 2);
      Map<Long, Heard> heard = engine.run(requests, Map.of());
      assertThat(new Result(heard, 0, 0).texts()).isEqualTo(expected);
    }
  }

  /** Another's sampling, three rows at a time. */
  private record NarrowSampling(RowSampling real) implements RowSampling {
    @Override
    public int rowsMax() {
      return 3;
    }

    @Override
    public RowResults run(WantedRows wanted, int from, int count) {
      return real.run(wanted, from, count);
    }

    @Override
    public void forget(TokenHistory history) {
      real.forget(history);
    }
  }

  @Test
  void run_someAreCancelled_othersGetTheirTokens() {
    Map<Integer, Long> cancelled = Map.of(2, 12L, 3, 3L, 5, 14L, 6, 21L);
    Result result = run(TestCuda.lateBackend(GRAPHS), 1024, BLOCKS, 2, cancelled);

    result
        .texts()
        .forEach(
            (key, text) -> {
              if (!text.startsWith("ABORT")) {
                assertThat(text).isEqualTo(expected.get(key));
              }
            });
    assertThat(result.texts().values()).anyMatch(text -> text.startsWith("ABORT"));
  }

  @ParameterizedTest
  @CsvSource({"1024,128", "50,9"})
  void run_onTheProcessor_givesWhatOneAfterTheOtherGives(int tokens, int blocks) {
    Result one = run(cpu(), tokens, blocks, 1);
    Result two = run(cpu(), tokens, blocks, 2);

    assertThat(two.texts()).isEqualTo(one.texts());
    assertThat(one.pairs).isZero();
    assertThat(two.pairs).isPositive();
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
  }
}
