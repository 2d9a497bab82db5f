package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.WeightsException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * What adapters add, against plain loops in float64, and to the bit alone, in a batch and beside
 * other adapters.
 *
 * <p>Tolerance: as for a product, since float32 sums of up to 2100 terms of order 1 are scaled by
 * less than 1; the second factor has at most 40 terms more.
 */
abstract class LoraContract extends BackendFixture {
  private static final int STACKED = 0;
  private static final int SINGLE = 1;
  private static final int GATED = 2;
  private static final int EMBEDDING = 3;
  private static final int HEAD = 4; // more outputs than a unit of work has
  private static final int TOKENS = 130;
  private static final int NONE = AttentionBatch.NO_ADAPTER;
  private static final int RANK_MAX = 40;

  private static final LoraShape SHAPE =
      new LoraShape(
          4,
          RANK_MAX,
          List.of(
              new Product(2100, List.of(300, 24, 33)),
              new Product(72, List.of(50)),
              new Product(200, List.of(45, 45)),
              new Product(Input.TOKENS, TOKENS, List.of(50)),
              new Product(72, List.of(1100))));

  /** Slices of one batch: lengths, and their adapters. */
  private static final int[] LENGTHS = {1, 40, 3, 1, 33, 2, 1, 5};

  private static final int[] ADAPTERS = {0, 1, NONE, 2, 0, 1, 3, NONE};

  LoraContract(Backend backend) {
    super(backend);
  }

  abstract double operandStep();

