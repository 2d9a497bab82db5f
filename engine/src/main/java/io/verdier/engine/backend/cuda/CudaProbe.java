package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Probe;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/**
 * The device at its best: memory that is only read, tensor cores that are fed by nothing but
 * registers and shared memory. Owned by the executor thread.
 *
 * <p>Medians of several launches, on memory of random weights: the clock falls under a load of real
 * numbers, and zeros would show a rate that no model sees.
 */
final class CudaProbe implements Probe {
  private static final int RUNS = 9;
  private static final long READ_BYTES = 2L << 30;
  private static final int PRODUCT_BYTES = 64 << 10;
  private static final int ROUNDS = 20_000;
  private static final double PRODUCTS_PER_ROUND = 2 * 4; // of both warpgroups
  private static final double OPERATIONS_PER_PRODUCT = 2.0 * 64 * 256 * 16;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaDriver.Event before;
  private final CudaDriver.Event after;

  /** Only where warpgroups multiply: there is no kernel to tell what other tensor cores can do. */
  static Optional<Probe> of(CudaDriver driver, Launch launch) {
    return driver.device().features().wgmma()
        ? Optional.of(new CudaProbe(driver, launch))
        : Optional.empty();
  }

  private CudaProbe(CudaDriver driver, Launch launch) {
    this.driver = driver;
    this.launch = launch;
    before = driver.event();
    after = driver.event();
  }

  @Override
  public Rates measure() {
    long bytes = Math.min(READ_BYTES, driver.freeBytes() / 2);
    long data = driver.allocate(bytes);
    long sink = driver.allocate(Long.BYTES);
    try {
      fill(data, bytes);
      int processors = driver.device().multiprocessors();
      double readSeconds = median(() -> read(data, bytes, sink, processors));
      double productSeconds = median(() -> multiply(data, sink, processors));
      double operations = ROUNDS * PRODUCTS_PER_ROUND * OPERATIONS_PER_PRODUCT * processors;
      return new Rates(bytes / readSeconds / 1e9, operations / productSeconds / 1e9);
    } finally {
      driver.synchronize();
      driver.free(data);
      driver.free(sink);
    }
  }

  private void fill(long data, long bytes) {
    int columns = 8192;
    launch
        .grid(1024, 256)
        .pointer(data)
        .integer((int) (bytes / Short.BYTES / columns / 64 * 64))
        .integer(columns)
        .integer64(1)
        .number(0.02f);
    driver.launch(driver.kernel("fill_random_bf16", 0), launch);
  }

  private double read(long data, long bytes, long sink, int processors) {
    launch.grid(processors * 4, 512).pointer(data).integer64(bytes / 16).pointer(sink);
    return seconds("probe_read", 0);
  }

  private double multiply(long data, long sink, int processors) {
    launch.grid(processors, 256).shared(PRODUCT_BYTES).pointer(data).pointer(sink).integer(ROUNDS);
    return seconds("probe_wgmma", PRODUCT_BYTES);
  }

  private double seconds(String kernel, int sharedBytes) {
    CudaDriver.Kernel known = driver.kernel(kernel, sharedBytes);
    driver.record(before);
    driver.launch(known, launch);
    driver.record(after);
    return driver.secondsBetween(before, after);
  }

  private static double median(DoubleSupplier run) {
    double[] seconds = new double[RUNS];
    for (int i = 0; i < RUNS; i++) {
      seconds[i] = run.getAsDouble();
    }
    Arrays.sort(seconds);
    return seconds[RUNS / 2];
  }
}
