package io.verdier.cache.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class PrefixIndexTest {

  @Test
  void add_sameContentsTwice_keepsFirst() {
    PrefixIndex index = new PrefixIndex(4);
    index.add(name(7), 2);
    index.add(name(7), 3);

    assertThat(index.find(name(7))).isEqualTo(2);
    assertThat(index.contains(3)).isFalse();
    assertThat(index.size()).isEqualTo(1);
  }

  @Test
  void add_blockTwice_throws() {
    PrefixIndex index = new PrefixIndex(4);
    index.add(name(7), 2);

    assertThatThrownBy(() -> index.add(name(8), 2)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void find_namesThatDifferInOneWord_areDifferent() {
    PrefixIndex index = new PrefixIndex(4);
    index.add(new BlockHash(1, 2, 3, 4), 0);

    assertThat(index.find(new BlockHash(0, 2, 3, 4))).isEqualTo(-1);
    assertThat(index.find(new BlockHash(1, 0, 3, 4))).isEqualTo(-1);
    assertThat(index.find(new BlockHash(1, 2, 0, 4))).isEqualTo(-1);
    assertThat(index.find(new BlockHash(1, 2, 3, 0))).isEqualTo(-1);
  }

  /** Names with few distinct homes, so that runs of neighbours form, wrap round and close. */
  @Test
  void index_randomOperationsWithClashes_matchesHashMap() {
    Seeds.each(
        500,
        seed -> {
          SplittableRandom random = new SplittableRandom(seed);
          int blocks = random.nextInt(1, 24);
          PrefixIndex index = new PrefixIndex(blocks);
          Map<BlockHash, Integer> model = new HashMap<>();
          for (int step = 0; step < 300; step++) {
            int block = random.nextInt(blocks);
            BlockHash name = name(random.nextInt(40));
            if (random.nextBoolean()) {
              index.remove(block);
              model.values().remove(block);
            } else if (!model.containsValue(block)) {
              index.add(name, block);
              model.putIfAbsent(name, block);
            }
            assertThat(index.contains(block)).isEqualTo(model.containsValue(block));
            assertThat(index.size()).as("step %d", step).isEqualTo(model.size());
            for (int i = 0; i < 40; i++) {
              assertThat(index.find(name(i)))
                  .as("step %d, name %d", step, i)
                  .isEqualTo(model.getOrDefault(name(i), -1));
            }
          }
        });
  }

  private static BlockHash name(int i) {
    return new BlockHash(i, i % 5 - 2, 0, 0);
  }
}