  @Test
  void addLora_mixedBatch_matchesOracle() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(LENGTHS, ADAPTERS);
    for (int product : new int[] {STACKED, SINGLE}) {
      float[][] x = matrix(batch.rows(), SHAPE.products().get(product).columns());
      float[][] before = matrix(batch.rows(), SHAPE.products().get(product).rows());
      float[][] after = adapters.add(before, x, product, batch);
      for (int row = 0; row < batch.rows(); row++) {
        int slot = batch.adapter(batch.slice(row));
        if (slot == NONE) {
          assertThat(after[row]).isEqualTo(before[row]);
          continue;
        }
        double[] delta = adapters.delta(slot, product, x[row]);
        for (int i = 0; i < delta.length; i++) {
          double expected = before[row][i] + delta[i];
          assertThat((double) after[row][i]).isCloseTo(expected, within(2e-3));
        }
      }
    }
  }

  @Test
  void addLora_aloneOrMixed_givesSameBits() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(LENGTHS, ADAPTERS);
    float[][] x = matrix(batch.rows(), 2100);
    float[][] before = matrix(batch.rows(), 357);
    float[][] mixed = adapters.add(before, x, STACKED, batch);
    for (int s = 0; s < batch.slices(); s++) {
      int from = batch.sliceStart(s);
      int to = batch.sliceEnd(s);
      for (int length : new int[] {to - from, 1}) { // the whole slice, its first row
        float[][] alone =
            adapters.add(
                Arrays.copyOfRange(before, from, from + length),
                Arrays.copyOfRange(x, from, from + length),
                STACKED,
                batch(new int[] {length}, new int[] {ADAPTERS[s]}));
        assertThat(alone).isEqualTo(Arrays.copyOfRange(mixed, from, from + length));
      }
    }
  }

  /** Kernels take several rows of an adapter at once, and the rest of them in other numbers. */
  @Test
  void addLora_anyNumberOfRowsInTurns_givesSameBits() {
    Adapters adapters = new Adapters();
    int rows = 3 * 37;
    float[][] x = matrix(rows, 2100);
    float[][] before = matrix(rows, 357);
    for (int sequences : new int[] {2, 3, 7, 16, 37}) {
      int[] lengths = new int[3 * sequences];
      int[] slots = new int[3 * sequences];
      for (int s = 0; s < lengths.length; s++) {
        lengths[s] = 1;
        slots[s] = new int[] {2, 3, NONE}[s % 3];
      }
      float[][] own = Arrays.copyOf(before, lengths.length);
      float[][] inputs = Arrays.copyOf(x, lengths.length);
      float[][] mixed = adapters.add(own, inputs, STACKED, batch(lengths, slots));
      for (int row = 0; row < lengths.length; row++) {
        float[][] alone =
            adapters.add(
                new float[][] {own[row]},
                new float[][] {inputs[row]},
                STACKED,
                batch(new int[] {1}, new int[] {slots[row]}));
        assertThat(alone[0]).isEqualTo(mixed[row]);
      }
    }
  }

  @Test
  void matmulGate_mixedBatch_addsBeforeGateAndUpMeet() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(LENGTHS, ADAPTERS);
    float[][] x = matrix(batch.rows(), 200);
    GateUp weights = new GateUp();
    float[][] mixed = adapters.gate(weights, x, batch);
    Operand plain = backend.operand(batch.rows(), 45);
    backend.matmulGate(plain, operand(x), weights.matrix);
    float[][] without = read(plain);
    for (int row = 0; row < batch.rows(); row++) {
      int slot = batch.adapter(batch.slice(row));
      if (slot == NONE) {
        assertThat(mixed[row]).isEqualTo(without[row]);
        continue;
      }
      double[] delta = adapters.delta(slot, GATED, x[row]);
      for (int i = 0; i < 45; i++) {
        double g = dot(x[row], weights.gate[i]) + delta[i];
        double expected = g / (1 + Math.exp(-g)) * (dot(x[row], weights.up[i]) + delta[45 + i]);
        double tolerance = 2e-3 + 2 * operandStep() * Math.abs(expected);
        assertThat((double) mixed[row][i]).isCloseTo(expected, within(tolerance));
      }
    }
    int row = batch.sliceStart(4) + 7;
    float[][] alone =
        adapters.gate(weights, new float[][] {x[row]}, batch(new int[] {1}, new int[] {0}));
    assertThat(alone[0]).isEqualTo(mixed[row]);
  }

  @Test
  void addLora_tokens_matchesOracleAndTheSameAlone() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(LENGTHS, ADAPTERS);
    float[][] before = matrix(batch.rows(), 50);
    float[][] after = adapters.addOfTokens(before, batch);
    for (int row = 0; row < batch.rows(); row++) {
      int slot = batch.adapter(batch.slice(row));
      if (slot == NONE || slot == 2) { // which knows nothing of the embedding
        assertThat(after[row]).isEqualTo(before[row]);
        continue;
      }
      float[] unit = new float[TOKENS];
      unit[batch.token(row)] = 1;
      double[] delta = adapters.delta(slot, EMBEDDING, unit);
      for (int i = 0; i < delta.length; i++) {
        double expected = before[row][i] + delta[i];
        assertThat((double) after[row][i]).isCloseTo(expected, within(1e-5));
      }
      int token = batch.token(row);
      AttentionBatch alone = new AttentionBatch(1, 1);
      alone.add(position -> token, 0, 1, new int[0], slot);
      assertThat(adapters.addOfTokens(new float[][] {before[row]}, alone)[0]).isEqualTo(after[row]);
    }
  }

  @Test
  void step_otherTokensEachTime_addsTheirs() {
    Adapters adapters = new Adapters();
    LoraTarget target = new LoraTarget(adapters.slots, EMBEDDING);
    Matrix table = weight(DType.BF16, TOKENS, 50);
    KvStorage storage = backend.kvStorage(new KvShape(1, 1, 1, 32, 16, 8));
    Tensor sum = backend.tensor(4, 50);
    AttentionBatch batch = new AttentionBatch(4, 4);
    for (int step = 0; step < 4; step++) {
      int shift = 11 * step;
      batch.clear();
      for (int i = 0; i < 4; i++) {
        int token = (17 * i + shift) % TOKENS;
        batch.add(position -> token, 0, 1, new int[] {i}, (i + step) % 4 == 2 ? NONE : i);
      }
      backend.step(
          batch,
          storage,
          () -> {
            backend.embed(sum, table, batch);
            backend.addLora(sum, target, batch);
          });
      float[][] after = read(sum);
      for (int i = 0; i < 4; i++) {
        int token = batch.token(i);
        AttentionBatch one = new AttentionBatch(1, 1);
        one.add(position -> token, 0, 1, new int[0], batch.adapter(i));
        Tensor alone = backend.tensor(1, 50);
        backend.embed(alone, table, one);
        backend.addLora(alone, target, one);
        assertThat(after[i]).isEqualTo(read(alone)[0]);
      }
    }
  }

  @Test
  void logits_mixedBatch_addsToThemAndTheSameAlone() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(LENGTHS, ADAPTERS);
    LoraTarget target = new LoraTarget(adapters.slots, HEAD);
    int columns = SHAPE.products().get(HEAD).rows();
    Matrix weight = weight(DType.BF16, columns, 72);
    float[][] x = matrix(batch.rows(), 72);
    float[] plain = new float[batch.rows() * columns];
    backend.logits(plain, operand(x), weight);
    float[] mixed = new float[plain.length];
    backend.logits(mixed, operand(x), weight, target, batch);
    for (int row = 0; row < batch.rows(); row++) {
      int slot = batch.adapter(batch.slice(row));
      float[] own = Arrays.copyOfRange(mixed, row * columns, (row + 1) * columns);
      if (slot == NONE || slot == 2) {
        assertThat(own).isEqualTo(Arrays.copyOfRange(plain, row * columns, (row + 1) * columns));
        continue;
      }
      double[] delta = adapters.delta(slot, HEAD, x[row]);
      for (int i = 0; i < columns; i++) {
        double expected = plain[row * columns + i] + delta[i];
        assertThat((double) own[i]).isCloseTo(expected, within(2e-3));
      }
      AttentionBatch one = batch(new int[] {1}, new int[] {slot});
      float[] alone = new float[columns];
      backend.logits(alone, operand(new float[][] {x[row]}), weight, target, one);
      assertThat(alone).isEqualTo(own);
    }
  }

  @Test
  void adapts_loadedImage_knowsItsProducts() {
    Adapters adapters = new Adapters();
    assertThat(adapters.slots.adapts(2, STACKED)).isTrue();
    assertThat(adapters.slots.adapts(2, SINGLE)).isFalse();
    assertThat(adapters.slots.adapts(2, HEAD)).isFalse();
    assertThat(adapters.slots.adapts(1, HEAD)).isTrue();
    adapters.load(1, List.of());
    assertThat(adapters.slots.adapts(1, HEAD)).isFalse();
  }

  /** One row a sequence, as in decoding, so that a device may record the first and repeat it. */
  @Test
  void step_otherAdaptersEachTime_addsTheirs() {
    Adapters adapters = new Adapters();
    LoraTarget target = new LoraTarget(adapters.slots, SINGLE);
    Matrix weight = weight(DType.BF16, 50, 72);
    float[][] x = matrix(6, 72);
    Operand in = operand(x);
    Tensor sum = backend.tensor(6, 50);
    KvStorage storage = backend.kvStorage(new KvShape(1, 1, 1, 32, 16, 8));
    int[][] steps = {
      {0, NONE, 1, NONE, NONE, 2},
      {3, 3, 3, 3, 3, 3},
      {NONE, NONE, NONE, NONE, NONE, NONE},
      {2, 1, 0, NONE, 3, 1},
      {0, NONE, 1, NONE, NONE, 2}
    };
    AttentionBatch batch = new AttentionBatch(8, 8);
    for (int[] step : steps) {
      batch.clear();
      for (int i = 0; i < step.length; i++) {
        batch.add(p -> 0, 0, 1, new int[] {i}, step[i]);
      }
      backend.step(
          batch,
          storage,
          () -> {
            backend.matmul(sum, in, weight);
            backend.addLora(sum, in, target, batch);
          });
      float[][] after = read(sum);
      for (int i = 0; i < step.length; i++) {
        Operand one = operand(new float[][] {x[i]});
        Tensor alone = backend.tensor(1, 50);
        backend.matmul(alone, one, weight);
        backend.addLora(alone, one, target, batch(new int[] {1}, new int[] {step[i]}));
        assertThat(after[i]).isEqualTo(read(alone)[0]);
      }
    }
  }

  @Test
  void load_slotInUse_replacesItsAdapter() {
    Adapters adapters = new Adapters();
    AttentionBatch batch = batch(new int[] {2, 1}, new int[] {1, 0});
    float[][] x = matrix(3, 72);
    float[][] before = matrix(3, 50);
    float[][] first = adapters.add(before, x, SINGLE, batch);
    adapters.load(1, adapters.factors.get(3));
    float[][] second = adapters.add(before, x, SINGLE, batch);
    assertThat(Arrays.copyOf(second, 2)).isNotEqualTo(Arrays.copyOf(first, 2));
    assertThat(second[2]).isEqualTo(first[2]);
    float[][] there = adapters.add(before, x, SINGLE, batch(new int[] {2, 1}, new int[] {3, 0}));
    assertThat(second).isEqualTo(there);
    adapters.load(1, List.of());
    assertThat(Arrays.copyOf(adapters.add(before, x, SINGLE, batch), 2))
        .isEqualTo(Arrays.copyOf(before, 2));
  }

  @Test
  void fill_factorsThatDoNotFit_throwsAndAddsNothing() {
    Adapters adapters = new Adapters();
    LoraImage image = adapters.slots.image();
    LoraFactors good = adapters.factor(SINGLE, 0, 4, DType.BF16);
    LoraFactors tooHigh = adapters.factor(SINGLE, 0, RANK_MAX + 1, DType.BF16);
    LoraFactors elsewhere = new LoraFactors(STACKED, 2, good.a(), good.b(), 1);
    assertThatThrownBy(() -> image.fill(List.of(tooHigh)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("rank 41; there is room for 40");
    assertThatThrownBy(() -> image.fill(List.of(good, elsewhere)))
        .isInstanceOf(WeightsException.class);
    adapters.slots.load(2, image).await();
    float[][] before = matrix(1, 50);
    AttentionBatch batch = batch(new int[] {1}, new int[] {2});
    assertThat(adapters.add(before, matrix(1, 72), SINGLE, batch)).isEqualTo(before);
    assertThatThrownBy(() -> adapters.slots.load(4, image))
        .isInstanceOf(IndexOutOfBoundsException.class);
    AttentionBatch beyond = batch(new int[] {1}, new int[] {4});
    assertThatThrownBy(() -> adapters.add(before, matrix(1, 72), SINGLE, beyond))
        .isInstanceOf(IndexOutOfBoundsException.class);
    image.close();
  }

  private static AttentionBatch batch(int[] lengths, int[] adapters) {
    AttentionBatch batch = new AttentionBatch(IntStream.of(lengths).sum() + 3, lengths.length + 1);
    for (int s = 0; s < lengths.length; s++) {
      int first = 3 * s;
      batch.add(i -> (first + 7 * i) % TOKENS, 0, lengths[s], new int[] {s}, adapters[s]);
    }
    return batch;
  }

  private static double dot(float[] a, float[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> (double) a[i] * b[i]).sum();
  }

  private final class GateUp {
    private final float[][] gate = scaled(matrix(45, 200));
    private final float[][] up = scaled(matrix(45, 200));
    private final Matrix matrix =
        backend.gateUpMatrix(
            List.of(stored("gate", DType.BF16, gate), stored("up", DType.BF16, up)),
            Arrays.<@Nullable StoredTensor>asList(null, null));

    /** By a power of two, so that products are of order 1. */
    private static float[][] scaled(float[][] m) {
      for (float[] row : m) {
        for (int i = 0; i < row.length; i++) {
          row[i] /= 16;
        }
      }
      return m;
    }
  }

  /** Four adapters: of full rank, of rank 1, of two ranks and not everywhere, in float32. */
  private final class Adapters {
    private final LoraSlots slots = backend.loraSlots(SHAPE);
    private final List<List<LoraFactors>> factors = new ArrayList<>();
    private final List<LoraImage> images = new ArrayList<>();

    Adapters() {
      factors.add(all(RANK_MAX, DType.BF16));
      factors.add(all(1, DType.BF16));
      factors.add(
          List.of(
              factor(STACKED, 2, 17, DType.BF16),
              factor(STACKED, 0, 11, DType.BF16),
              factor(GATED, 1, 9, DType.BF16)));
      factors.add(all(16, DType.F32));
      for (int slot = 0; slot < factors.size(); slot++) {
        images.add(slots.image());
        load(slot, factors.get(slot));
      }
    }

    void load(int slot, List<LoraFactors> adapter) {
      LoraImage image = slots.image();
      image.fill(adapter);
      slots.load(slot, image).holdSteps();
      images.set(slot, image);
    }

    private List<LoraFactors> all(int rank, DType type) {
      List<LoraFactors> all = new ArrayList<>();
      for (int product = 0; product < SHAPE.products().size(); product++) {
        for (int part = 0; part < SHAPE.products().get(product).partRows().size(); part++) {
          all.add(factor(product, part, rank, type));
        }
      }
      return all;
    }

    LoraFactors factor(int product, int part, int rank, DType type) {
      Product adapted = SHAPE.products().get(product);
      return new LoraFactors(
          product,
          part,
          tensor("lora_A", type, matrix(rank, adapted.columns())),
          tensor("lora_B", type, matrix(adapted.partRows().get(part), rank)),
          0.75f / (rank + 32));
    }

    private StoredTensor tensor(String name, DType type, float[][] rows) {
      long[] shape = {rows.length, rows[0].length};
      return new StoredTensor(name, type, shape, stored(name, type, rows).data());
    }

    float[][] add(float[][] before, float[][] x, int product, AttentionBatch batch) {
      Tensor sum = LoraContract.this.tensor(before);
      backend.addLora(sum, operand(x), new LoraTarget(slots, product), batch);
      return read(sum);
    }

    float[][] addOfTokens(float[][] before, AttentionBatch batch) {
      Tensor sum = LoraContract.this.tensor(before);
      backend.addLora(sum, new LoraTarget(slots, EMBEDDING), batch);
      return read(sum);
    }

    float[][] gate(GateUp weights, float[][] x, AttentionBatch batch) {
      Operand out = backend.operand(x.length, weights.gate.length);
      backend.matmulGate(out, operand(x), weights.matrix, new LoraTarget(slots, GATED), batch);
      return read(out);
    }

    /** What an adapter adds to a row, part after part. */
    double[] delta(int slot, int product, float[] x) {
      Product adapted = SHAPE.products().get(product);
      double[] delta = new double[adapted.rows()];
      for (LoraFactors f : factors.get(slot)) {
        if (f.product() != product) {
          continue;
        }
        int first = adapted.partRows().subList(0, f.part()).stream().mapToInt(r -> r).sum();
        double[] low = new double[f.rank()];
        for (int r = 0; r < f.rank(); r++) {
          low[r] = dot(row(f.a(), r), x) * f.scale();
        }
        for (int i = 0; i < f.b().rows(); i++) {
          float[] b = row(f.b(), i);
          for (int r = 0; r < f.rank(); r++) {
            delta[first + i] += low[r] * b[r];
          }
        }
      }
      return delta;
    }

    private float[] row(StoredTensor matrix, int row) {
      long bytes = (long) matrix.columns() * matrix.dtype().bytes();
      return new StoredTensor(
              matrix.name(),
              matrix.dtype(),
              new long[] {matrix.columns()},
              matrix.data().asSlice(row * bytes, bytes))
          .floats();
    }
  }
}
