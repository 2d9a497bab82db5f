package io.verdier.engine.backend.cpu;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;

/**
 * Ranks of one process in its memory: each reads what the others computed where it lies. Owned by
 * its rank's thread.
 *
 * <pre>
 *   sum     columns | 0's share | 1's share | 2's share |      each rank adds up its share of all
 *   rank 0  row     | p00       | p01       | p02       |      ranks' rows, in the order of ranks,
 *   rank 1  row     | p10       | p11       | p12       |      and puts the sums into all of them
 *   rank 2  row     | p20       | p21       | p22       |
 * </pre>
 *
 * <p>Every element is added up once, by one thread, in one order, and copied: there is no way for
 * two ranks to have other bits. The ranks meet before, when all have computed, and after, when all
 * sums are in place.
 */
final class CpuCollectives implements Collectives {
  private static final int LINE = 16; // floats: no two ranks write to one cache line

  private final Rank rank;
  private final Meeting meeting;
  private final HostRows[] tensors; // of all ranks, while they are added up
  private float[] sums = {};
  private float[] addends = {};

  CpuCollectives(Rank rank, Meeting meeting) {
    this.rank = rank;
    this.meeting = meeting;
    tensors = new HostRows[rank.size()];
  }

  @Override
  public Rank rank() {
    return rank;
  }

  @Override
  public void allReduceSum(Tensor tensor) {
    meeting.arrive(rank, tensor);
    int columns = tensor.columns();
    int lines = (columns + LINE - 1) / LINE;
    int share = (lines + rank.size() - 1) / rank.size() * LINE;
    int from = Math.min(columns, rank.index() * share);
    int count = Math.min(columns - from, share);
    for (int i = 0; i < tensors.length; i++) {
      tensors[i] = offered(i);
      requireRows(tensors[i].rows(), tensor.rows());
      requireColumns(tensors[i].columns(), columns);
    }
    if (sums.length < count) {
      sums = new float[count];
      addends = new float[count];
    }
    for (int row = 0; row < tensor.rows(); row++) {
      sum(row, from, count);
    }
    meeting.arrive(rank);
  }

  private void sum(int row, int from, int count) {
    tensors[0].read(row, from, count, sums);
    for (int i = 1; i < tensors.length; i++) {
      tensors[i].read(row, from, count, addends);
      add(sums, addends, count);
    }
    for (HostRows each : tensors) {
      each.write(row, from, count, sums);
    }
  }

  private static void add(float[] sums, float[] addends, int count) {
    for (int i = 0; i < count; i++) {
      sums[i] += addends[i];
    }
  }

  @Override
  public void allGather(Tensor out, Tensor part) {
    requireColumns(out.columns(), rank.size() * part.columns());
    requireRows(out.rows(), part.rows());
    meeting.arrive(rank, part);
    if (sums.length < part.columns()) {
      sums = new float[part.columns()];
    }
    for (int i = 0; i < rank.size(); i++) {
      HostRows from = offered(i);
      requireRows(from.rows(), part.rows());
      requireColumns(from.columns(), part.columns());
      for (int row = 0; row < part.rows(); row++) {
        from.read(row, 0, part.columns(), sums);
        ((HostRows) out).write(row, i * part.columns(), part.columns(), sums);
      }
    }
    meeting.arrive(rank);
  }

  private HostRows offered(int index) {
    return (HostRows) meeting.offer(index);
  }

  @Override
  public void close() {}
}
