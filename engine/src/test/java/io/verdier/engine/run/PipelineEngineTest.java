package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.StageLoader;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.run.pipeline.PipelineFailure;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.weights.CheckpointFiles;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whatever may be asked for (penalties, bias, constraints, scores, hidden states) comes out of
 * stages as out of one piece, scheduled together, in pieces, preempted and planned ahead.
 */
class PipelineEngineTest {
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 128;
  private static final Duration WAIT = Duration.ofSeconds(20);
  private static final DemoVocabulary VOCABULARY = DemoVocabulary.load();

  private static List<EngineRequest> requests = List.of();
  private static Map<Long, String> expected = Map.of();

  @BeforeAll
  static void runInOnePiece() {
    List<int[]> prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .toList();
    List<EngineRequest> all = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      all.add(request(i, prompts.get(i % prompts.size())));
    }
    requests = all;
    LoadedModel whole =
        ModelLoader.load(
            Golden.MODEL,
            TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(BLOCKS)),
            cpu(),
            (done, total) -> {});
    try (ModelRunner runner = new ModelRunner(whole, 2048, 64)) {
      expected = run(runner, 1024, BLOCKS, 1);
    }
    assertThat(expected.values()).anyMatch(text -> text.startsWith("STOP"));
    assertThat(expected.values()).anyMatch(text -> text.startsWith("LENGTH"));
  }

  private static EngineRequest request(int i, int[] prompt) {
    ParamsBuilder params = CudaSamplingTest.builder(i % 12);
    params.seed = i;
    params.maxTokens = 30;
    SamplingParams built =
        i % 6 == 5
            ? SamplingParams.pooled(i % 4 == 1 ? Pooling.EVERY : Pooling.MEAN)
            : params.build();
    EngineRequest request =
        new EngineRequest(
            i,
            prompt,
            prompt.length,
            built,
            new TextParams(List.of(), false, true, true),
            0,
            "",
            "");
    return i % 3 == 1 && i % 6 != 5
        ? request.with(VOCABULARY.regex("\\{\"name of the cat\": \"[A-Z][a-z]{2,9}\"\\}"))
        : request;
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), KernelForm.VECTOR);
  }

  private static Map<Long, String> run(ModelRunner runner, int tokens, int blocks, int plans) {
    Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
    Map<Long, String> texts = new TreeMap<>();
    engine.run(requests, Map.of()).forEach((key, heard) -> texts.put(key, heard.text()));
    assertThat(engine.preemptions() > 0).isEqualTo(blocks < BLOCKS);
    return texts;
  }

  private static ModelRunner staged(int stages, int partRowsMin) {
    ServerConfig config =
        TestConfig.of(
            "--pipeline-parallel-size=" + stages,
            "--max-num-batched-tokens=2048",
            "--max-num-seqs=64",
            "--max-model-len=" + LENGTH_MAX,
            "--num-gpu-blocks-override=" + BLOCKS);
    List<LoadedModel> models;
    try (StageLoader loader =
        new StageLoader(CheckpointFiles.in(Golden.MODEL), config, index -> cpu())) {
      models = loader.load(loader.blocks(), (done, total) -> {});
    }
    LocalStages behind = new LocalStages(models.subList(1, stages), config, null);
    Pipeline pipeline = Pipeline.start(stages, behind, Duration.ofSeconds(30));
    return new ModelRunner(models.getFirst(), 2048, 64, pipeline, partRowsMin);
  }

  @ParameterizedTest
  @CsvSource({"2,1024,128,1,32", "2,16,128,2,1", "3,60,12,2,3", "4,1024,12,1,1"})
  void run_inStages_givesWhatOnePieceGives(
      int stages, int tokens, int blocks, int plans, int partRowsMin) {
    try (ModelRunner runner = staged(stages, partRowsMin)) {
      assertThat(run(runner, tokens, blocks, plans)).isEqualTo(expected);
      runner.vacate(); // all stages, and what comes then is as before
      assertThat(run(runner, 1024, BLOCKS, 1)).isEqualTo(expected);
    }
  }

  /** Numbers that no first stage sends, and native code must not see. */
  static List<StageWork> wrongWork() {
    float[] row = new float[256];
    int[] table = {0};
    return List.of(
        new StageWork.Rows(0, List.of(new StageWork.Slice(0, 2, table)), row),
        new StageWork.Rows(0, List.of(), new float[0]),
        new StageWork.Rows(2048, List.of(new StageWork.Slice(0, 1, table)), row),
        new StageWork.Rows(-1, List.of(new StageWork.Slice(0, 1, table)), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(-1, 1, table)), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(16, 1, table)), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(Integer.MAX_VALUE, 1, table)), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(0, 1, new int[] {BLOCKS})), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(0, 1, new int[] {-1})), row),
        new StageWork.Rows(0, List.of(new StageWork.Slice(128, 1, new int[9])), row),
        new StageWork.Pool(new int[] {0}),
        wanted(0, 1, new int[] {5}, -1),
        choose(new StageWork.Wanted(0, 0, 9, null, 5, 0, new int[0], null)));
  }

  private static StageWork wanted(int row, int known, int[] tokens, int given) {
    StageWork.Start start = new StageWork.Start(tokens, 1, SamplingParams.greedy(3));
    return choose(new StageWork.Wanted(row, 0, 1, start, given, known, new int[0], null));
  }

  private static StageWork choose(StageWork.Wanted wanted) {
    return new StageWork.Choose(new long[0], List.of(wanted));
  }

  @ParameterizedTest
  @MethodSource("wrongWork")
  void work_thatDoesNotFit_endsThePipeline(StageWork wrong) {
    requireEnd(List.of(wrong));
  }

  @Test
  void wanted_thatDoesNotFitAStep_endsThePipeline() {
    StageWork good =
        new StageWork.Rows(0, List.of(new StageWork.Slice(0, 1, new int[] {3})), new float[256]);
    for (StageWork wrong :
        List.of(
            wanted(1, 1, new int[] {5}, -1),
            wanted(-1, 1, new int[] {5}, -1),
            wanted(0, 2, new int[] {5}, -1),
            wanted(0, 1, new int[] {4096}, -1),
            wanted(0, 1, new int[] {5}, 4096),
            new StageWork.Pool(new int[] {1}))) {
      requireEnd(List.of(good, wrong));
    }
  }

  private static void requireEnd(List<StageWork> works) {
    ServerConfig config =
        TestConfig.of(
            "--pipeline-parallel-size=2",
            "--max-num-batched-tokens=2048",
            "--max-model-len=" + LENGTH_MAX,
            "--num-gpu-blocks-override=" + BLOCKS);
    List<LoadedModel> models;
    try (StageLoader loader =
        new StageLoader(CheckpointFiles.in(Golden.MODEL), config, index -> cpu())) {
      models = loader.load(loader.blocks(), (done, total) -> {});
    }
    CompletableFuture<String> heard = new CompletableFuture<>();
    LocalStages behind = new LocalStages(models.subList(1, 2), config, null);
    try (LoadedModel first = models.getFirst();
        Pipeline pipeline = Pipeline.start(2, behind, Duration.ofSeconds(20))) {
      assertThat(first.transformer().stage().isFirst()).isTrue();
      pipeline.onFailed(heard::complete);
      works.forEach(pipeline::send);
      assertThatThrownBy(() -> pipeline.await(StageResult.Choices.class))
          .isInstanceOf(PipelineFailure.class)
          .hasMessageContaining("IllegalStateException");
      assertThat(heard).succeedsWithin(WAIT).asString().contains("verdier-stage-1");
    }
  }

  @Test
  void result_thatDoesNotComeInTime_isTheEnd() {
    try (Pipeline silent = Pipeline.start(2, new Silence(), Duration.ofMillis(20))) {
      silent.send(new StageWork.Vacate());
      assertThatThrownBy(() -> silent.await(StageResult.Vacated.class))
          .isInstanceOf(PipelineFailure.class)
          .hasMessageContaining("no result came within 0 s");
      assertThatThrownBy(() -> silent.send(new StageWork.Vacate()))
          .isInstanceOf(PipelineFailure.class);
    }
  }

  /** A step that failed between the question and the answer must not cost the engine. */
  @Test
  void choice_thatNobodyRead_isNotTakenForTheNextAnswer() {
    ServerConfig config =
        TestConfig.of(
            "--pipeline-parallel-size=2",
            "--max-num-batched-tokens=64",
            "--max-model-len=" + LENGTH_MAX,
            "--num-gpu-blocks-override=" + BLOCKS);
    List<LoadedModel> models;
    try (StageLoader loader =
        new StageLoader(CheckpointFiles.in(Golden.MODEL), config, index -> cpu())) {
      models = loader.load(loader.blocks(), (done, total) -> {});
    }
    LocalStages behind = new LocalStages(models.subList(1, 2), config, null);
    try (LoadedModel first = models.getFirst();
        Pipeline pipeline = Pipeline.start(2, behind, Duration.ofSeconds(20))) {
      PipelinedSampling sampling = new PipelinedSampling(pipeline, 64);
      PipelinedForward layers =
          new PipelinedForward(first, pipeline, sampling, new AttentionBatch(64, 8), 32);
      sampling.run(new WantedRows(64), 0, 0);
      layers.vacate();
      sampling.run(new WantedRows(64), 0, 0);
      layers.states(new int[0], 0, 0, new float[0]);
      sampling.run(new WantedRows(64), 0, 0);
      layers.vacate();
    }
  }

  /** Steps of a long prompt: nobody asks what came of them. */
  @Test
  void steps_thatNobodyAnswers_areNoMoreThanOneAhead() {
    try (Pipeline slow = Pipeline.start(2, new Silence(), Duration.ofMillis(20))) {
      for (int step = 0; step < 2; step++) {
        slow.beginStep();
        slow.send(rows());
      }
      assertThatThrownBy(slow::beginStep)
          .isInstanceOf(PipelineFailure.class)
          .hasMessageContaining("no result came");
    }
    try (Pipeline quick = Pipeline.start(2, new Echo(), Duration.ofSeconds(20))) {
      for (int step = 0; step < 50; step++) {
        quick.beginStep();
        quick.send(rows());
        quick.send(rows()); // a part of the same
        if (step % 7 == 0) {
          quick.send(new StageWork.Choose(new long[0], List.of()));
          assertThat(quick.await(StageResult.Choices.class).choices()).isEmpty();
        }
      }
    }
  }

  private static StageWork.Rows rows() {
    return new StageWork.Rows(0, List.of(), new float[0]);
  }

  /** A stage that has done all work at once. */
  private static final class Echo implements Pipeline.Link {
    private @Nullable Pipeline pipeline;

    @Override
    public void start(Pipeline of) {
      pipeline = of;
    }

    @Override
    public void send(StageWork work) {
      Pipeline back = Objects.requireNonNull(pipeline);
      if (work instanceof StageWork.Confirm) {
        back.onResult(new StageResult.Confirmed());
      } else if (work instanceof StageWork.Choose) {
        back.onResult(new StageResult.Choices(List.of()));
      }
    }

    @Override
    public void close() {}
  }

  /** A stage that hangs. */
  private static final class Silence implements Pipeline.Link {
    @Override
    public void start(Pipeline pipeline) {}

    @Override
    public void send(StageWork work) {}

    @Override
    public void close() {}
  }
}
