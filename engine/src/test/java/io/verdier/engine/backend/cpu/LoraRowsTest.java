package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LoraRowsTest {
  private static final int NONE = AttentionBatch.NO_ADAPTER;
  private static final int TWO_PARTS = 0;
  private static final int OTHER = 1;

  private final Arena arena = Arena.ofShared();
  private final CpuLoraSlots slots =
      new CpuLoraSlots(
          new LoraShape(
              4, 2, List.of(new Product(8, List.of(16, 24)), new Product(8, List.of(16)))));
  private final LoraRows rows = new LoraRows(4);

  @AfterEach
  void close() {
    arena.close();
  }

  @Test
  void find_adaptersInTurns_readsEachOneOnceForItsRows() {
    load(1, factors(TWO_PARTS, 0), factors(TWO_PARTS, 1));
    load(2, factors(TWO_PARTS, 1));
    find(TWO_PARTS, 1, NONE, 2, 1, 1, 2, NONE);
    assertThat(rows.count()).isEqualTo(5);
    assertThat(Arrays.copyOf(rows.rows(), 5)).containsExactly(0, 3, 4, 2, 5);
    assertThat(Arrays.copyOf(rows.places(), 7)).containsExactly(0, -1, 3, 1, 2, 4, -1);
    assertThat(pieces()).containsExactly("0+3 at 0", "0+3 at 16", "3+2 at 16");
    assertThat(rows.factors(1)).isSameAs(slots.part(1, TWO_PARTS, 1));
    assertThat(rows.factors(2)).isSameAs(slots.part(2, TWO_PARTS, 1));
  }

  @Test
  void find_moreRowsThanAPieceHas_makesFurtherPieces() {
    load(0, factors(OTHER, 0));
    find(OTHER, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    assertThat(pieces()).containsExactly("0+4 at 0", "4+4 at 0", "8+1 at 0");
  }

  @Test
  void find_partOfABatch_countsRowsFromItsFirst() {
    load(0, factors(OTHER, 0));
    load(3, factors(OTHER, 0));
    AttentionBatch batch = batch(3, 0, NONE, 0, 3);
    batch.select(1, 4);
    rows.find(new LoraTarget(slots, OTHER), batch);
    assertThat(Arrays.copyOf(rows.rows(), rows.count())).containsExactly(0, 2, 3);
    assertThat(pieces()).containsExactly("0+2 at 0", "2+1 at 0");
  }

  @Test
  void find_adapterThatLeavesTheProductAlone_hasNoPlace() {
    load(0, factors(OTHER, 0));
    find(TWO_PARTS, 0, 0, 2);
    assertThat(rows.count()).isZero();
    assertThat(rows.pieces()).isZero();
    assertThat(Arrays.copyOf(rows.places(), 3)).containsExactly(-1, -1, -1);
  }

  private void find(int product, int... adapters) {
    rows.find(new LoraTarget(slots, product), batch(adapters));
  }

  private static AttentionBatch batch(int... adapters) {
    AttentionBatch batch = new AttentionBatch(adapters.length, adapters.length);
    for (int i = 0; i < adapters.length; i++) {
      batch.add(p -> 0, 0, 1, new int[] {i}, adapters[i]);
    }
    return batch;
  }

  private List<String> pieces() {
    List<String> pieces = new ArrayList<>();
    for (int i = 0; i < rows.pieces(); i++) {
      pieces.add(rows.firstPlace(i) + "+" + rows.placeCount(i) + " at " + rows.firstColumn(i));
    }
    return pieces;
  }

  private void load(int slot, LoraFactors... factors) {
    CpuLoraImage image = slots.image();
    image.fill(List.of(factors));
    slots.load(slot, image);
  }

  private LoraFactors factors(int product, int part) {
    int outputs = slots.shape().products().get(product).partRows().get(part);
    return new LoraFactors(product, part, stored(2, 8), stored(outputs, 2), 1);
  }

  private StoredTensor stored(int rowCount, int columns) {
    long[] shape = {rowCount, columns};
    return new StoredTensor("m", DType.F32, shape, arena.allocate(4L * rowCount * columns, 8));
  }
}
