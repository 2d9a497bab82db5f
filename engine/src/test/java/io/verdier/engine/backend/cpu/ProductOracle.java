package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What a product of a packed matrix is, in plain loops: written from what {@code verdier.h} and
 * {@code lanes.h} say, not from what the kernels do. Immutable.
 *
 * <p>Bytes have one right answer to the bit: a block of 256 columns is a sum of integers, and then
 * one fused multiply-add. For bfloat16 the order of a sum is the level's own, so there is a sum in
 * float64 and how far from it a level may be.
 */
final class ProductOracle {
  private static final int BLOCK = 256;
  private static final int TILE = WeightFormat.TILE_ROWS;

  private final NativeMatrix matrix;
  private final int blocks;
  private final int[][] integers; // [rows][columns], of bytes
  private final float[][] scales; // [rows][blocks]
  private final float[][] floats; // [rows][columns], of bfloat16

  ProductOracle(NativeMatrix matrix) {
    this.matrix = matrix;
    blocks = (matrix.columns() + BLOCK - 1) / BLOCK;
    boolean bytes = matrix.format() != WeightFormat.BF16;
    integers = new int[bytes ? matrix.rows() : 0][matrix.columns()];
    scales = new float[bytes ? matrix.rows() : 0][blocks];
    floats = new float[bytes ? 0 : matrix.rows()][matrix.columns()];
    for (int row = 0; row < matrix.rows(); row++) {
      switch (matrix.format()) {
        case BF16 -> decodeFloats(row);
        case INT8 -> decodeBytes(row);
        case INT4 -> decodeNibbles(row);
      }
    }
  }

  private long tile(int row) {
    return (long) (row / TILE) * matrix.tileBytes();
  }

  private void decodeFloats(int row) {
    for (int c = 0; c < matrix.columns(); c++) {
      floats[row][c] = half(tile(row) + c / 2 * 128L + row % TILE * 4L + c % 2 * 2L);
    }
  }

  private void decodeBytes(int row) {
    for (int c = 0; c < matrix.columns(); c++) {
      long block = tile(row) + (long) (c / BLOCK) * (64 + BLOCK * TILE);
      scales[row][c / BLOCK] = half(block + row % TILE * 2L);
      long at = block + 64 + (c % BLOCK / 4L * TILE + row % TILE) * 4 + c % 4;
      integers[row][c] = Byte.toUnsignedInt(data().get(ValueLayout.JAVA_BYTE, at)) - 128;
    }
  }

  private void decodeNibbles(int row) {
    for (int c = 0; c < matrix.columns(); c++) {
      long block = tile(row) + (long) (c / BLOCK) * (64 + 256 + BLOCK * TILE / 2);
      scales[row][c / BLOCK] = half(block + row % TILE * 2L);
      int factor =
          data().get(ValueLayout.JAVA_BYTE, block + 64 + c % BLOCK / 32L * TILE + row % TILE);
      long at = block + 320 + (c % BLOCK / 4L * 16 + row % 16) * 4 + c % 4;
      int both = Byte.toUnsignedInt(data().get(ValueLayout.JAVA_BYTE, at));
      integers[row][c] = ((row % TILE < 16 ? both & 15 : both >> 4) - 8) * factor;
    }
  }

  private MemorySegment data() {
    return matrix.data();
  }

  private float half(long at) {
    return Float.intBitsToFloat(data().get(ValueLayout.JAVA_SHORT_UNALIGNED, at) << 16);
  }

  private float start(int row) {
    MemorySegment start = matrix.start();
    return start.address() == 0 ? 0 : start.getAtIndex(ValueLayout.JAVA_FLOAT, row);
  }

  /** A weight as {@code embed} must give it. */
  float weight(int row, int column) {
    return matrix.format() == WeightFormat.BF16
        ? floats[row][column]
        : integers[row][column] * scales[row][column / BLOCK];
  }

