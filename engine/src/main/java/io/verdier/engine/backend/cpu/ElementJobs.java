package io.verdier.engine.backend.cpu;

/** Jobs that go over a row element by element. Set up by the executor thread, run by the pool. */
final class ElementJobs {
  private ElementJobs() {}

  /** {@code out = silu(left half) · right half}. */
  static final class Gate extends RowsJob {
    private CpuTensor out = new CpuTensor(0, 0);
    private CpuTensor in = out;
    private Kernels kernels = new ScalarKernels();

    void run(ComputePool pool, Kernels chosen, CpuTensor target, CpuTensor source) {
      kernels = chosen;
      out = target;
      in = source;
      run(pool, source.rows(), source.columns());
    }

    @Override
    void row(int row, int worker) {
      int count = out.columns();
      int gate = in.at(row);
      kernels.gate(in.data, gate, gate + count, out.data, out.at(row), count);
    }
  }

  /** {@code sum += term}. */
  static final class Add extends RowsJob {
    private CpuTensor sum = new CpuTensor(0, 0);
    private CpuTensor term = sum;

    void run(ComputePool pool, CpuTensor target, CpuTensor source) {
      sum = target;
      term = source;
      run(pool, target.rows(), target.columns());
    }

    @Override
    void row(int row, int worker) {
      add(sum.data, sum.at(row), term.data, term.at(row), sum.columns());
    }

    private static void add(float[] x, int to, float[] y, int from, int count) {
      for (int i = 0; i < count; i++) {
        x[to + i] += y[from + i];
      }
    }
  }
}
