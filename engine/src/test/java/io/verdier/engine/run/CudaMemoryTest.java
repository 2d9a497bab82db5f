package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaException;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.MemoryPlan;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.sample.SamplingParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole start on a device of little memory: what is planned is what is taken. */
class CudaMemoryTest {
  private static final int TOKENS = 512;
  private static final int SEQUENCES = 16; // of 512 tokens: as many blocks as the driver deals

  private static String[] flags(String... more) {
    List<String> argv =
        new ArrayList<>(
            List.of(
                "--max-num-batched-tokens=" + TOKENS,
                "--max-num-seqs=" + SEQUENCES,
                "--max-model-len=512"));
    argv.addAll(List.of(more));
    return argv.toArray(String[]::new);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void load_anyStep_takesNoMoreThanPlanned(boolean adapted) {
    String[] more = adapted ? new String[] {"--enable-lora", "--max-loras=2"} : new String[0];
    ServerConfig config = TestConfig.of(flags(more));
    CudaBackend backend = TestCuda.emulated(1L << 30, CudaBackend.Options.of(config.backend()));
    long before = TestCuda.takenMax(backend);
    LoadedModel model = load(config, backend);
    try (Driver driver = new Driver(new ModelRunner(model, TOKENS, SEQUENCES), 1)) {
      model.transformer().prepare(SEQUENCES, model.cache());
      String adapter = adapted ? TestAdapters.add(driver.runner, "pirate") : "";
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < SEQUENCES; i++) {
        int[] prompt = new int[40];
        Arrays.setAll(prompt, at -> 300 + at);
        batch.add(driver.add(prompt, demanding(), adapter));
      }
      driver.step(batch, TOKENS / SEQUENCES);
      driver.step(batch, TOKENS / SEQUENCES);
      driver.step(batch, 1);
      MemoryPlan plan = model.memoryPlan().orElseThrow();
      long taken = TestCuda.takenMax(backend) - before;
      assertThat(taken).isLessThanOrEqualTo(plan.bytes());
      long withoutGraphs = plan.bytes() - plan.graphBytes();
      assertThat(withoutGraphs - taken).as("planned and not taken").isBetween(0L, 48L << 20);
      assertThat(model.memoryTaken()).isNotEqualTo(Optional.empty());
    }
  }

  /** Connections are there before the plan is made, and no step makes another. */
  @Test
  void load_ranksAnyStep_takeNoMoreThanPlannedAndConnectBefore() {
    ServerConfig config = TestConfig.of(flags("--tensor-parallel-size=2"));
    CudaBackend[] devices = new CudaBackend[2];
    LoadedModel model =
        ModelLoader.load(
            Golden.MODEL,
            config,
            rank ->
                devices[rank.index()] =
                    TestCuda.emulated(1L << 30, CudaBackend.Options.of(config.backend())),
            (done, total) -> {});
    long connected = TestCuda.connectionBytes(devices[0]);
    MemoryPlan plan = model.memoryPlan().orElseThrow();
    assertThat(connected).isPositive();
    assertThat(plan.device().freeBytes()).isLessThanOrEqualTo((1L << 30) - connected);
    try (Driver driver = new Driver(new ModelRunner(model, TOKENS, SEQUENCES), 1)) {
      int[] prompt = new int[TOKENS - 1];
      Arrays.setAll(prompt, at -> 300 + at);
      List<Driver.Sequence> one = List.of(driver.add(prompt, SamplingParams.greedy(4)));
      for (int chunk : new int[] {1, 7, TOKENS, 1}) {
        driver.step(one, chunk);
      }
    }
    for (CudaBackend device : devices) {
      assertThat(TestCuda.connectionBytes(device)).isEqualTo(connected);
      assertThat(TestCuda.takenMax(device)).isLessThanOrEqualTo(plan.bytes());
    }
  }

  /** Scores of the prompt, penalties and a seed: all that a request can ask the device for. */
  private static SamplingParams demanding() {
    return new SamplingParams(
        1,
        0.9f,
        0,
        0,
        0.5f,
        0.5f,
        1.1f,
        7,
        4,
        0,
        true,
        new int[0],
        new int[0],
        new float[0],
        new int[0],
        new int[0][],
        3,
        3);
  }

  @Test
  void load_weightsTooLarge_saysSo() {
    assertRefused(8L << 20, "CUDA out of memory: the model's weights take ", flags());
  }

  @Test
  void load_lengthAboveCache_namesTheLengthAndTheShare() {
    ServerConfig config = TestConfig.of(flags());
    CudaBackend backend = TestCuda.emulated(1L << 30, CudaBackend.Options.of(config.backend()));
    long bytes;
    try (LoadedModel model = load(config, backend)) {
      MemoryPlan plan = model.memoryPlan().orElseThrow();
      bytes = (long) ((plan.bytes() - plan.cache().bytes() + (4 << 20)) / 0.92);
    }
    assertRefused(
        bytes,
        "The model's max seq len (2048) is larger than the maximum",
        flags("--max-model-len=2048"));
  }

  @Test
  void load_stepsTooLarge_namesTheFlagAndAValue() {
    assertRefused(
        400L << 20, "Lower --max-num-batched-tokens to ", flags("--max-num-batched-tokens=200000"));
  }

  private static void assertRefused(long bytes, String text, String... flags) {
    ServerConfig config = TestConfig.of(flags);
    CudaBackend backend = TestCuda.emulated(bytes, CudaBackend.Options.of(config.backend()));
    assertThatThrownBy(() -> load(config, backend))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(text);
  }

  @Test
  void load_memoryTakenByOthersMeanwhile_saysWhatToDo() {
    ServerConfig config = TestConfig.of(flags());
    CudaBackend backend = TestCuda.emulated(256L << 20, CudaBackend.Options.of(config.backend()));
    try (LoadedModel model = load(config, backend)) {
      assertThatThrownBy(() -> model.backend().tensor(1 << 20, 64))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUDA out of memory: 256 MiB asked for, ")
          .hasMessageContaining("--gpu-memory-utilization that is lower by ");
    }
  }

  private static LoadedModel load(ServerConfig config, CudaBackend backend) {
    return ModelLoader.load(Golden.MODEL, config, backend, (done, total) -> {});
  }
}
