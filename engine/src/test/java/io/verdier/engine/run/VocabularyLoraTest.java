package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.run.LoraModelTest.Device;
import io.verdier.engine.run.VocabularyAdapter.Part;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Adapters of the demo model's embedding and output matrix, which are one matrix: what a checkpoint
 * says into which they are merged, and the same bits alone, mixed with others, in chunks,
 * preempted, split over ranks and planned ahead.
 */
class VocabularyLoraTest {
  private static final List<String> ALL = List.of("", "both", "pirate", "head", "embedding");
  @TempDir static Path directory;
  private static Path merged = Path.of("");

  @BeforeAll
  static void write() throws IOException {
    VocabularyAdapter both = VocabularyAdapter.random(Golden.MODEL, 5);
    VocabularyAdapter other = VocabularyAdapter.random(Golden.MODEL, 6);
    both.write(directory.resolve("both"), Part.BOTH);
    other.write(directory.resolve("head"), Part.HEAD);
    other.write(directory.resolve("embedding"), Part.EMBEDDING);
    VocabularyAdapter.random(Golden.DRAFT, 7).write(directory.resolve("draft"), Part.BOTH);
    merged = both.writeMerged(directory.resolve("merged"));
  }

  private static TestAdapters.Loaded withAll(TestAdapters.Loaded loaded) {
    for (String name : List.of("both", "head", "embedding")) {
      ModelRunner runner = loaded.driver().runner;
      loaded.identities().put(name, TestAdapters.add(runner, directory.resolve(name)));
    }
    return loaded;
  }

