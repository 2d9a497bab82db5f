package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What adapters cost on a device: nothing where there are none. */
class CudaLoraTest {
  private static final int CALLS = 20;

  @Test
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  void addLora_noAdapterInTheBatch_launchesNothing() {
    EmulatedDriver driver = TestCuda.emulation();
    try (CudaBackend backend = new CudaBackend(driver, Options.defaults())) {
      Product product = new Product(64, List.of(32));
      CudaLoraSlots slots = backend.loraSlots(new LoraShape(1, 8, List.of(product)));
      CudaTensor sum = backend.tensor(2, 32);
      CudaOperand in = backend.operand(2, 64);
      AttentionBatch batch = new AttentionBatch(2, 2);
      batch.add(p -> 0, 0, 2, new int[] {0});
      int before = driver.launches();
      backend.addLora(sum, in, new LoraTarget(slots, 0), batch);
      assertThat(driver.launches()).isEqualTo(before);
      batch.clear();
      batch.add(p -> 0, 0, 1, new int[] {0});
      batch.add(p -> 0, 0, 1, new int[] {0}, 0);
      backend.addLora(sum, in, new LoraTarget(slots, 0), batch);
      assertThat(driver.launches()).isEqualTo(before + 2);
    }
  }

  /** One layer's products of a Llama-3.1-8B, without adapters and with one for each row. */
  @ParameterizedTest
  @EnabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  @CsvSource({"1,1,16", "8,8,16", "64,1,16", "64,8,16", "64,8,64", "2048,1,16", "2048,8,16"})
  void products_withAdapters_showTheirCost(int rows, int adapters, int rank) {
    try (CudaBackend backend = TestCuda.backend(Options.defaults());
        Arena arena = Arena.ofShared()) {
      Layer layer = new Layer(backend, arena, adapters, rank, rows);
      double plain = layer.seconds(layer.batch(rows, 0));
      double adapted = layer.seconds(layer.batch(rows, adapters));
      System.out.printf(
          "%d rows, %d adapters of rank %d: a layer's products %.1f us, with adapters %.1f us%n",
          rows, adapters, rank, plain * 1e6, adapted * 1e6);
    }
  }

  private static final class Layer {
    private static final int HIDDEN = 4096;
    private static final int INTERMEDIATE = 14_336;
    private static final List<Product> PRODUCTS =
        List.of(
            new Product(HIDDEN, List.of(HIDDEN, 1024, 1024)),
            new Product(HIDDEN, List.of(HIDDEN)),
            new Product(HIDDEN, List.of(INTERMEDIATE, INTERMEDIATE)),
            new Product(INTERMEDIATE, List.of(HIDDEN)));

    private final CudaBackend backend;
    private final CudaLoraSlots slots;
    private final Arena arena;
    private final List<CudaMatrix> weights = new ArrayList<>();
    private final CudaOperand normed;
    private final CudaOperand gated;
    private final CudaTensor projection;
    private final CudaTensor residual;

    Layer(CudaBackend backend, Arena arena, int adapters, int rank, int rows) {
      this.backend = backend;
      this.arena = arena;
      slots = backend.loraSlots(new LoraShape(adapters, rank, PRODUCTS));
      for (int i = 0; i < PRODUCTS.size(); i++) {
        List<StoredTensor> parts = new ArrayList<>();
        for (int outputs : PRODUCTS.get(i).partRows()) {
          parts.add(noise(outputs, PRODUCTS.get(i).columns()));
        }
        List<@Nullable StoredTensor> none = Arrays.asList(new StoredTensor[parts.size()]);
        weights.add(i == 2 ? backend.gateUpMatrix(parts, none) : backend.matrix(parts, none));
      }
      LoraImage image = slots.image();
      image.fill(factors(rank));
      for (int slot = 0; slot < adapters; slot++) {
        slots.load(slot, image).await();
      }
      normed = backend.operand(rows, HIDDEN);
      gated = backend.operand(rows, INTERMEDIATE);
      projection = backend.tensor(rows, HIDDEN + 2048);
      residual = backend.tensor(rows, HIDDEN);
      backend.convert(normed, residual);
    }

    private List<LoraFactors> factors(int rank) {
      List<LoraFactors> factors = new ArrayList<>();
      for (int i = 0; i < PRODUCTS.size(); i++) {
        Product product = PRODUCTS.get(i);
        for (int part = 0; part < product.partRows().size(); part++) {
          StoredTensor a = noise(rank, product.columns());
          factors.add(
              new LoraFactors(i, part, a, noise(product.partRows().get(part), rank), 1f / rank));
        }
      }
      return factors;
    }

    private StoredTensor noise(int rows, int columns) {
      MemorySegment data = arena.allocate((long) rows * columns * Short.BYTES, 64);
      for (long i = 0; i < (long) rows * columns; i++) {
        data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (0x3c00 + i % 251));
      }
      return new StoredTensor("noise", DType.BF16, new long[] {rows, columns}, data);
    }

    /** One row a sequence, or one long slice for each adapter. */
    AttentionBatch batch(int rows, int adapters) {
      int slices = rows <= 64 ? rows : Math.max(1, adapters);
      AttentionBatch batch = new AttentionBatch(rows, slices);
      for (int i = 0; i < slices; i++) {
        int slot = adapters == 0 ? AttentionBatch.NO_ADAPTER : i % adapters;
        batch.add(p -> 0, 0, rows / slices, new int[] {0}, slot);
      }
      return batch;
    }

    /** Of all four products, the best of some rounds. */
    double seconds(AttentionBatch batch) {
      double best = Double.MAX_VALUE;
      for (int round = 0; round < 3; round++) {
        CudaDriver.Event start = backend.driver().event();
        CudaDriver.Event end = backend.driver().event();
        backend.driver().record(start);
        for (int call = 0; call < CALLS; call++) {
          multiply(batch);
        }
        backend.driver().record(end);
        double seconds = backend.driver().secondsBetween(start, end);
        best = Math.min(best, seconds / CALLS);
      }
      return best;
    }

    private void multiply(AttentionBatch batch) {
      backend.matmul(projection, normed, weights.get(0));
      backend.addLora(projection, normed, new LoraTarget(slots, 0), batch);
      backend.matmulAdd(residual, normed, weights.get(1));
      backend.addLora(residual, normed, new LoraTarget(slots, 1), batch);
      backend.matmulGate(gated, normed, weights.get(2), new LoraTarget(slots, 2), batch);
      backend.matmulAdd(residual, gated, weights.get(3));
      backend.addLora(residual, gated, new LoraTarget(slots, 3), batch);
    }
  }
}
