package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Hidden states of prompts: which ones, and that they are the same to the bit alone, among others
 * that are pooled or generate, in chunks, after preemption and behind a warm prefix cache. That
 * they are the right ones, {@link io.verdier.engine.model.FamilyTest} shows against its oracle.
 */
class PoolingTest {
  private static final int LENGTH_MAX = 128;
  private static final List<Pooling> KINDS =
      List.of(Pooling.FIRST, Pooling.LAST, Pooling.MEAN, Pooling.EVERY);
  private static final Map<Kind, Map<Long, String>> ALONE = new EnumMap<>(Kind.class);

  /** What computes. */
  enum Kind {
    VECTOR,
    SCALAR,
    NATIVE,
    CUDA
  }

  private static Backend backend(Kind kind) {
    return switch (kind) {
      case VECTOR -> new CpuBackend(OptionalInt.of(2), KernelForm.VECTOR);
      case SCALAR -> new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR);
      case NATIVE -> nativeBackend();
      case CUDA -> TestCuda.lateBackend(CudaBackend.Options.defaults());
    };
  }

  private static Backend nativeBackend() {
    KernelLevel level = NativeLevels.available().getFirst();
    return NativeLevels.backend(level, WeightFormat.BF16, 2);
  }

  @Test
  void run_eachKind_givesTheHiddenStatesOfItsPositions() {
    int[] ids = Golden.cases("logits.json").get(2).ids();
    float[][] states;
    try (LoadedModel model = load(rank -> backend(Kind.VECTOR), 128)) {
      states = hiddenStates(model, ids);
    }
    Map<Pooling, float[]> pooled = new EnumMap<>(Pooling.class);
    for (Pooling kind : KINDS) {
      EngineRequest request = request(1, ids, SamplingParams.pooled(kind));
      Heard heard = run(Kind.VECTOR, List.of(request), 7, 128, 1).heard.get(1L);
      pooled.put(kind, Objects.requireNonNull(heard).pooled);
    }
    int width = states[0].length;
    double[] mean = new double[width];
    float[] every = new float[ids.length * width];
    for (int t = 0; t < ids.length; t++) {
      System.arraycopy(states[t], 0, every, t * width, width);
      for (int i = 0; i < width; i++) {
        mean[i] += states[t][i];
      }
    }
    float[] rounded = new float[width];
    for (int i = 0; i < width; i++) {
      rounded[i] = (float) (mean[i] / ids.length);
    }
    assertThat(pooled.get(Pooling.FIRST)).isEqualTo(states[0]);
    assertThat(pooled.get(Pooling.LAST)).isEqualTo(states[ids.length - 1]);
    assertThat(pooled.get(Pooling.MEAN)).isEqualTo(rounded);
    assertThat(pooled.get(Pooling.EVERY)).isEqualTo(every);
  }

  private static float[][] hiddenStates(LoadedModel model, int[] ids) {
    AttentionBatch batch = new AttentionBatch(LENGTH_MAX, 1);
    batch.add(i -> ids[i], 0, ids.length, IntStream.range(0, 64).toArray());
    model.transformer().forward(batch, model.cache());
    float[][] states = new float[ids.length][model.spec().hidden()];
    for (int i = 0; i < ids.length; i++) {
      model.transformer().hiddenStates(new int[] {i}, 0, 1, states[i]);
    }
    return states;
  }

  @ParameterizedTest
  @CsvSource({
    "VECTOR,1024,128,1,0",
    "VECTOR,7,128,1,0",
    "VECTOR,16,8,1,1",
    "VECTOR,100,8,2,1",
    "SCALAR,33,128,1,0",
    "NATIVE,1024,128,1,0",
    "NATIVE,19,8,1,1",
    "CUDA,1024,128,2,0",
    "CUDA,30,8,2,1",
  })
  void run_allTogether_givesSameBitsAsAlone(
      Kind kind, int tokens, int blocks, int plans, int preemptionsMin) {
    Result result = run(kind, requests(), tokens, blocks, plans);

    assertThat(result.texts()).isEqualTo(alone(kind));
    assertThat(result.preemptions).isGreaterThanOrEqualTo(preemptionsMin);
  }

  @Test
  void run_onRanks_givesSameBitsAlone() {
    RankBackends ranks = rank -> new CpuBackend(OptionalInt.of(1), KernelForm.VECTOR);
    Map<Long, String> alone = new TreeMap<>();
    for (EngineRequest request : requests()) {
      alone.putAll(run(load(ranks, 128, 2), List.of(request), 1024, 128, 1).texts());
    }
    assertThat(run(load(ranks, 9, 2), requests(), 20, 9, 1).texts()).isEqualTo(alone);
  }

  private static Map<Long, String> alone(Kind kind) {
    return ALONE.computeIfAbsent(
        kind,
        each -> {
          Map<Long, String> texts = new TreeMap<>();
          for (EngineRequest request : requests()) {
            texts.putAll(run(each, List.of(request), 1024, 128, 1).texts());
          }
          return texts;
        });
  }

  /** The same prompts for each kind of pooling, and for tokens: later ones find earlier blocks. */
  private static List<EngineRequest> requests() {
    List<EngineRequest> all = new ArrayList<>();
    List<int[]> prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .limit(4)
            .toList();
    for (int i = 0; i < 5 * prompts.size(); i++) {
      int kind = (i + 4) % 5;
      SamplingParams params =
          kind == 4 ? BitEqualityTest.params(i) : SamplingParams.pooled(KINDS.get(kind));
      all.add(request(i, prompts.get(i / 5), params));
    }
    return all;
  }

  private static EngineRequest request(long key, int[] prompt, SamplingParams params) {
    TextParams text = new TextParams(List.of(), false, true, true);
    return new EngineRequest(key, prompt, prompt.length, params, text, 0, "", "");
  }

  /** What came of a run. */
  private record Result(Map<Long, Heard> heard, long preemptions) {
    Map<Long, String> texts() {
      Map<Long, String> texts = new TreeMap<>();
      heard.forEach((key, stream) -> texts.put(key, stream.text()));
      return texts;
    }
  }

  private static Result run(
      Kind kind, List<EngineRequest> requests, int tokens, int blocks, int plans) {
    LoadedModel model = load(rank -> backend(kind), blocks);
    return run(model, requests, tokens, blocks, plans);
  }

  private static Result run(
      LoadedModel model, List<EngineRequest> requests, int tokens, int blocks, int plans) {
    try (ModelRunner runner = new ModelRunner(model, 1024, 64)) {
      Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
      return new Result(engine.run(requests, Map.of()), engine.preemptions());
    }
  }

  private static LoadedModel load(RankBackends backends, int blocks, int... ranks) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--max-num-batched-tokens=1024",
                "--max-num-seqs=64",
                "--max-model-len=" + LENGTH_MAX,
                "--num-gpu-blocks-override=" + blocks));
    Arrays.stream(ranks).forEach(count -> flags.add("--tensor-parallel-size=" + count));
    return ModelLoader.load(
        Golden.DRAFT, TestConfig.of(flags.toArray(String[]::new)), backends, (done, total) -> {});
  }
}
