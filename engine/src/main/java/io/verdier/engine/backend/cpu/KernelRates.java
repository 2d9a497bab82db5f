package io.verdier.engine.backend.cpu;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Measures the C kernels beside the limits of the machine in the same run. Owned by the thread that
 * runs it.
 *
 * <p>Weights are rotated through more memory than caches hold, so that few rows read them from
 * memory, as decoding does. A figure is the tenth percentile of its calls: what the kernel can do,
 * since whatever else runs on the machine can only take from it.
 */
public final class KernelRates {
  private static final long ROTATED_BYTES = 512L << 20;
  private static final long NANOS_PER_FIGURE = 400_000_000;
  private static final int CALLS_MIN = 5;
  private static final int[][] SHAPES = {{2048, 2048}, {8192, 2048}, {2048, 8192}};
  private static final int[] ROWS = {1, 8, 32, 512};
  private static final int[] CONTEXTS = {512, 2048, 8192};

  /**
   * One kernel on one shape.
   *
   * @param gbPerS 10^9 bytes of weights or cache a second
   * @param readShare of the read probe
   * @param gops 10^9 multiplications and additions a second
   * @param dotShare of the arithmetic probe
   */
  public record Rate(
      String kernel,
      String shape,
      int rows,
      double gbPerS,
      double readShare,
      double gops,
      double dotShare) {}

  /** The limits beside which rates are given. */
  public record Limits(String kernels, int threads, double readGbPerS, double dotGops) {}

  private final KernelLibrary library;
  private final int threads;
  private final Consumer<Limits> limits;
  private final Consumer<Rate> rates;

  private KernelRates(
      KernelLibrary library, int threads, Consumer<Limits> limits, Consumer<Rate> rates) {
    this.library = library;
    this.threads = threads;
    this.limits = limits;
    this.rates = rates;
  }

  /**
   * Measures all kernels, telling each figure as it comes.
   *
   * @param limits is told the limits for each format of weights, before its rates
   * @return empty, or why there is nothing to measure
   */
  public static Optional<String> measure(
      ServerConfig.Backend config, Consumer<Limits> limits, Consumer<Rate> rates) {
    List<String> missing = new ArrayList<>();
    Optional<KernelLibrary> found = CpuBackends.library(config.kernels(), missing);
    if (found.isEmpty()) {
      return Optional.of("There are no kernels in C to measure: " + String.join("; ", missing));
    }
    OptionalInt asked = config.threads();
    new KernelRates(found.get(), asked.orElseGet(CpuTopology::cores), limits, rates).run();
    return Optional.empty();
  }

  private void run() {
    for (WeightFormat format : WeightFormat.values()) {
      try (NativeBackend backend = new NativeBackend(library, format, threads, "measured");
          Arena arena = Arena.ofShared()) {
        var measured = backend.probe().orElseThrow().measure();
        Limits found =
            new Limits(
                library.level().word() + " " + format.words(),
                threads,
                measured.readGbPerS(),
                measured.dotGops());
        limits.accept(found);
        for (int[] shape : SHAPES) {
          products(backend, format, shape, noise(shape, arena), found);
        }
        if (format == WeightFormat.BF16) {
          for (int context : CONTEXTS) {
            attention(backend, context, found);
          }
        }
      }
    }
  }

  private static StoredTensor noise(int[] shape, Arena arena) {
    long count = (long) shape[0] * shape[1];
    MemorySegment data = arena.allocate(2 * count, 64);
    Random random = new Random(1);
    for (long i = 0; i < count; i++) {
      int bits = Float.floatToRawIntBits((random.nextFloat() - 0.5f) * 0.1f);
      data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (bits >>> 16));
    }
    return new StoredTensor("noise", DType.BF16, new long[] {shape[0], shape[1]}, data);
  }

  private void products(
      NativeBackend backend, WeightFormat format, int[] shape, StoredTensor noise, Limits found) {
    @Nullable StoredTensor none = null;
    List<Backend.Matrix> matrices = new ArrayList<>();
    for (long bytes = 0; bytes < ROTATED_BYTES; bytes += matrices.getLast().bytes()) {
      matrices.add(backend.matrix(List.of(noise), Arrays.asList(none)));
    }
    for (int rows : ROWS) {
      Operand in = backend.operand(rows, shape[1]);
      backend.convert(in, backend.tensor(rows, shape[1]));
      Tensor out = backend.tensor(rows, shape[0]);
      int[] next = {0};
      double seconds =
          seconds(() -> backend.matmul(out, in, matrices.get(next[0]++ % matrices.size())));
      tell(
          format.words(),
          shape[0] + "x" + shape[1],
          rows,
          matrices.getFirst().bytes() / seconds,
          2.0 * rows * shape[0] * shape[1] / seconds,
          found);
    }
  }

  /** One token of one sequence, with the heads of Llama 3.2 1B. */
  private void attention(NativeBackend backend, int context, Limits found) {
    int heads = 8;
    int queryHeads = 32;
    int headDim = 64;
    int blocks = context / 16;
    int layers = 4;
    KvStorage cache =
        backend.kvStorage(new Backend.KvShape(layers, heads, queryHeads, headDim, 16, blocks));
    Backend.Projection projection =
        Backend.Projection.of(
            backend.tensor(1, (queryHeads + 2 * heads) * headDim), heads * headDim);
    Operand out = backend.operand(1, queryHeads * headDim);
    AttentionBatch batch = new AttentionBatch(1, 1);
    batch.add(i -> 0, context - 1, 1, IntStream.range(0, blocks).toArray());
    int[] next = {0};
    double seconds =
        seconds(
            () ->
                backend.attend(
                    out,
                    projection,
                    cache,
                    new Backend.Attention(next[0]++ % layers, 0.125f, 0),
                    batch));
    double elements = (double) context * headDim;
    tell(
        "attend",
        context + " tokens, 32/8 heads of 64",
        1,
        (double) context * backend.kvTokenBytes(1, heads, headDim) / seconds,
        elements * queryHeads * 4 / seconds,
        found);
    cache.close();
  }

  private void tell(
      String kernel, String shape, int rows, double bytes, double operations, Limits found) {
    rates.accept(
        new Rate(
            kernel,
            shape,
            rows,
            bytes / 1e9,
            bytes / 1e9 / found.readGbPerS(),
            operations / 1e9,
            operations / 1e9 / found.dotGops()));
  }

  private static double seconds(Runnable call) {
    List<Long> times = new ArrayList<>();
    long end = System.nanoTime() + NANOS_PER_FIGURE;
    while (System.nanoTime() < end || times.size() < CALLS_MIN) {
      long start = System.nanoTime();
      call.run();
      times.add(System.nanoTime() - start);
    }
    times.sort(null);
    return times.get(times.size() / 10) / 1e9;
  }
}
