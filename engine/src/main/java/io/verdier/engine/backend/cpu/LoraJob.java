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
 * pool; a unit is a piece, whose factors are read once for all of its rows.
 *
 * <p>A dot product has eight chains, of every eighth column; an output one chain over the ranks.
 */
final class LoraJob implements ComputePool.Job {
  private static final int CHAINS = 8;
  private static final int LANES = CpuLoraImage.LANES;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT.withOrder(ByteOrder.nativeOrder());

  private final Scratch[] scratch;
  private final LoraRows rows = new LoraRows(4);
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
    private float[] low = {}; // [places][rank]
    private final float[] sums = new float[LANES];

    short[] halves(MemorySegment from, long at, int count) {
      if (halves.length < count) {
        halves = new short[count];
      }
      MemorySegment.copy(from, SHORT, at * Short.BYTES, halves, 0, count);
      return halves;
    }

    float[] low(int size) {
      if (low.length < size) {
        low = new float[size];
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
    Scratch own = scratch[worker];
    AttentionBatch batch = tokens;
    if (batch == null) {
      shrink(unit, own);
    } else {
      lookUp(unit, batch, own);
    }
    expand(unit, own);
  }

  private void lookUp(int piece, AttentionBatch batch, Scratch own) {
    CpuLoraImage.Part factors = rows.factors(piece);
    int rank = factors.rank();
    float[] low = own.low(rows.placeCount(piece) * rank);
    for (int i = 0; i < rows.placeCount(piece); i++) {
      int token = batch.token(batch.first() + rows.row(rows.firstPlace(piece) + i));
      Objects.checkIndex(token, factors.columns());
      for (int r = 0; r < rank; r++) {
        low[i * rank + r] = factors.lookUp(token, r);
      }
    }
  }

  private void shrink(int piece, Scratch own) {
    CpuLoraImage.Part factors = rows.factors(piece);
    int rank = factors.rank();
    int count = factors.columns();
    float[] low = own.low(rows.placeCount(piece) * rank);
    for (int r = 0; r < rank; r++) {
      short[] a = own.halves(factors.a(), (long) r * factors.stride(), count);
      for (int i = 0; i < rows.placeCount(piece); i++) {
        int at = in.at(rows.row(rows.firstPlace(piece) + i));
        low[i * rank + r] = dot(a, in.data, at, count) * factors.scale();
      }
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

  private void expand(int piece, Scratch own) {
    CpuLoraImage.Part factors = rows.factors(piece);
    int rank = factors.rank();
    for (int output = 0; output < factors.rows(); output += LANES) {
      short[] b = own.halves(factors.b(), (long) output * rank, rank * LANES);
      int count = Math.min(LANES, factors.rows() - output);
      for (int i = 0; i < rows.placeCount(piece); i++) {
        float[] sums = outputs(b, own, i * rank, rank);
        int at = at(rows.firstPlace(piece) + i) + rows.firstColumn(piece) + output;
        for (int lane = 0; lane < count; lane++) {
          out[at + lane] += sums[lane];
        }
      }
    }
  }

  private static float[] outputs(short[] b, Scratch own, int low, int rank) {
    float[] sums = own.sums;
    Arrays.fill(sums, 0f);
    for (int r = 0; r < rank; r++) {
      float factor = own.low[low + r];
      for (int lane = 0; lane < LANES; lane++) {
        sums[lane] = Math.fma(number(b[r * LANES + lane]), factor, sums[lane]);
      }
    }
    return sums;
  }

  /** Where the row in a place begins in what is added to. */
  private int at(int place) {
    return first + (byPlace ? place : rows.row(place)) * stride;
  }

  private static float number(short half) {
    return Float.intBitsToFloat(half << 16);
  }
}
