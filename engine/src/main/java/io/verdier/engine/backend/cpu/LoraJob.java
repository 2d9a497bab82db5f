package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What adapters add to rows of a product, in plain loops. Set up by the executor thread, run by the
 * pool; a unit is a row.
 *
 * <p>A dot product has eight chains, of every eighth column; an output one chain over the ranks.
 */
final class LoraJob implements ComputePool.Job {
  private static final int CHAINS = 8;
  private static final int LANES = CpuLoraImage.LANES;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT.withOrder(ByteOrder.nativeOrder());

  private final Scratch[] scratch;
  private final LoraRows rows = new LoraRows();
  private CpuTensor in = new CpuTensor(0, 0);
  private @Nullable AttentionBatch tokens; // in place of rows of `in`
  private float[] out = {};
  private int first; // where the first row begins in it
  private int stride;
  private boolean byPlace; // whether only rows with an adapter have one in it
  private float[] addend = {}; // [places][columns of gate and up]

  /** What a worker needs. */
  private static final class Scratch {
    private short[] halves = {};
    private float[] low = {};
    private final float[] sums = new float[LANES];

    short[] halves(MemorySegment from, long at, int count) {
      if (halves.length < count) {
        halves = new short[count];
      }
      MemorySegment.copy(from, SHORT, at * Short.BYTES, halves, 0, count);
      return halves;
    }

    float[] low(int rank) {
      if (low.length < rank) {
        low = new float[rank];
      }
      return low;
    }
  }

  LoraJob(int workers) {
    scratch = new Scratch[workers];
    Arrays.setAll(scratch, i -> new Scratch());
  }

  /** Which rows the next call works on. */
  LoraRows rows() {
    return rows;
  }

  /** Units that add to a product. */
  void add(CpuTensor target, CpuTensor input) {
    tokens = null;
    in = input;
    target(target.data, target.at(0), target.stride);
  }

  /** The same, where the batch's tokens are the input. */
  void add(CpuTensor target, AttentionBatch batch) {
    tokens = batch;
    target(target.data, target.at(0), target.stride);
  }

  /** The same to rows of so many columns that lie side by side. */
  void add(float[] target, int columns, CpuTensor input) {
    tokens = null;
    in = input;
    target(target, 0, columns);
  }

  private void target(float[] data, int at, int columns) {
    out = data;
    first = at;
    stride = columns;
    byPlace = false;
  }

  /** Units that leave what is to be added, {@code [places][columns]}. */
  float[] leave(int columns, CpuTensor input) {
    if (addend.length < rows.count() * columns) {
      addend = new float[rows.count() * columns];
    }
    Arrays.fill(addend, 0, rows.count() * columns, 0f); // parts without an adapter add nothing
    add(addend, columns, input);
    byPlace = true;
    return addend;
  }

  @Override
  public void run(int unit, int worker) {
    int row = rows.row(unit);
    int at = first + (byPlace ? unit : row) * stride;
    for (int part = 0; part < rows.partCount(); part++) {
      CpuLoraImage.Part factors = rows.part(unit, part);
      if (factors != null) {
        AttentionBatch batch = tokens;
        if (batch == null) {
          shrink(factors, row, scratch[worker]);
        } else {
          lookUp(factors, batch.token(batch.first() + row), scratch[worker]);
        }
        expand(factors, scratch[worker], out, at + rows.firstColumn(part));
      }
    }
  }

  private static void lookUp(CpuLoraImage.Part factors, int token, Scratch own) {
    Objects.checkIndex(token, factors.columns());
    float[] low = own.low(factors.rank());
    for (int r = 0; r < factors.rank(); r++) {
      low[r] = factors.lookUp(token, r);
    }
  }

  private void shrink(CpuLoraImage.Part factors, int row, Scratch own) {
    float[] low = own.low(factors.rank());
    for (int r = 0; r < factors.rank(); r++) {
      int count = factors.columns();
      short[] a = own.halves(factors.a(), (long) r * factors.stride(), count);
      low[r] = dot(a, in.data, in.at(row), count) * factors.scale();
    }
  }

  private static float dot(short[] a, float[] x, int at, int count) {
    float[] chains = new float[CHAINS];
    int whole = count / CHAINS * CHAINS;
    for (int i = 0; i < whole; i += CHAINS) {
      for (int j = 0; j < CHAINS; j++) {
        chains[j] = Math.fma(number(a[i + j]), x[at + i + j], chains[j]);
      }
    }
    for (int i = whole; i < count; i++) {
      chains[i - whole] = Math.fma(number(a[i]), x[at + i], chains[i - whole]);
    }
    float even = (chains[0] + chains[4]) + (chains[2] + chains[6]);
    float odd = (chains[1] + chains[5]) + (chains[3] + chains[7]);
    return even + odd;
  }

  private static void expand(CpuLoraImage.Part factors, Scratch own, float[] to, int at) {
    int rank = factors.rank();
    float[] sums = own.sums;
    for (int output = 0; output < factors.rows(); output += LANES) {
      short[] b = own.halves(factors.b(), (long) output * rank, rank * LANES);
      Arrays.fill(sums, 0f);
      for (int r = 0; r < rank; r++) {
        float low = own.low[r];
        for (int lane = 0; lane < LANES; lane++) {
          sums[lane] = Math.fma(number(b[r * LANES + lane]), low, sums[lane]);
        }
      }
      int count = Math.min(LANES, factors.rows() - output);
      for (int lane = 0; lane < count; lane++) {
        to[at + output + lane] += sums[lane];
      }
    }
  }

  private static float number(short half) {
    return Float.intBitsToFloat(half << 16);
  }
}
