package io.verdier.engine.backend.cpu;

/**
 * Root mean square normalisation (Zhang and Sennrich, 2019) of each row, or of each head of a row.
 * Set up by the executor thread, run by the pool.
 *
 * <p>The squares go to 16 partial sums, element i to i mod 16, and those are added by a fixed tree:
 * short enough chains to be fast, and one order for all.
 */
final class NormJob extends RowsJob {
  private static final int STRIDES = 16;

  private final float[][] sums; // [worker][16]
  private CpuTensor out = new CpuTensor(0, 0);
  private CpuTensor in = out;
  private float[] gain = {};
  private float epsilon;

  NormJob(int workers) {
    sums = new float[workers][STRIDES];
  }

  void run(ComputePool pool, CpuTensor target, CpuTensor source, float[] gains, float eps) {
    out = target;
    in = source;
    gain = gains;
    epsilon = eps;
    run(pool, source.rows(), source.columns());
  }

  @Override
  void row(int row, int worker) {
    int from = in.at(row);
    int to = out.at(row);
    for (int head = 0; head < in.columns(); head += gain.length) {
      normalise(from + head, to + head, sums[worker]);
    }
  }

  private void normalise(int from, int to, float[] partial) {
    int count = gain.length;
    float mean = sumOfSquares(in.data, from, count, partial) / count;
    float factor = (float) (1.0 / Math.sqrt((double) mean + epsilon));
    scale(in.data, from, factor, out.data, to);
  }

  private void scale(float[] x, int from, float factor, float[] y, int to) {
    for (int i = 0; i < gain.length; i++) {
      y[to + i] = x[from + i] * factor * gain[i];
    }
  }

  private static float sumOfSquares(float[] x, int at, int count, float[] partial) {
    java.util.Arrays.fill(partial, 0f);
    int whole = count - count % STRIDES;
    for (int i = 0; i < whole; i += STRIDES) {
      for (int j = 0; j < STRIDES; j++) {
        float v = x[at + i + j];
        partial[j] = Math.fma(v, v, partial[j]);
      }
    }
    for (int i = whole; i < count; i++) {
      float v = x[at + i];
      partial[i - whole] = Math.fma(v, v, partial[i - whole]);
    }
    return AttendJob.total(partial, 0);
  }
}
