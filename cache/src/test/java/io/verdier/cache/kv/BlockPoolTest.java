package io.verdier.cache.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.kv.BlockPool.Reuse;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class BlockPoolTest {

  @Test
  void take_newPool_givesEveryBlockOnce() {
    BlockPool pool = new BlockPool(3);

    assertThat(List.of(pool.take(), pool.take(), pool.take())).containsExactly(0, 1, 2);
    assertThat(pool.freeCount()).isZero();
    assertThatThrownBy(pool::take)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("all 3 blocks are held");
  }

  @Test
  void take_worthlessAndCached_takesWorthlessFirst() {
    BlockPool pool = new BlockPool(3);
    for (int i = 0; i < 3; i++) {
      pool.take();
    }
    pool.release(0, Reuse.LATEST);
    pool.release(1, Reuse.SOONEST);
    pool.release(2, Reuse.LATEST);

    assertThat(List.of(pool.take(), pool.take(), pool.take())).containsExactly(1, 0, 2);
  }

  @Test
  void retain_freeBlockInMiddle_leavesLine() {
    BlockPool pool = new BlockPool(3);

    pool.retain(1);
    pool.retain(1);

    assertThat(pool.holders(1)).isEqualTo(2);
    assertThat(List.of(pool.take(), pool.take())).containsExactly(0, 2);
  }

  @Test
  void release_heldByNobody_throws() {
    BlockPool pool = new BlockPool(2);

    assertThatThrownBy(() -> pool.release(1, Reuse.LATEST))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("block 1 is given up but nobody holds it");
    assertThatThrownBy(() -> new BlockPool(0)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void pool_randomOperations_matchesSimpleModel() {
    Seeds.each(
        500,
        seed -> {
          SplittableRandom random = new SplittableRandom(seed);
          int count = random.nextInt(1, 20);
          BlockPool pool = new BlockPool(count);
          Deque<Integer> line = new ArrayDeque<>();
          List<Integer> held = new ArrayList<>(); // once per holder
          for (int block = 0; block < count; block++) {
            line.add(block);
          }
          for (int step = 0; step < 200; step++) {
            int choice = random.nextInt(3);
            if (choice == 0 && !line.isEmpty()) {
              held.add(line.removeFirst());
              assertThat(pool.take()).as("step %d", step).isEqualTo(held.getLast());
            } else if (choice == 1) {
              int block = random.nextInt(count);
              line.remove(block);
              held.add(block);
              pool.retain(block);
            } else if (!held.isEmpty()) {
              int block = held.get(random.nextInt(held.size()));
              held.remove(Integer.valueOf(block));
              Reuse reuse = random.nextBoolean() ? Reuse.SOONEST : Reuse.LATEST;
              pool.release(block, reuse);
              if (!held.contains(block)) {
                if (reuse == Reuse.SOONEST) {
                  line.addFirst(block);
                } else {
                  line.addLast(block);
                }
              }
            }
            assertThat(pool.freeCount()).as("step %d", step).isEqualTo(line.size());
            assertThat(pool.usedCount()).as("step %d", step).isEqualTo(count - line.size());
          }
        });
  }
}
