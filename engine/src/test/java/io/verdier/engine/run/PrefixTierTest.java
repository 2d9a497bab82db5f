package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.host.DiskDirectory;
import io.verdier.cache.host.DiskFile;
import io.verdier.cache.host.PrefixTiers;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cuda.CacheFormat;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.backend.cuda.WeightFormat;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.StepOutput.Stats;
import io.verdier.engine.text.TextParams;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What comes from the host's memory or the disk is, to the bit, what would have been computed: the
 * real scheduler and a real model, a device with room for few prompts, and prompts that come again
 * when it has forgotten them. Takes some 10 s.
 */
class PrefixTierTest {
  private static final int LENGTH_MAX = 320;
  private static final int BLOCKS = 24; // of 16 tokens: one long prompt, or some short ones
  private static final int HOST_SLOTS = 200;
  @TempDir Path directory;

  /**
   * What computes, one or two ranks of it; the GPU's does all that it is not made to wait for as
   * late as it may.
   */
  enum Device {
    CPU,
    TWO_RANKS,
    GPU,
    GPU_FP8;

    LoadedModel load(int blocks) {
      ServerConfig config =
          TestConfig.of(
              "--tensor-parallel-size=" + (this == TWO_RANKS ? 2 : 1),
              "--max-num-batched-tokens=2048",
              "--max-num-seqs=64",
              "--max-model-len=" + LENGTH_MAX,
              "--num-gpu-blocks-override=" + blocks);
      RankBackends backends = rank -> open();
      return ModelLoader.load(Golden.DRAFT, config, backends, (done, total) -> {});
    }

    boolean isDevice() {
      return this == GPU || this == GPU_FP8;
    }

    private Backend open() {
      return switch (this) {
        case CPU, TWO_RANKS -> new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
        case GPU -> TestCuda.lateBackend(Options.defaults());
        case GPU_FP8 ->
            TestCuda.lateBackend(new Options(false, WeightFormat.BF16, CacheFormat.FP8, 0.9));
      };
    }
  }

  private record Result(Map<Long, Heard> heard, Stats stats) {
    String text(long key) {
      return Objects.requireNonNull(heard.get(key)).text();
    }

    int cached(long key) {
      return Objects.requireNonNull(heard.get(key)).cached;
    }
  }

  /** A model with tiers behind its cache. */
  private static final class Machine implements AutoCloseable {
    final ModelRunner runner;
    final Engine engine;

    /**
     * @param hostSlots 0: no tiers
     * @param prefixes on the disk; null: none
     * @param plans most under way
     */
    Machine(
        Device device, int hostSlots, int copiesMax, @Nullable Path prefixes, int plans, int blocks)
        throws IOException {
      LoadedModel model = device.load(blocks);
      TierSetup tiers = hostSlots == 0 ? null : tiers(model, hostSlots, copiesMax, prefixes);
      runner = new ModelRunner(model, 2048, 64, tiers == null ? null : tiers.host());
      engine = new Engine(runner, 96, blocks, LENGTH_MAX, plans, tiers);
    }

    private static TierSetup tiers(
        LoadedModel model, int hostSlots, int copiesMax, @Nullable Path prefixes)
        throws IOException {
      HostBlocks host = model.cache().hostBlocks(hostSlots);
      long blockBytes = model.cache().blockBytes();
      DiskTier disk = null;
      if (prefixes != null) {
        DiskFile.Identity identity = new DiskFile.Identity(new byte[32], blockBytes);
        disk =
            new DiskTier(
                host,
                DiskDirectory.open(prefixes, identity, DiskDirectory.Engine.ALONE, 64L << 20)
                    .orElseThrow());
      }
      return new TierSetup(
          new HostTier(host, disk, null), blockBytes, new PrefixTiers.Settings(0, copiesMax));
    }

    Result run(List<EngineRequest> requests, Map<Integer, Long> cancelled) {
      return new Result(new HashMap<>(engine.run(requests, cancelled)), engine.stats());
    }

    Result run(EngineRequest... requests) {
      return run(List.of(requests), Map.of());
    }

    @Override
    public void close() {
      runner.close();
    }
  }

  private static EngineRequest request(long key, int prompt, String salt) {
    int[] ids = prompt(prompt);
    ParamsBuilder params = new ParamsBuilder();
    params.temperature = prompt % 2;
    params.topK = 50;
    params.seed = prompt;
    params.logprobs = 3;
    params.ignoreEos = true;
    params.maxTokens = 6;
    return new EngineRequest(
        key,
        ids,
        ids.length,
        params.build(),
        new TextParams(List.of(), false, true, true),
        0,
        salt,
        "");
  }

  /** Of the golden data; from 100 on read backwards. */
  private static int[] prompt(int number) {
    int[] ids = Golden.cases("logits.json").get(number % 100).ids().clone();
    for (int i = 0; number >= 100 && i < ids.length / 2; i++) {
      int other = ids[ids.length - 1 - i];
      ids[ids.length - 1 - i] = ids[i];
      ids[i] = other;
    }
    return ids;
  }

  /** Prompts of 256, 180 and 219 tokens, of which the device holds one at a time. */
  private static final int[] LONG = {4, 111, 12};

  private static Map<Integer, String> cold(Device device) throws IOException {
    Map<Integer, String> texts = new HashMap<>();
    for (int prompt : LONG) {
      try (Machine machine = new Machine(device, 0, 1, null, 1, BLOCKS)) {
        texts.put(prompt, machine.run(request(1, prompt, "")).text(1));
      }
    }
    return texts;
  }

