package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.NativeMatrix.RowOrder;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TileUnitsTest {
  @ParameterizedTest
  @CsvSource({
    "5, 64, 1, 1, 1, 1", "2048, 2048, 1, 1, 1, 2", "128256, 2048, 1, 1, 1, 2",
        "128256, 4096, 1, 1, 1, 64",
    "16384, 2048, 1, 1, 16, 2", "16384, 2048, 512, 16, 16, 2", "992, 64, 40, 2, 16, 7",
        "3072, 8192, 512, 16, 1, 3",
  })
  void plan_anyMatrix_coversEachTileOnceInUnitsThatShrink(
      int rows, int columns, int tokens, int panels, int together, int threads) {
    MemorySegment none = MemorySegment.NULL;
    RowOrder order = together > 1 ? RowOrder.GATED : RowOrder.PLAIN;
    NativeMatrix weight = new NativeMatrix(rows, columns, WeightFormat.INT4, none, none, order);
    try (Arena arena = Arena.ofConfined()) {
      TileUnits units = new TileUnits(arena);
      units.plan(weight, tokens, panels, together, threads);

      assertThat(units.firstTile(0)).isZero();
      assertThat(units.firstTile(units.count())).isEqualTo(weight.tiles());
      int before = Integer.MAX_VALUE;
      for (int unit = 0; unit < units.count(); unit++) {
        int size = units.firstTile(unit + 1) - units.firstTile(unit);
        assertThat(size).isBetween(1, Math.min(before, units.tilesMax()));
        assertThat(units.firstTile(unit) % together).isZero();
        before = size;
      }
    }
  }
}
