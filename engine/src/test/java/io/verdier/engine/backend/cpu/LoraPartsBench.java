package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.StoredTensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;

/**
 * What adapters of rank 16 on all projections add to a step, by themselves: all products of all
 * layers of Llama 3.2 1B, one after the other, so that the adapters come from memory as in a step.
 * A program, not a test: {@code java -cp ... io.verdier.engine.backend.cpu.LoraPartsBench native 2
 * 30}, with {@code native} or {@code java}, the threads and the rounds.
 */
final class LoraPartsBench {
  private static final int LAYERS = 16;
  private static final int RANK = 16;
  private static final int SLOTS = 8;
  private static final List<Product> LAYER =
      List.of(
          new Product(2048, List.of(2048, 512, 512)),
          new Product(2048, List.of(2048)),
          new Product(2048, List.of(8192, 8192)),
          new Product(8192, List.of(2048)));

  /**
   * A batch.
   *
   * @param rows of each sequence
   */
  private record Case(String name, int sequences, int rows, int adapters) {}

  private static final List<Case> CASES =
      List.of(
          new Case("one row", 1, 1, 1),
          new Case("8 rows, 8 adapters", 8, 1, 8),
          new Case("32 rows, one adapter", 32, 1, 1),
          new Case("32 rows, 8 adapters", 32, 1, 8),
          new Case("512 rows of a prompt", 1, 512, 1));

  private final Backend backend;
  private final int rounds;
  private final LoraSlots slots;

  private LoraPartsBench(Backend backend, int rounds) {
    this.backend = backend;
    this.rounds = rounds;
    List<Product> products = new ArrayList<>();
    for (int layer = 0; layer < LAYERS; layer++) {
      products.addAll(LAYER);
    }
    slots = backend.loraSlots(new LoraShape(SLOTS, RANK, products));
  }

  public static void main(String[] args) {
    int threads = Integer.parseInt(args[1]);
    try (Backend backend =
        args[0].equals("java")
            ? new CpuBackend(OptionalInt.of(threads), CpuBackend.KernelForm.VECTOR)
            : NativeLevels.backend(
                NativeLevels.available().getFirst(), WeightFormat.BF16, threads)) {
      LoraPartsBench bench = new LoraPartsBench(backend, Integer.parseInt(args[2]));
      bench.load();
      System.out.println(backend.description());
      CASES.forEach(bench::run);
    }
  }

  private void load() {
    List<Product> products = slots.shape().products();
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      for (int slot = 0; slot < SLOTS; slot++) {
        List<LoraFactors> factors = new ArrayList<>();
        for (int product = 0; product < products.size(); product++) {
          List<Integer> parts = products.get(product).partRows();
          for (int part = 0; part < parts.size(); part++) {
            String name = slot + "." + product + "." + part;
            StoredTensor a = weights.tensor(name + "a", RANK, products.get(product).columns());
            StoredTensor b = weights.tensor(name + "b", parts.get(part), RANK);
            factors.add(new LoraFactors(product, part, a, b, 1));
          }
        }
        LoraImage image = slots.image();
        image.fill(factors);
        slots.load(slot, image).await();
      }
    }
  }

  private void run(Case measured) {
    int rows = measured.sequences * measured.rows;
    AttentionBatch batch = new AttentionBatch(rows, measured.sequences);
    for (int i = 0; i < measured.sequences; i++) {
      batch.add(p -> 0, 0, measured.rows, new int[] {i}, i % measured.adapters);
    }
    List<Operand> inputs = new ArrayList<>();
    List<Tensor> sums = new ArrayList<>();
    for (Product product : LAYER) {
      Operand in = backend.operand(rows, product.columns());
      backend.convert(in, backend.tensor(rows, product.columns()));
      inputs.add(in);
      sums.add(backend.tensor(rows, product.rows()));
    }
    double[] millis = new double[rounds];
    for (int round = -3; round < rounds; round++) {
      long start = System.nanoTime();
      for (int i = 0; i < LAYERS * LAYER.size(); i++) {
        int kind = i % LAYER.size();
        backend.addLora(sums.get(kind), inputs.get(kind), new LoraTarget(slots, i), batch);
      }
      if (round >= 0) {
        millis[round] = (System.nanoTime() - start) / 1e6;
      }
    }
    Arrays.sort(millis);
    System.out.printf(
        Locale.ROOT,
        "%-22s median %.2f ms (%.2f to %.2f)%n",
        measured.name,
        millis[rounds / 2],
        millis[rounds / 10],
        millis[rounds - 1 - rounds / 10]);
  }
}