  @ParameterizedTest
  @EnumSource(Device.class)
  void run_promptsThatComeAgain_getTheSameBitsFromTheHost(Device device) throws IOException {
    Map<Integer, String> cold = cold(device);
    int plans = device.isDevice() ? 2 : 1;
    try (Machine machine = new Machine(device, HOST_SLOTS, 3, null, plans, BLOCKS)) {
      for (int round = 0; round < 2; round++) {
        for (int prompt : LONG) {
          long key = 1000L * round + prompt;
          Result result = machine.run(request(key, prompt, ""));
          assertThat(result.text(key)).as("round %d", round).isEqualTo(cold.get(prompt));
          int known = (prompt(prompt).length - 1) / 16 * 16;
          assertThat(result.cached(key)).isEqualTo(round == 0 ? 0 : known);
        }
      }
      Stats stats = machine.engine.stats();
      assertThat(stats.host().blocksOut()).isEqualTo(15 + 11 + 13);
      assertThat(stats.prefixEvictions()).isPositive();
    }
  }

  /** Loads, steps, preemptions and cancellations of many at once, few blocks with each plan. */
  @ParameterizedTest
  @CsvSource({"CPU,1,1", "CPU,2,4", "TWO_RANKS,1,2", "TWO_RANKS,2,100", "GPU,2,1", "GPU_FP8,2,100"})
  void run_manyAtOnce_getTheSameBits(Device device, int plans, int copiesMax) throws IOException {
    List<EngineRequest> requests = new ArrayList<>();
    for (int prompt = 0; prompt < 14; prompt++) {
      requests.add(request(prompt, prompt, ""));
      requests.add(request(50 + prompt, prompt, prompt % 3 == 0 ? "salt" : ""));
    }
    Map<Long, String> cold = new HashMap<>();
    try (Machine machine = new Machine(device, 0, 1, null, 1, 400)) {
      Result result = machine.run(requests, Map.of());
      result.heard.keySet().forEach(key -> cold.put(key, result.text(key)));
    }
    try (Machine machine = new Machine(device, HOST_SLOTS, copiesMax, directory, plans, BLOCKS)) {
      for (int round = 0; round < 2; round++) {
        List<EngineRequest> again = new ArrayList<>();
        for (EngineRequest it : requests) {
          again.add(request(it.key() + 1000L * round, (int) (it.key() % 50), it.cacheSalt()));
        }
        Map<Integer, Long> cancelled = Map.of(2 + round, 1000L * round + 4, 7, 1000L * round + 61);
        Result result = machine.run(again, cancelled);
        for (EngineRequest it : again) {
          String text = result.text(it.key());
          if (!text.startsWith("ABORT")) {
            assertThat(text).isEqualTo(cold.get(it.key() % 1000));
          }
        }
      }
      assertThat(machine.engine.stats().host().blocksOut()).isGreaterThan(50);
      assertThat(machine.engine.stats().host().sequences()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource(Device.class)
  void run_afterARestart_getsTheSameBitsFromTheDisk(Device device) throws IOException {
    Map<Integer, String> cold = cold(device);
    try (Machine before = new Machine(device, HOST_SLOTS, 8, directory, 1, BLOCKS)) {
      for (int prompt : LONG) {
        before.run(request(prompt, prompt, ""));
      }
      assertThat(before.engine.stats().disk().blocksIn()).isEqualTo(16 + 11 + 14);
    }
    try (Machine after = new Machine(device, HOST_SLOTS, 8, directory, 1, BLOCKS)) {
      for (int prompt : LONG) {
        Result result = after.run(request(prompt, prompt, ""));
        assertThat(result.text(prompt)).isEqualTo(cold.get(prompt));
        assertThat(result.cached(prompt)).isGreaterThan(170);
      }
      assertThat(after.engine.stats().disk().blocksOut()).isEqualTo(15 + 11 + 13);
      Result other = after.run(request(999, LONG[0], "another tenant"));
      assertThat(other.cached(999)).isZero();
      assertThat(other.text(999)).isEqualTo(cold.get(LONG[0]));
    }
  }

  /** A prefix is in no tier for those who have another salt: neither counted nor skipped. */
  @Test
  void run_anotherSalt_isComputedWhole() throws IOException {
    try (Machine machine = new Machine(Device.CPU, HOST_SLOTS, 8, directory, 1, BLOCKS)) {
      machine.run(request(1, 4, "a"));
      machine.run(request(2, 12, "a")); // the device forgets
      Stats before = machine.engine.stats();
      int plans = machine.engine.plans();
      Result result = machine.run(request(3, 4, "b"), request(4, 4, ""));
      Stats after = machine.engine.stats();

      assertThat(result.cached(3)).isZero();
      assertThat(result.cached(4)).isZero();
      assertThat(after.prefixHitTokens()).isEqualTo(before.prefixHitTokens());
      assertThat(after.host().hitTokens()).isEqualTo(before.host().hitTokens());
      assertThat(after.disk().hitTokens()).isEqualTo(before.disk().hitTokens());
      assertThat(after.host().blocksOut()).isEqualTo(before.host().blocksOut());
      assertThat(machine.engine.plans() - plans).as("steps of 96 tokens").isGreaterThan(5);
      Result own = machine.run(request(5, 4, "a"));
      assertThat(own.cached(5)).isEqualTo(240);
    }
  }
}
