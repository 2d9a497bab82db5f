package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.cpu.PackedMatrix.Layout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Jobs that look at a row's token or position: embedding, rotation, storing keys and values. Set up
 * by the executor thread, run by the pool.
 */
final class TokenJobs {
  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.nativeOrder());
  private static final AttentionBatch NO_BATCH = new AttentionBatch(0, 0);

  private TokenJobs() {}

  /** Takes rows of a packed matrix out of their tiles. */
  static final class Embed extends RowsJob {
    private CpuTensor out = new CpuTensor(0, 0);
    private AttentionBatch batch = NO_BATCH;
    private PackedMatrix table = PackedMatrix.NONE;

    void run(ComputePool pool, CpuTensor target, PackedMatrix matrix, AttentionBatch rows) {
      out = target;
      table = matrix;
      batch = rows;
      run(pool, rows.count(), matrix.columns());
    }

    @Override
    void row(int row, int worker) {
      int token = batch.token(batch.first() + row);
      if (token < 0 || token >= table.rows()) {
        throw new IllegalStateException("token " + token + " of " + table.rows());
      }
      long at = token / LANES * table.tileBytes() + token % LANES * 4L;
      if (table.layout() == Layout.PAIRS) {
        pairs(at, out.data, out.at(row));
      } else {
        floats(at, out.data, out.at(row));
      }
    }

    private void pairs(long at, float[] x, int to) {
      for (int i = 0; i < table.columns(); i += 2) {
        int word = table.data().get(WORD, at + 2L * i * LANES);
        x[to + i] = Float.intBitsToFloat(word << 16);
        x[to + i + 1] = Float.intBitsToFloat(word & 0xffff0000);
      }
    }

    private void floats(long at, float[] x, int to) {
      for (int i = 0; i < table.columns(); i++) {
        x[to + i] = Float.intBitsToFloat(table.data().get(WORD, at + 4L * i * LANES));
      }
    }
  }

  /** Rotates the heads of a row: (a, b) becomes (a cos - b sin, b cos + a sin). */
  static final class Rope extends RowsJob {
    private CpuTensor heads = new CpuTensor(0, 0);
    private AttentionBatch batch = NO_BATCH;
    private CpuRopeTable table = new CpuRopeTable(new double[0], 1);

    void run(ComputePool pool, CpuTensor target, CpuRopeTable angles, AttentionBatch rows) {
      heads = target;
      table = angles;
      batch = rows;
      for (int row = rows.first(); row < rows.first() + rows.count(); row++) {
        angles.require(rows.position(row));
      }
      run(pool, rows.count(), target.columns());
    }

    @Override
    void row(int row, int worker) {
      int position = batch.position(batch.first() + row);
      float[] page = table.page(position);
      int at = heads.at(row);
      for (int head = 0; head < heads.columns(); head += table.headDim()) {
        rotate(heads.data, at + head, page, table.at(position), table.headDim() / 2);
      }
    }

    private static void rotate(float[] x, int at, float[] page, int cosines, int half) {
      for (int i = 0; i < half; i++) {
        float cos = page[cosines + i];
        float sin = page[cosines + half + i];
        float a = x[at + i];
        float b = x[at + half + i];
        x[at + i] = a * cos - b * sin;
        x[at + half + i] = b * cos + a * sin;
      }
    }
  }

  /** Puts keys and values into their blocks: keys scattered over dimensions, values in one run. */
  static final class Store extends RowsJob {
    private final CpuKvStorage storage;
    private CpuTensor keys = new CpuTensor(0, 0);
    private CpuTensor values = keys;
    private AttentionBatch batch = NO_BATCH;
    private int layer;

    Store(CpuKvStorage storage) {
      this.storage = storage;
    }

    void run(ComputePool pool, int index, CpuTensor k, CpuTensor v, AttentionBatch rows) {
      layer = index;
      keys = k;
      values = v;
      batch = rows;
      for (int row = rows.first(); row < rows.first() + rows.count(); row++) {
        int block = rows.position(row) / storage.shape().blockTokens();
        storage.require(rows.table(rows.slice(row))[block]);
      }
      run(pool, rows.count(), 2 * k.columns());
    }

    @Override
    void row(int row, int worker) {
      int headDim = storage.shape().headDim();
      int position = batch.position(batch.first() + row);
      int[] blocks = batch.table(batch.slice(batch.first() + row));
      MemorySegment data = storage.data(blocks, position);
      long token = position % AttendWork.GROUP;
      for (int head = 0; head < storage.shape().heads(); head++) {
        long k = storage.keys(blocks, position, layer, head);
        scatter(data, k + token * Float.BYTES, keys.at(row) + head * headDim, headDim);
        long v = storage.values(k) + token * headDim * Float.BYTES;
        int from = values.at(row) + head * headDim;
        MemorySegment.copy(values.data, from, data, CpuKvStorage.FLOAT, v, headDim);
      }
    }

    private void scatter(MemorySegment data, long to, int from, int headDim) {
      for (int d = 0; d < headDim; d++) {
        long at = to + (long) d * AttendWork.GROUP * Float.BYTES;
        data.set(CpuKvStorage.FLOAT, at, keys.data[from + d]);
      }
    }
  }
}
