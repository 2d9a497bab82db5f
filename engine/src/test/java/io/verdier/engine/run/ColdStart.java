package io.verdier.engine.run;

import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.StepPlan;
import java.util.List;
import java.util.OptionalInt;

/**
 * Measures a first answer in a cold JVM: load the demo model, 30 tokens of prompt, 20 tokens of
 * answer. A program, not a test: {@code java -cp ... io.verdier.engine.run.ColdStart WARMING}.
 */
final class ColdStart {
  private ColdStart() {}

  public static void main(String[] args) {
    KernelForm form = args.length > 0 ? KernelForm.valueOf(args[0]) : KernelForm.WARMING;
    int threads = args.length > 1 ? Integer.parseInt(args[1]) : 2;
    long start = System.nanoTime();
    CpuBackend backend = new CpuBackend(OptionalInt.of(threads), form);
    LoadedModel model =
        ModelLoader.load(
            Golden.MODEL,
            TestConfig.of(2048, 256, OptionalInt.empty(), OptionalInt.empty()),
            backend,
            (done, total) -> {});
    try (ModelRunner runner = new ModelRunner(model, 2048, 256)) {
      long loaded = System.nanoTime();
      int[] prompt = new int[30];
      java.util.Arrays.setAll(prompt, i -> 300 + i * 7);
      StepPlan.Start sequence = new StepPlan.Start(1, prompt, 30, SamplingParams.greedy(5000), "");
      StepPlan.Slice slice = new StepPlan.Slice(1, 0, 30, new int[] {0, 1, 2, 3}, true);
      runner.run(new StepPlan(1, new long[0], List.of(sequence), List.of(slice)));
      long prefilled = System.nanoTime();
      for (int i = 0; i < 20; i++) {
        slice = new StepPlan.Slice(1, 30 + i, 1, new int[0], true);
        runner.run(new StepPlan(2 + i, new long[0], List.of(), List.of(slice)));
      }
      long done = System.nanoTime();
      System.out.printf(
          "load %d ms, prefill %d ms, decode %d ms, together %d ms, vectors %b%n",
          (loaded - start) / 1_000_000,
          (prefilled - loaded) / 1_000_000,
          (done - prefilled) / 1_000_000,
          (done - start) / 1_000_000,
          backend.isVectorized());
      while (!backend.isVectorized() && form == KernelForm.WARMING) {
        Thread.onSpinWait();
      }
      System.out.printf("vectorized after %d ms%n", (System.nanoTime() - start) / 1_000_000);
    }
  }
}
