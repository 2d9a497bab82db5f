package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

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
  private CpuTensor out = in;
  private float[] addend = {}; // [places][columns of gate and up]
  private int addendColumns; // 0: what is found is added to out

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
    out = target;
    in = input;
    addendColumns = 0;
  }

  /** Units that leave what is to be added, {@code [places][columns]}. */
  float[] leave(int columns, CpuTensor input) {
    in = input;
    addendColumns = columns;
    if (addend.length < rows.count() * columns) {
      addend = new float[rows.count() * columns];
    }
    Arrays.fill(addend, 0, rows.count() * columns, 0f); // parts without an adapter add nothing
    return addend;
  }

  @Override
  public void run(int unit, int worker) {
    int row = rows.row(unit);
    for (int part = 0; part < rows.partCount(); part++) {
      CpuLoraImage.Part factors = rows.part(unit, part);
      if (factors != null) {
        shrink(factors, row, scratch[worker]);
        int column = rows.firstColumn(part);
        if (addendColumns == 0) {
          expand(factors, scratch[worker], out.data, out.at(row) + column);
        } else {
          expand(factors, scratch[worker], addend, unit * addendColumns + column);
        }
      }
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
    for (int first = 0; first < factors.rows(); first += LANES) {
      short[] b = own.halves(factors.b(), (long) first * rank, rank * LANES);
      Arrays.fill(sums, 0f);
      for (int r = 0; r < rank; r++) {
        float low = own.low[r];
        for (int lane = 0; lane < LANES; lane++) {
          sums[lane] = Math.fma(number(b[r * LANES + lane]), low, sums[lane]);
        }
      }
      int count = Math.min(LANES, factors.rows() - first);
      for (int lane = 0; lane < count; lane++) {
        to[at + first + lane] += sums[lane];
      }
    }
  }

  private static float number(short half) {
    return Float.intBitsToFloat(half << 16);
  }
}
