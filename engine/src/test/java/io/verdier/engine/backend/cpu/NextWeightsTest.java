package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.NativeMatrix.RowOrder;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What idle threads ask memory for. */
class NextWeightsTest {
  private static final int THREADS = 2;

  private final List<long[]> asked = new ArrayList<>(); // first byte, end, worker
  private final NextWeights next =
      new NextWeights(
          (address, lines, worker) ->
              asked.add(new long[] {address, address + lines * 64L, worker}),
          THREADS);
  private final TileUnits units = new TileUnits(Arena.ofAuto());

  private static NativeMatrix matrix(int rows, long address) {
    MemorySegment data = MemorySegment.ofAddress(address);
    return new NativeMatrix(
        rows, 2048, WeightFormat.INT4, data, MemorySegment.NULL, RowOrder.PLAIN);
  }

  private void begin(NativeMatrix weight) {
    units.plan(weight, 1, 1, 1, THREADS);
    next.begin(weight, units);
  }

  @Test
  void slice_stepSeenBefore_asksForTheBeginningOfEachThreadsUnitOfTheNextProduct() {
    NativeMatrix first = matrix(8192, 1L << 32);
    NativeMatrix second = matrix(8192, 1L << 33);
    begin(first);
    assertThat(next.slice(0)).as("nothing known yet").isFalse();
    begin(second);
    begin(first);

    for (int worker = 0; worker < THREADS; worker++) {
      asked.clear();
      while (next.slice(worker)) {
        assertThat(asked.getLast()[2]).isEqualTo(worker);
      }
      units.plan(second, 1, 1, 1, THREADS);
      long from = (1L << 33) + units.firstTile(worker) * second.tileBytes();
      assertThat(asked.getFirst()[0]).isEqualTo(from);
      for (int i = 1; i < asked.size(); i++) {
        assertThat(asked.get(i)[0]).isEqualTo(asked.get(i - 1)[1]);
      }
      assertThat(asked.getLast()[1] - from).isEqualTo(256 << 10);
    }
  }

  @Test
  void slice_smallMatrix_asksForNoMoreThanTheUnit() {
    NativeMatrix small = matrix(64, 1L << 32);
    begin(small);
    begin(small);
    while (next.slice(1)) {
      assertThat(asked.getLast()[1]).isLessThan((1L << 32) + small.bytes() + 64);
    }
    assertThat(asked).isNotEmpty();
  }

  @Test
  void begin_anotherOrderThanBefore_followsTheNewOne() {
    NativeMatrix a = matrix(8192, 1L << 32);
    NativeMatrix b = matrix(8192, 1L << 33);
    NativeMatrix c = matrix(8192, 1L << 34);
    for (NativeMatrix weight : List.of(a, b, a, c, a)) {
      begin(weight);
    }
    assertThat(next.slice(0)).isTrue();
    assertThat(asked.getFirst()[0]).isEqualTo(1L << 34);
  }
}
