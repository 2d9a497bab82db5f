package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Measures steady-state decode and prefill of the CPU backend on random weights in a real model's
 * shape. A program, not a test: {@code java -cp ... io.verdier.engine.model.CpuBench 1b 2}.
 */
final class CpuBench {
  private static final int PROMPT = 512;
  private static final int POSITION = Integer.getInteger("position", 500);
  private static final int BLOCKS = 256;
  private final ModelSpec spec;
  private final Backend backend;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment noise;

  private CpuBench(ModelSpec spec, Backend backend) {
    this.spec = spec;
    this.backend = backend;
    noise = arena.allocate(64L << 20, 64);
    Random random = new Random(1);
    for (long at = 0; at < noise.byteSize(); at += 2) {
      int bits = Float.floatToRawIntBits((random.nextFloat() - 0.5f) * 0.1f);
      noise.set(ValueLayout.JAVA_SHORT, at, (short) (bits >>> 16));
    }
  }

  public static void main(String[] args) {
    ModelSpec spec = args[0].equals("1b") ? spec(2048, 8192, 32, 8, 64, 128_256) : demo();
    int threads = Integer.parseInt(args[1]);
    try (CpuBackend backend =
        new CpuBackend(OptionalInt.of(threads), CpuBackend.KernelForm.VECTOR)) {
      new CpuBench(spec, backend).run(threads);
    }
  }

  private static ModelSpec demo() {
    return spec(256, 704, 8, 4, 32, 4096);
  }

  private static ModelSpec spec(
      int hidden, int intermediate, int heads, int kvHeads, int headDim, int vocab) {
    int layers = hidden > 1000 ? 16 : 6;
    double[] frequencies = new double[headDim / 2];
    Arrays.fill(frequencies, 0.1);
    return new ModelSpec(
        "bench",
        vocab,
        hidden,
        intermediate,
        layers,
        heads,
        kvHeads,
        headDim,
        1e-5f,
        8192,
        new RopeSpec(frequencies, 1, 1, 0),
        new int[layers],
        new ModelSpec.Biases(false, false, false),
        false,
        true,
        false);
  }

  private void run(int threads) {
    long start = System.nanoTime();
    DecoderWeights weights = weights();
    System.out.printf("packed in %.2f s%n", (System.nanoTime() - start) / 1e9);
    Transformer transformer =
        new Transformer(
            new RankPart(Shard.of(spec, Rank.ALONE), weights, backend, Collectives.alone(), null),
            PROMPT);
    KvStorage cache =
        backend.kvStorage(
            new Backend.KvShape(
                spec.layers(), spec.kvHeads(), spec.heads(), spec.headDim(), 16, BLOCKS));
    long perLayer =
        (long) spec.hidden() * (spec.heads() * 2 + spec.kvHeads() * 2) * spec.headDim()
            + 3L * spec.hidden() * spec.intermediate();
    double parameters =
        (double) perLayer * spec.layers() + (double) spec.vocabSize() * spec.hidden();
    for (int rows : new int[] {1, 1, 4, 8, 16, 32, 64, 128, PROMPT}) {
      double seconds = measure(transformer, cache, rows);
      System.out.printf(
          "%d threads, %d tokens a step: %.2f ms, %.1f tok/s, %.1f GB/s weights, %.0f GFLOP/s%n",
          threads,
          rows,
          seconds * 1e3,
          rows / seconds,
          parameters * 2 / seconds / 1e9,
          parameters * 2 * rows / seconds / 1e9);
    }
  }

  /**
   * Tenth percentile, against disturbance: one prompt when all rows are asked for, else as many
   * sequences at position 500.
   */
  private double measure(Transformer transformer, KvStorage cache, int rows) {
    AttentionBatch batch = new AttentionBatch(PROMPT, PROMPT);
    float[] logits = new float[Math.min(rows, 32) * spec.vocabSize()];
    int[] table = IntStream.range(0, BLOCKS).toArray();
    int[] last = IntStream.range(0, rows).toArray();
    List<Double> times = new ArrayList<>();
    long end = System.nanoTime() + 2_500_000_000L;
    while (System.nanoTime() < end) {
      batch.clear();
      if (rows >= 64) {
        batch.add(i -> i % 1000, 0, rows, table);
      } else {
        for (int i = 0; i < rows; i++) {
          batch.add(p -> p % 1000, POSITION, 1, table);
        }
      }
      long start = System.nanoTime();
      transformer.forward(batch, cache);
      transformer.logits(last, rows >= 64 ? rows - 1 : 0, rows >= 64 ? 1 : rows, logits);
      times.add((System.nanoTime() - start) / 1e9);
    }
    times.sort(null);
    return times.get(times.size() / 10);
  }

  private DecoderWeights weights() {
    int queries = spec.heads() * spec.headDim();
    int keys = spec.kvHeads() * spec.headDim();
    List<DecoderWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < spec.layers(); i++) {
      layers.add(
          new DecoderWeights.Layer(
              gain(),
              matrix(queries + 2 * keys, spec.hidden()),
              null,
              null,
              matrix(spec.hidden(), queries),
              gain(),
              matrix(2 * spec.intermediate(), spec.hidden()),
              matrix(spec.hidden(), spec.intermediate())));
    }
    Matrix head = matrix(spec.vocabSize(), spec.hidden());
    return new DecoderWeights(head, layers, new DecoderWeights.Output(gain(), new float[0], head));
  }

  private Backend.Gain gain() {
    return backend.gain(stored(1, spec.hidden()));
  }

  private Matrix matrix(int rows, int columns) {
    int partRows = (int) Math.min(rows, noise.byteSize() / 2 / columns);
    List<StoredTensor> parts = new ArrayList<>();
    List<@Nullable StoredTensor> biases = new ArrayList<>();
    for (int done = 0; done < rows; done += partRows) {
      parts.add(stored(Math.min(partRows, rows - done), columns));
      biases.add(null);
    }
    return backend.matrix(parts, biases);
  }

  private StoredTensor stored(long rows, long columns) {
    long[] shape = rows == 1 ? new long[] {columns} : new long[] {rows, columns};
    return new StoredTensor("noise", DType.BF16, shape, noise.asSlice(0, rows * columns * 2));
  }
}
