package io.verdier.engine.backend.cpu;

import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;

/**
 * Lays rows of a checkpoint into tiles, one tile a unit. Owned by the loading thread; units touch
 * nothing in common.
 *
 * <p>A strip of {@value #STRIP} columns of all 32 rows is copied to arrays, turned, and copied out:
 * bulk copies and array loops are fast long before the compiler has seen them, which counts at
 * start.
 */
final class PackJob implements ComputePool.Job {
  private static final int ROWS = PackedMatrix.TILE_ROWS;
  private static final int STRIP = 512;
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final List<StoredTensor> parts;
  private final PackedMatrix matrix;
  private final Scratch[] scratches;

  /** Working memory of one worker, kept from matrix to matrix. */
  static final class Scratch {
    private final int[] strip = new int[ROWS * STRIP];
    private final int[] turned = new int[ROWS * STRIP];
    private final short[] halves = new short[STRIP];
  }

  PackJob(List<StoredTensor> parts, PackedMatrix matrix, Scratch[] scratches) {
    this.parts = parts;
    this.matrix = matrix;
    this.scratches = scratches;
  }

  @Override
  public void run(int tile, int worker) {
    boolean pairs = matrix.layout() == PackedMatrix.Layout.PAIRS;
    int words = pairs ? matrix.columns() / 2 : matrix.columns(); // 32-bit lanes of a row
    Scratch scratch = scratches[worker];
    long target = tile * matrix.tileBytes();
    for (int from = 0; from < words; from += STRIP) {
      int count = Math.min(STRIP, words - from);
      for (int r = 0; r < ROWS; r++) {
        readRow(matrix.row(tile, r), from, count, scratch, r * STRIP);
      }
      turn(scratch.strip, scratch.turned, count);
      MemorySegment.copy(
          scratch.turned, 0, matrix.data(), WORD, target + (long) from * ROWS * 4, count * ROWS);
    }
  }

  /** Lanes {@code from..from + count} of a row of the stacked parts; zeros where there is none. */
  private void readRow(int row, int from, int count, Scratch scratch, int at) {
    if (row < 0) {
      Arrays.fill(scratch.strip, at, at + count, 0);
      return;
    }
    int rest = row;
    int index = 0;
    while (rest >= parts.get(index).rows()) {
      rest -= parts.get(index++).rows();
    }
    readPart(parts.get(index), rest, from, count, scratch, at);
  }

  private void readPart(StoredTensor part, int row, int from, int count, Scratch scratch, int at) {
    int[] to = scratch.strip;
    short[] halves = scratch.halves;
    long start = row * part.rowBytes();
    if (matrix.layout() == PackedMatrix.Layout.PAIRS) {
      MemorySegment.copy(part.data(), WORD, start + from * 4L, to, at, count);
    } else if (part.dtype() == DType.F32) {
      MemorySegment.copy(part.data(), WORD, start + from * 4L, to, at, count);
    } else {
      MemorySegment.copy(part.data(), HALF, start + from * 2L, halves, 0, count);
      boolean half = part.dtype() == DType.F16;
      for (int i = 0; i < count; i++) {
        to[at + i] =
            half ? Float.floatToRawIntBits(Float.float16ToFloat(halves[i])) : halves[i] << 16;
      }
    }
  }

  /** {@code [rows][lanes]} to {@code [lanes][rows]}, 16 lanes at a time: a cache line each. */
  private static void turn(int[] strip, int[] turned, int count) {
    for (int block = 0; block < count; block += 16) {
      int end = Math.min(block + 16, count);
      for (int r = 0; r < ROWS; r++) {
        for (int i = block; i < end; i++) {
          turned[i * ROWS + r] = strip[r * STRIP + i];
        }
      }
    }
  }
}
