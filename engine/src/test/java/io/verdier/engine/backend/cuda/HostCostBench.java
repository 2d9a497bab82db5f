package io.verdier.engine.backend.cuda;

import com.sun.management.ThreadMXBean;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.TestConfig;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.schedule.StepInput;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.engine.text.TextParams;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a decoding step costs the host beside the device: planning, packing, reading results. Run
 * {@code main}; the device is a {@link CountingDriver}, which does nothing, so the calls of the
 * real driver (some twenty a step) come on top. What it samples is the token 0.
 */
final class HostCostBench {
  private static final int BLOCK_TOKENS = 16;
  private static final int STEPS = 600;
  private static final int CONFIG_VOCAB = 32_000;
  private static final CudaDriver.Device DEVICE =
      new CudaDriver.Device("idle", 9, 0, 132, 141L << 30, 227 << 10);

  private HostCostBench() {}

  /**
   * @param args batch, context and rounds
   */
  public static void main(String[] args) throws IOException {
    int batch = args.length > 0 ? Integer.parseInt(args[0]) : 256;
    int context = args.length > 1 ? Integer.parseInt(args[1]) : 1024;
    int rounds = args.length > 2 ? Integer.parseInt(args[2]) : 8;
    Path directory = Files.createTempDirectory("verdier-host-cost");
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
         "num_hidden_layers": 2, "vocab_size": %d, "max_position_embeddings": 131072,
         "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
         "tie_word_embeddings": true}
        """
            .formatted(CONFIG_VOCAB));
    int blocks = batch * ((context + STEPS) / BLOCK_TOKENS + 2);
    try (LoadedModel model =
        ModelLoader.load(
            directory,
            TestConfig.of(
                "--load-format=dummy",
                "--max-num-seqs=" + batch,
                "--max-num-batched-tokens=" + 8192,
                "--max-model-len=" + (context + STEPS + 2),
                "--num-gpu-blocks-override=" + blocks),
            new CudaBackend(new CountingDriver(DEVICE), CudaBackend.Options.defaults()),
            (done, total) -> {})) {
      ModelRunner runner = new ModelRunner(model, 8192, batch);
      for (int round = 0; round < rounds; round++) {
        decode(model, runner, batch, context, round);
      }
    }
  }

  private static void decode(
      LoadedModel model, ModelRunner runner, int batch, int context, int round) {
    Scheduler scheduler =
        new Scheduler(
            new SchedulerSettings(
                8192, batch, 0, Policy.FCFS, model.lengthMax(), new int[] {2}, true),
            new KvCacheManager(model.kvPlan().blocks(), BLOCK_TOKENS));
    List<EngineRequest> arrivals = requests(batch, context, round);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] plan = new long[STEPS];
    long[] run = new long[STEPS];
    int steps = 0;
    long bytes = 0;
    StepOutcome outcome = null;
    while (true) {
      long bytesBefore = threads.getCurrentThreadAllocatedBytes();
      long start = System.nanoTime();
      StepPlan next = scheduler.step(new StepInput(arrivals, List.of(), outcome)).plan();
      long planned = System.nanoTime();
      arrivals = List.of();
      outcome = runner.run(next);
      long end = System.nanoTime();
      if (next.isEmpty()) {
        break;
      }
      if (next.slices().size() == batch && next.slices().stream().allMatch(s -> s.count() == 1)) {
        plan[steps] = planned - start;
        run[steps++] = end - planned;
        bytes += threads.getCurrentThreadAllocatedBytes() - bytesBefore;
      }
    }
    Arrays.sort(plan, 0, steps);
    Arrays.sort(run, 0, steps);
    System.out.printf(
        "round %d: %d sequences behind %d tokens: plan median %.1f us (p99 %.1f), run median %.1f us"
            + " (p99 %.1f), %d bytes a step%n",
        round,
        batch,
        context,
        plan[steps / 2] / 1e3,
        plan[steps * 99 / 100] / 1e3,
        run[steps / 2] / 1e3,
        run[steps * 99 / 100] / 1e3,
        bytes / steps);
  }

  private static List<EngineRequest> requests(int batch, int context, int round) {
    List<EngineRequest> requests = new ArrayList<>(batch);
    for (int i = 0; i < batch; i++) {
      int[] prompt = new int[context + i % BLOCK_TOKENS - BLOCK_TOKENS]; // blocks fill up in turn
      Arrays.setAll(prompt, at -> 3 + at % 1000);
      prompt[0] = 3 + i;
      ParamsBuilder params = new ParamsBuilder();
      params.maxTokens = STEPS;
      params.temperature = 0.7f;
      params.seed = i;
      requests.add(
          new EngineRequest(
              round * 1_000_000L + i,
              prompt,
              prompt.length,
              params.build(),
              new TextParams(List.of(), false, true, true),
              0,
              "",
              ""));
    }
    return requests;
  }
}
