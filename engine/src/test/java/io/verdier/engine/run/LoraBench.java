package io.verdier.engine.run;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.CpuBackends;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.AdaptedProducts;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.PublishedConfigs;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * What a decoding step of eight rows takes where 0, 1, 4 or 8 of them have an adapter (rank 16, all
 * projections, four different ones), and where there is no room for adapters at all. Steps of all
 * kinds take turns, so that whatever else the machine does happens to each of them. A program, not
 * a test: {@code java -cp ... io.verdier.engine.run.LoraBench llama-3.2-1b 2 100}, with the model,
 * the threads and the rounds.
 */
final class LoraBench {
  private static final int ROWS = 8;
  private static final int SLOTS = 4;
  private static final int[] ADAPTED = {0, 1, 4, 8};
  private static final int PROMPT = 64;

  private LoraBench() {}

  public static void main(String[] args) throws Exception {
    Path directory = Files.createTempDirectory("lora-bench");
    PublishedConfigs.write(args[0], directory);
    int rounds = Integer.parseInt(args[2]);
    try (Driver with = load(directory, args[1], rounds, "--enable-lora", "--max-loras=" + SLOTS);
        Driver without = load(directory, args[1], rounds)) {
      List<String> adapters = adapters(Objects.requireNonNull(with.runner.adapters()));
      List<Driver> drivers = new ArrayList<>();
      List<List<Driver.Sequence>> batches = new ArrayList<>();
      drivers.add(without);
      batches.add(batch(without, rounds, 0, adapters));
      for (int adapted : ADAPTED) {
        drivers.add(with);
        batches.add(batch(with, rounds, adapted, adapters));
      }
      double[][] millis = new double[batches.size()][rounds];
      for (int round = -5; round < rounds; round++) { // the first ones are prompts, and warm up
        for (int i = 0; i < batches.size(); i++) {
          long start = System.nanoTime();
          drivers.get(i).step(batches.get(i), PROMPT);
          if (round >= 0) {
            millis[i][round] = (System.nanoTime() - start) / 1e6;
          }
        }
      }
      report(millis);
    }
  }

  private static Driver load(Path directory, String threads, int rounds, String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--load-format=dummy",
                "--backend=cpu",
                "--threads=" + threads,
                "--max-num-batched-tokens=2048",
                "--max-num-seqs=64",
                "--max-model-len=" + (PROMPT + rounds + 64),
                "--num-gpu-blocks-override=" + Driver.BLOCKS));
    flags.addAll(List.of(more));
    ServerConfig config = TestConfig.of(flags.toArray(String[]::new));
    return new Driver(
        new ModelRunner(
            ModelLoader.load(
                directory,
                config,
                rank -> CpuBackends.open(config.backend(), DType.BF16, KernelForm.VECTOR, rank),
                (done, total) -> {}),
            2048,
            64),
        1);
  }

  private static List<String> adapters(AdapterSlots slots) {
    LoraShape shape = slots.shape();
    List<String> identities = new ArrayList<>();
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      for (int i = 0; i < SLOTS; i++) {
        List<LoraFactors> factors = new ArrayList<>();
        int behindLayers = AdaptedProducts.embedding(shape.products().size());
        for (int product = 0; product < behindLayers; product++) {
          Product adapted = shape.products().get(product);
          for (int part = 0; part < adapted.partRows().size(); part++) {
            String name = i + "." + product + "." + part;
            factors.add(
                new LoraFactors(
                    product,
                    part,
                    weights.tensor(name + "a", shape.rankMax(), adapted.columns()),
                    weights.tensor(name + "b", adapted.partRows().get(part), shape.rankMax()),
                    1));
          }
        }
        slots.add("adapter-" + i, factors);
        identities.add("adapter-" + i);
      }
    }
    return identities;
  }

  private static List<Driver.Sequence> batch(
      Driver driver, int rounds, int adapted, List<String> adapters) {
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      int[] prompt = new int[PROMPT];
      Arrays.fill(prompt, 100 + i);
      String adapter = i < adapted ? adapters.get(i % SLOTS) : "";
      batch.add(driver.add(prompt, SamplingParams.greedy(rounds + 32), adapter));
    }
    return batch;
  }

  /** Medians of the steps, and of what each took against the one without adapters of its round. */
  private static void report(double[][] millis) {
    String[] names = new String[millis.length];
    names[0] = "no --enable-lora";
    for (int i = 1; i < names.length; i++) {
      names[i] = ADAPTED[i - 1] + " of " + ROWS + " rows";
    }
    for (int i = 0; i < millis.length; i++) {
      double[] ratios = new double[millis[i].length];
      for (int round = 0; round < ratios.length; round++) {
        ratios[round] = millis[i][round] / millis[1][round];
      }
      System.out.printf(
          Locale.ROOT,
          "%-18s median %.2f ms, against 0 rows %.4f%n",
          names[i],
          median(millis[i]),
          median(ratios));
    }
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }
}
