package io.verdier.engine.backend;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** A backend and ways to bring numbers into it and out of it. Owned by the test's thread. */
abstract class BackendFixture {
  protected static final long SEED = Long.getLong("seed", 99);
  final Random random = new Random(SEED);
  final Backend backend;
  private final Arena arena = Arena.ofShared(); // backends may read it on threads of their own

  BackendFixture(Backend backend) {
    this.backend = backend;
  }

  /** The selected rows of a tensor, as they are. */
  protected abstract float[][] read(Tensor tensor);

  @BeforeEach
  void printSeed() {
    System.out.println(getClass().getSimpleName() + " seed " + SEED);
  }

  @AfterEach
  void close() {
    backend.close();
    arena.close();
  }

  static List<@Nullable StoredTensor> noBias() {
    @Nullable StoredTensor none = null;
    return Arrays.asList(none);
  }

  static AttentionBatch batchOf(int[] tokens, int position, int[] table) {
    AttentionBatch batch = new AttentionBatch(tokens.length, 1);
    batch.add(i -> tokens[i - position], position, tokens.length, table);
    return batch;
  }

  Matrix weight(DType type, int rows, int columns) {
    return backend.matrix(List.of(stored("w", type, matrix(rows, columns))), noBias());
  }

  /** A tensor with these rows, looked up from a table that consists of them. */
  Tensor tensor(float[][] rows) {
    Matrix table = backend.matrix(List.of(stored("x", DType.F32, rows)), noBias());
    Tensor tensor = backend.tensor(rows.length, rows[0].length);
    int[] all = IntStream.range(0, rows.length).toArray();
    backend.embed(tensor, table, batchOf(all, 0, new int[0]));
    return tensor;
  }

  /** The same as an operand. */
  Operand operand(float[][] rows) {
    Operand operand = backend.operand(rows.length, rows[0].length);
    backend.convert(operand, tensor(rows));
    return operand;
  }

  /** The selected rows of an operand, multiplied by 1. */
  float[][] read(Operand operand) {
    int columns = operand.columns();
    float[][] identity = new float[columns][columns];
    for (int i = 0; i < columns; i++) {
      identity[i][i] = 1;
    }
    Matrix weight = backend.matrix(List.of(stored("1", DType.BF16, identity)), noBias());
    Tensor out = backend.tensor(operand.rows(), columns);
    backend.matmul(out, operand, weight);
    return read(out);
  }

  /** Standard normal numbers of which a bfloat16 keeps every bit. */
  float[][] matrix(int rows, int columns) {
    float[][] m = new float[rows][columns];
    for (float[] row : m) {
      for (int i = 0; i < columns; i++) {
        float number = (float) random.nextGaussian();
        row[i] = Float.intBitsToFloat(Float.floatToRawIntBits(number) & 0xffff0000);
      }
    }
    return m;
  }

  StoredTensor stored(String name, DType type, float[][] rows) {
    int columns = rows[0].length;
    MemorySegment data = arena.allocate((long) rows.length * columns * type.bytes(), 8);
    for (int r = 0; r < rows.length; r++) {
      for (int c = 0; c < columns; c++) {
        int i = r * columns + c;
        switch (type) {
          case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, rows[r][c]);
          case BF16 ->
              data.setAtIndex(
                  ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(rows[r][c]) >>> 16));
          default -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(rows[r][c]));
        }
      }
    }
    boolean vector = rows.length == 1;
    long[] shape = vector ? new long[] {columns} : new long[] {rows.length, columns};
    return new StoredTensor(name, type, shape, data);
  }
}
