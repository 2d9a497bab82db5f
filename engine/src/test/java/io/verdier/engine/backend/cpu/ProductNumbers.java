package io.verdier.engine.backend.cpu;

import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;

/** Draws inputs and weights that products may stumble over, among usual ones. */
final class ProductNumbers {
  /** Normal numbers, which are slow to draw, to be taken one after the other. */
  private static final float[] NORMAL = new float[65_521];

  static {
    Random random = new Random(11);
    for (int i = 0; i < NORMAL.length; i++) {
      NORMAL[i] = (float) random.nextGaussian();
    }
  }

  private final Random random = new Random(7);
  private int drawn;

  private float normal() {
    drawn = drawn == NORMAL.length - 1 ? 0 : drawn + 1;
    return NORMAL[drawn];
  }

  /** Draws the same from here on for the same seed. */
  void restart(int seed) {
    random.setSeed(seed);
    drawn = seed;
  }

  /** Rows of zeros, of huge and of tiny numbers, with NaN or an infinity somewhere; then others. */
  float[][] inputs(int rows, int columns) {
    float[][] x = plainInputs(rows, columns);
    for (int r = 0; r < rows; r++) {
      int at = random.nextInt(columns);
      switch (r < 24 ? r : random.nextInt(100)) {
        case 0 -> Arrays.fill(x[r], 0);
        case 1 -> Arrays.fill(x[r], -0f);
        case 2 -> scale(x[r], 1e28f);
        case 3 -> x[r][at] = Float.NaN;
        case 4 -> x[r][at] = Float.POSITIVE_INFINITY;
        case 5 -> x[r][at] = Float.NEGATIVE_INFINITY;
        case 6 -> scale(x[r], 1e-40f);
        case 7 -> scale(x[r], 1e-30f);
        case 8 -> x[r][at] = 1e4f;
        case 9 -> Arrays.fill(x[r], -1);
        case 10 -> x[r][0] = -0f;
        case 11 -> Arrays.fill(x[r], 0, columns / 2, 0);
        case 12 -> x[r][columns - 1] = -1e4f;
        case 13 -> Arrays.fill(x[r], Math.max(0, columns - 20), columns, Float.NaN);
        default -> {}
      }
    }
    return x;
  }

  private float[][] plainInputs(int rows, int columns) {
    float[][] x = new float[rows][columns];
    for (float[] row : x) {
      for (int c = 0; c < columns; c++) {
        row[c] = normal();
      }
    }
    return x;
  }

  private static void scale(float[] x, float by) {
    for (int i = 0; i < x.length; i++) {
      x[i] *= by;
    }
  }

  /** Blocks of zeros, outliers, numbers of one sign, very small ones; the rest is usual. */
  StoredTensor weights(int rows, int columns) {
    float[] w = new float[rows * columns];
    for (int r = 0; r < rows; r++) {
      for (int block = 0; block < columns; block += 256) {
        int end = Math.min(columns, block + 256);
        int kind = random.nextInt(10);
        float size = (float) Math.exp(normal()) * 0.05f;
        for (int c = block; c < end; c++) {
          float x = normal() * size;
          w[r * columns + c] =
              switch (kind) {
                case 0 -> 0;
                case 1 -> -Math.abs(x);
                case 2 -> x * 1e-30f;
                case 3 -> Math.signum(x) * (c % 64 < 32 ? -16 : 15) * size;
                case 6, 7, 8, 9 -> r % 16 == 3 ? x * 1e-38f : x; // denormal sums are slow
                case 4 -> c % 32 == 0 ? 8 * size : -size * (c % 17);
                default -> x;
              };
        }
        if (kind == 5) {
          w[r * columns + block + random.nextInt(end - block)] = -300 * size;
        }
      }
    }
    return stored(w, rows, columns);
  }

  /** A bias. */
  StoredTensor vector(int size) {
    return stored(plainInputs(1, size)[0], 1, size);
  }

  private static StoredTensor stored(float[] values, int rows, int columns) {
    long[] shape = rows == 1 ? new long[] {columns} : new long[] {rows, columns};
    return new StoredTensor(
        "t", DType.F32, shape, Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values));
  }

  /** Any bytes and scales that a format can hold, those that no packer would give too. */
  void scramble(NativeMatrix matrix) {
    byte[] bytes = new byte[(int) matrix.bytes()];
    random.nextBytes(bytes);
    int factors = matrix.format() == WeightFormat.INT4 ? 256 : 0;
    int groupBytes = factors > 0 ? 512 : 1024;
    int at = 0;
    for (int tile = 0; tile < matrix.tiles(); tile++) {
      for (int group = 0; group < matrix.groups(); group += 8) {
        for (int i = 0; i < 32; i++) {
          int half = Float.floatToIntBits((float) random.nextGaussian()) >>> 16;
          bytes[at + 2 * i] = (byte) half;
          bytes[at + 2 * i + 1] = (byte) (half >> 8);
        }
        for (int i = 0; i < factors; i++) {
          int kind = random.nextInt(4);
          bytes[at + 64 + i] = (byte) (kind == 0 ? 16 : kind == 1 ? -15 : random.nextInt(-15, 17));
        }
        at += 64 + factors + Math.min(8, matrix.groups() - group) * groupBytes;
      }
    }
    if (at != bytes.length) {
      throw new AssertionError(at + " bytes of " + bytes.length);
    }
    MemorySegment.copy(bytes, 0, matrix.data(), ValueLayout.JAVA_BYTE, 0, bytes.length);
  }
}
