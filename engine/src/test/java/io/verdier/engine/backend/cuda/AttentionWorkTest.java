package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.AttentionBatch;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** However a batch is divided, every row meets every chunk of its keys exactly once. */
class AttentionWorkTest {
  private static final long SEED = Long.getLong("seed", 5);
  private static final int PROCESSORS = 132;
  private static final int CHUNK = 64;

  @Test
  void plan_randomBatches_coverEveryChunkOnceWithinTheLists() {
    System.out.println("AttentionWorkTest -Dseed=" + SEED);
    Random random = new Random(SEED);
    for (int round = 0; round < 300; round++) {
      int kvHeads = 1 << random.nextInt(4);
      int group = 1 + random.nextInt(16);
      int recordsMax = random.nextBoolean() ? Integer.MAX_VALUE : random.nextInt(100_000);
      AttentionWork work = new AttentionWork(kvHeads * group, kvHeads, 128, PROCESSORS, recordsMax);
      AttentionBatch batch = batch(random);
      work.plan(batch, new int[batch.slices()]);
      checkTiles(batch, work);
      checkItems(batch, work, kvHeads, group);
      assertThat(work.records()).isLessThanOrEqualTo(recordsMax);
      assertThat(work.tiles().count())
          .isLessThanOrEqualTo(work.tilesMax(batch.rows(), batch.slices()));
      assertThat(work.items().count()).isLessThanOrEqualTo(work.itemsMax(batch.slices()));
    }
  }

  private static AttentionBatch batch(Random random) {
    AttentionBatch batch = new AttentionBatch(4096, 64);
    int slices = 1 + random.nextInt(64);
    for (int s = 0; s < slices; s++) {
      int tokens = random.nextInt(4) > 0 ? 1 : 1 + random.nextInt(60);
      batch.add(i -> 0, random.nextInt(1 << (1 + random.nextInt(15))), tokens, new int[0]);
    }
    return batch;
  }

  /** Rows of long slices lie in one tile each, with their positions. */
  private static void checkTiles(AttentionBatch batch, AttentionWork work) {
    BitSet seen = new BitSet();
    int[] ints = work.tiles().ints();
    for (int at = 0; at < work.tiles().count() * 8; at += 8) {
      for (int i = 0; i < ints[at + 2]; i++) {
        int row = ints[at] + i;
        assertThat(seen.get(row)).isFalse();
        assertThat(batch.position(row)).isEqualTo(ints[at + 1] + i);
        seen.set(row);
      }
    }
    for (int row = 0; row < batch.rows(); row++) {
      assertThat(seen.get(row)).isEqualTo(length(batch, row) > work.tokensOfDecodeTile());
    }
  }

  private static int length(AttentionBatch batch, int row) {
    int slice = batch.slice(row);
    return batch.sliceEnd(slice) - batch.sliceStart(slice);
  }

  private static void checkItems(AttentionBatch batch, AttentionWork work, int kvHeads, int group) {
    BitSet[] chunks = new BitSet[batch.rows()];
    BitSet records = new BitSet();
    int[] blocks = new int[batch.rows()]; // of a tile, by its first row
    int[] ints = work.items().ints();
    for (int at = 0; at < work.items().count() * 8; at += 8) {
      int row = ints[at];
      assertThat(batch.position(row)).isEqualTo(ints[at + 1]);
      if (chunks[row] == null) {
        chunks[row] = new BitSet();
      }
      boolean isWhole = ints[at + 6] < 0;
      assertThat(isWhole).isEqualTo(ints[at + 7] == 1);
      blocks[row]++;
      for (int chunk = ints[at + 4]; chunk < ints[at + 4] + ints[at + 5]; chunk++) {
        assertThat(chunks[row].get(chunk)).isFalse();
        chunks[row].set(chunk);
        int tileRows = ints[at + 2] * group;
        for (int i = 0; !isWhole && i < kvHeads * tileRows; i++) {
          int record = ints[at + 6] + (chunk - ints[at + 4]) * kvHeads * tileRows + i;
          assertThat(records.get(record)).isFalse();
          records.set(record);
        }
      }
    }
    assertThat(records.length()).isEqualTo(work.records());
    for (int at = 0; at < work.items().count() * 8; at += 8) {
      assertThat(Math.abs(ints[at + 7])).isEqualTo(blocks[ints[at]]); // or the last would not know
      boolean isApart = ints[at + 7] < 0;
      assertThat(isApart).isEqualTo(ints[at + 7] != 1 && chunks[ints[at]].cardinality() > 32);
      assertThat(work.folds().count() > 0 || !isApart).isTrue();
    }
    for (int s = 0; s < batch.slices(); s++) {
      int row = batch.sliceStart(s);
      if (length(batch, row) <= work.tokensOfDecodeTile()) {
        int last = batch.position(batch.sliceEnd(s) - 1);
        assertThat(chunks[row].nextClearBit(0)).isEqualTo(last / CHUNK + 1);
        assertThat(chunks[row].length()).isEqualTo(last / CHUNK + 1);
      }
    }
  }

  @Test
  void plan_oneLongContext_keepsAllMultiprocessorsBusy() {
    AttentionWork work = new AttentionWork(32, 8, 128, PROCESSORS, Integer.MAX_VALUE);
    AttentionBatch batch = new AttentionBatch(1, 1);
    batch.add(i -> 0, 65_535, 1, new int[0]);
    work.plan(batch, new int[1]);
    assertThat(work.items().count() * 8).isGreaterThan(PROCESSORS * 3);
    assertThat(work.folds().count()).isEqualTo(1);
  }

  @Test
  void plan_shortContext_leavesNothingToFold() {
    AttentionWork work = new AttentionWork(32, 8, 128, PROCESSORS, Integer.MAX_VALUE);
    AttentionBatch batch = new AttentionBatch(1, 1);
    batch.add(i -> 0, 3 * CHUNK - 1, 1, new int[0]);
    work.plan(batch, new int[1]);
    assertThat(work.items().count()).isEqualTo(1);
    assertThat(work.records()).isZero();
    assertThat(work.folds().count()).isZero();
  }

  @Test
  void work_groupLargerThanATile_isRefused() {
    assertThatThrownBy(() -> new AttentionWork(34, 2, 128, PROCESSORS, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("17 query heads");
  }
}