  /**
   * The merged model computes in float32, and so does Java with the adapter: they differ in the
   * order of sums. The others' activations are bfloat16, for which the golden data's README allows
   * 0.3.
   */
  @ParameterizedTest
  @CsvSource({"JAVA,2e-3", "NATIVE,0.3", "CUDA,0.3"})
  void logits_embeddingAndHead_areTheMergedModels(Device device, double tolerance) {
    int[] ids = Golden.cases("logits.json").get(1).ids();
    float[] expected;
    try (Driver driver = Driver.load(merged, 2, KernelForm.VECTOR, 1)) {
      expected = logits(driver.runner.model(), ids, AttentionBatch.NO_ADAPTER);
    }
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(device.open(2), 1, 1))) {
      LoadedModel model = loaded.driver().runner.model();
      int slot = loaded.slots().enter(Objects.requireNonNull(loaded.identities().get("both")));
      float[] found = logits(model, ids, slot);
      float[] plain = logits(model, ids, AttentionBatch.NO_ADAPTER);
      double largest = 0;
      for (int i = 0; i < found.length; i++) {
        assertThat((double) found[i]).isCloseTo(expected[i], within(tolerance));
        largest = Math.max(largest, Math.abs(found[i] - plain[i]));
      }
      assertThat(largest).as("what the adapter changes").isGreaterThan(3);
    }
  }

  /** Of all rows, one behind the other. */
  private static float[] logits(LoadedModel model, int[] ids, int slot) {
    AttentionBatch batch = new AttentionBatch(1024, 1);
    batch.add(i -> ids[i], 0, ids.length, IntStream.range(0, 64).toArray(), slot);
    model.transformer().forward(batch, model.cache());
    float[] logits = new float[ids.length * VocabularyAdapter.VOCAB];
    model.transformer().logits(IntStream.range(0, ids.length).toArray(), 0, ids.length, logits);
    return logits;
  }

  @Test
  void run_greedy_saysWhatTheMergedModelSays() {
    List<int[]> expected = new ArrayList<>();
    try (Driver driver = Driver.load(merged, 2, KernelForm.VECTOR, 1)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        batch.add(driver.add(Golden.cases("logits.json").get(i).ids(), BitEqualityTest.params(0)));
      }
      driver.finish(batch, 1024);
      batch.forEach(one -> expected.add(one.generated()));
    }
    List<int[]> found = new ArrayList<>();
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(Device.JAVA.open(2), 1, 1))) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        int[] prompt = Golden.cases("logits.json").get(i).ids();
        batch.add(loaded.add(prompt, BitEqualityTest.params(0), "both"));
      }
      loaded.driver().finish(batch, 1024);
      batch.forEach(one -> found.add(one.generated()));
    }
    assertThat(found).containsExactlyElementsOf(expected);
  }

  /** Even ones greedy, odd ones sampled; fewer tokens where a device is emulated. */
  private static SamplingParams params(Device device, int i) {
    ParamsBuilder params = new ParamsBuilder();
    params.temperature = i % 2 == 0 ? 0 : 0.8f;
    params.seed = i;
    params.maxTokens = device == Device.CUDA ? 6 : 24;
    params.logprobs = 3;
    params.promptLogprobs = 1;
    return params.build();
  }

  @ParameterizedTest
  @CsvSource({"JAVA,2,7", "JAVA,3,1024", "NATIVE,3,33", "NATIVE,1,1024", "CUDA,2,50"})
  void run_mixedPreemptedInChunks_givesSameBitsAsAlone(Device device, int threads, int chunk) {
    List<Integer> some = device == Device.CUDA ? List.of(1) : List.of(0, 1, 7);
    List<Golden.Case> cases = Golden.cases("logits.json");
    List<String> alone = new ArrayList<>();
    List<String> plain = new ArrayList<>();
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(device.open(1), 1, 1))) {
      for (int i : some) {
        for (String name : ALL) {
          Driver.Sequence one = loaded.add(cases.get(i).ids(), params(device, i), name);
          loaded.driver().finish(List.of(one), 1024);
          alone.add(BitEqualityTest.trace(one));
        }
      }
    }
    try (Driver without = Driver.load(Golden.MODEL, device.open(1), 2)) {
      for (int i : some) {
        Driver.Sequence one = without.add(cases.get(i).ids(), params(device, i));
        without.finish(List.of(one), 1024);
        plain.add(BitEqualityTest.trace(one));
      }
    }
    for (int i = 0; i < plain.size(); i++) {
      assertThat(alone.get(i * ALL.size())).isEqualTo(plain.get(i));
      assertThat(alone.subList(i * ALL.size(), (i + 1) * ALL.size())).doesNotHaveDuplicates();
    }
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(device.open(threads), 4, 5))) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i : some) {
        for (String name : ALL) {
          batch.add(loaded.add(cases.get(i).ids(), params(device, i), name));
        }
      }
      for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
        loaded.driver().step(batch, chunk);
        Driver.Sequence victim = batch.get(step % batch.size());
        if (step % 9 == 8 && !victim.done()) {
          loaded.driver().preempt(victim);
        }
      }
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
    }
  }

  /** Every rank embeds all tokens and has the output rows of some; the sums are another split's. */
  @ParameterizedTest
  @CsvSource({"JAVA,2", "JAVA,4", "NATIVE,2", "CUDA,2"})
  void run_ranks_givesSameBitsAloneAndMixed(Device device, int ranks) {
    int[] prompt = Golden.cases("logits.json").get(1).ids();
    List<String> alone = new ArrayList<>();
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(device.ranks(), ranks, 1, 1))) {
      for (String name : ALL) {
        Driver.Sequence one = loaded.add(prompt, params(device, 0), name);
        loaded.driver().finish(List.of(one), 1024);
        alone.add(BitEqualityTest.trace(one));
      }
    }
    try (TestAdapters.Loaded loaded = withAll(TestAdapters.load(device.ranks(), ranks, 4, 3))) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (String name : ALL) {
        batch.add(loaded.add(prompt, params(device, 0), name));
      }
      loaded.driver().finish(batch, 50);
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
      if (device == Device.JAVA) {
        assertThat(batch.get(ALL.indexOf("both")).generated()).isEqualTo(greedyOfMerged(prompt));
      }
    }
  }

  private static int[] greedyOfMerged(int[] prompt) {
    CpuBackend backend = new CpuBackend(OptionalInt.of(2), KernelForm.VECTOR);
    try (Driver driver = Driver.load(merged, backend, 1)) {
      Driver.Sequence one = driver.add(prompt, BitEqualityTest.params(0));
      driver.finish(List.of(one), 1024);
      return one.generated();
    }
  }

  /** A step is embedded before the host knows the tokens that it embeds. */
  @Test
  void run_plannedAheadOnALateDevice_givesSameBitsAsOneAfterTheOther() {
    Map<Long, String> expected = runDraft(1);
    Map<Long, String> ahead = runDraft(2);

    assertThat(ahead).isEqualTo(expected);
    assertThat(expected.get(0L)).isNotEqualTo(expected.get(1L)); // of one prompt
  }

  private static Map<Long, String> runDraft(int plans) {
    LoadedModel model =
        ModelLoader.load(
            Golden.DRAFT,
            TestConfig.of(
                "--enable-lora",
                "--max-loras=2",
                "--max-num-batched-tokens=256",
                "--max-num-seqs=16",
                "--max-model-len=128",
                "--num-gpu-blocks-override=64"),
            TestCuda.lateBackend(Options.defaults()),
            (done, total) -> {});
    try (ModelRunner runner = new ModelRunner(model, 256, 16)) {
      String identity = TestAdapters.add(runner, directory.resolve("draft"));
      List<EngineRequest> requests = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        int[] prompt = Golden.cases("logits.json").get(i / 2).ids();
        ParamsBuilder params = new ParamsBuilder();
        params.temperature = i < 4 ? 0 : 0.8f;
        params.seed = i;
        params.logprobs = 2;
        params.maxTokens = 8 + i;
        TextParams text = new TextParams(List.of(), false, true, true);
        requests.add(
            new EngineRequest(
                i, prompt, prompt.length, params.build(), text, 0, "", i % 2 == 0 ? "" : identity));
      }
      Engine engine = new Engine(runner, 256, 64, 128, plans);
      Map<Long, Heard> heard = engine.run(requests, Map.of());
      assertThat(engine.pairs()).isGreaterThanOrEqualTo(plans == 1 ? 0 : 5);
      Map<Long, String> texts = new TreeMap<>();
      heard.forEach((key, stream) -> texts.put(key, stream.text()));
      return texts;
    }
  }
}