  /** How far from the checkpoint's a weight may be. */
  double step(int row, int column, double exact) {
    return switch (matrix.format()) {
      case BF16 -> Math.abs(exact) / 256 + 1e-40;
      case INT8 -> { // what is too small for a scale may become zero, but nothing else
        double size = Math.abs(exact);
        yield Math.max(Math.abs(scales[row][column / BLOCK]) * 0.501, size < 1e-36 ? size : 0);
      }
      case INT4 -> Math.abs(scales[row][column / BLOCK]) * 24 + 1e-36;
    };
  }

  /** The product with a row of inputs, of bytes: to the bit. */
  float[] product(float[] x) {
    int[] quantized = new int[x.length];
    float[] inputScales = new float[blocks];
    for (int b = 0; b < blocks; b++) {
      inputScales[b] = quantize(x, b * BLOCK, Math.min(x.length, (b + 1) * BLOCK), quantized);
    }
    float[] sums = new float[matrix.rows()];
    for (int row = 0; row < sums.length; row++) {
      float sum = start(row);
      for (int b = 0; b < blocks; b++) {
        int exact = 0;
        for (int c = b * BLOCK; c < Math.min(x.length, (b + 1) * BLOCK); c++) {
          exact += integers[row][c] * quantized[c];
        }
        sum = Math.fma((float) exact, scales[row][b] * inputScales[b], sum);
      }
      sums[row] = sum;
    }
    return sums;
  }

  /** Returns the scale; NaN or an infinity makes a scale that makes every sum NaN. */
  private static float quantize(float[] x, int from, int end, int[] to) {
    float largest = 0;
    for (int c = from; c < end; c++) {
      largest = Math.max(largest, Math.abs(x[c]));
    }
    float inverse = 127 / largest;
    boolean usual = largest > 0 && Float.isFinite(largest) && Float.isFinite(inverse);
    for (int c = from; c < end; c++) {
      to[c] = usual ? (int) Math.rint(x[c] * inverse) : 0;
    }
    return largest / 127;
  }

  /** The product of bfloat16 numbers, and how far from it a level may be: {@code [2][rows]}. */
  double[][] sum(float[] x) {
    double[][] sums = new double[2][matrix.rows()];
    double[] inputs = new double[x.length];
    for (int c = 0; c < x.length; c++) {
      inputs[c] = toBfloat16(x[c]);
    }
    for (int row = 0; row < matrix.rows(); row++) {
      double sum = start(row);
      double size = Math.abs(sum);
      for (int c = 0; c < x.length; c++) {
        sum += inputs[c] * floats[row][c];
        size += Math.abs(inputs[c] * floats[row][c]);
      }
      sums[0][row] = sum;
      // Roundings add up as random ones do; tiles take denormal numbers for zeros. A term left out
      // of as many as 8192 is five times as much.
      sums[1][row] = 4 * Math.sqrt(x.length) * 0x1p-24 * size + 1e-33;
    }
    return sums;
  }

  /** To nearest, ties to even. */
  static float toBfloat16(float x) {
    int bits = Float.floatToIntBits(x);
    int rounded = Float.isNaN(x) ? bits : bits + 0x7fff + (bits >>> 16 & 1);
    return Float.intBitsToFloat(rounded & 0xffff0000);
  }

  /** silu(gate) * up, with the exponential of {@code lanes.h}. */
  static float gate(float gate, float up) {
    float y = Math.min(Math.max(-gate, -87f), 88f);
    float shifted = Math.fma(y, 1.442695f, 12582912f);
    float n = shifted - 12582912f;
    float r = Math.fma(n, 2.1219444e-4f, Math.fma(n, -0x1.63p-1f, y));
    float p = Math.fma(1.3888889e-3f, r, 8.333333e-3f);
    for (float c : new float[] {4.1666668e-2f, 1.6666667e-1f, 0.5f, 1, 1}) {
      p = Math.fma(p, r, c);
    }
    int exponent = Float.floatToRawIntBits(shifted) << 23;
    float exp = Float.intBitsToFloat(Float.floatToRawIntBits(p) + exponent);
    return gate / (1 + exp) * up;
  }
}
