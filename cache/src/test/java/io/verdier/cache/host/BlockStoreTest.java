package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.kv.BlockHash;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Blocks of one byte's value each. */
class BlockStoreTest {
  private static final BlockHash ONE = new BlockHash(1, 0, 0, 0);
  private static final BlockHash OTHER = new BlockHash(1, 0, 0, 1);

  @Test
  void keep_full_letsTheLeastRecentlyUsedGo() {
    try (BlockStore store = new BlockStore(30)) {
      for (int i = 0; i < 3; i++) {
        assertThat(store.keep(ONE, name(i), block(10, i))).isTrue();
      }
      assertThat(store.touch(ONE, name(0))).isTrue();
      store.keep(ONE, name(3), block(10, 3));

      assertThat(store.find(ONE, name(1))).as("the oldest").isNull();
      assertThat(contents(store, ONE, 0)).isEqualTo(block(10, 0).contents());
      assertThat(contents(store, ONE, 3)).isEqualTo(block(10, 3).contents());
      assertThat(store.evictions()).isEqualTo(1);
      assertThat(store.bytes()).isEqualTo(30);
    }
  }

  @Test
  void find_anotherIdentity_isNotThere() {
    try (BlockStore store = new BlockStore(100)) {
      store.keep(ONE, name(1), block(10, 1));
      store.keep(OTHER, name(2), block(20, 2));

      assertThat(store.find(OTHER, name(1))).isNull();
      assertThat(store.touch(ONE, name(2))).isFalse();
      store.erase(OTHER, name(1));
      assertThat(store.find(ONE, name(1))).isNotNull();
      store.forget(ONE);
      assertThat(store.find(ONE, name(1))).isNull();
      assertThat(contents(store, OTHER, 2)).isEqualTo(block(20, 2).contents());
      assertThat(store.bytes()).isEqualTo(20);
    }
  }

  @Test
  void keep_tooLarge_isRefusedAndNothingGoes() {
    try (BlockStore store = new BlockStore(30)) {
      store.keep(ONE, name(1), block(10, 1));
      assertThat(store.keep(ONE, name(2), block(31, 2))).isFalse();
      assertThat(store.find(ONE, name(1))).isNotNull();
      assertThat(store.keep(ONE, name(2), block(30, 2))).isTrue();
      assertThat(store.blocks()).isEqualTo(1);
    }
  }

  /** Against a map that is trimmed to the same bound. */
  @Test
  void histories_random_matchTheSimpleModel() {
    for (long seed = 0; seed < 300; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      long bytesMax = random.nextLong(1, 200);
      Map<String, Block> model = new LinkedHashMap<>(16, 0.75f, true);
      try (BlockStore store = new BlockStore(bytesMax)) {
        for (int step = 0; step < 200; step++) {
          play(random, store, model, bytesMax);
          long bytes = model.values().stream().mapToLong(it -> it.contents().length).sum();
          assertThat(store.bytes()).as("seed %d step %d", seed, step).isEqualTo(bytes);
          assertThat(store.bytes()).isLessThanOrEqualTo(bytesMax);
          assertThat(store.blocks()).isEqualTo(model.size());
        }
      }
    }
  }

  private static void play(
      SplittableRandom random, BlockStore store, Map<String, Block> model, long bytesMax) {
    BlockHash identity = random.nextBoolean() ? ONE : OTHER;
    int number = random.nextInt(12);
    String key = identity.d() + " " + number;
    switch (random.nextInt(10)) {
      case 0 -> {
        store.erase(identity, name(number));
        model.remove(key);
      }
      case 1 -> {
        if (random.nextInt(5) == 0) {
          store.forget(identity);
          model.keySet().removeIf(it -> it.startsWith(identity.d() + " "));
        }
      }
      case 2, 3, 4 -> {
        Block there = store.find(identity, name(number));
        Block expected = model.get(key);
        assertThat(there == null).isEqualTo(expected == null);
        if (there != null && expected != null) {
          assertThat(there.contents()).isEqualTo(expected.contents());
          assertThat(there.sum()).isEqualTo(expected.sum());
        }
      }
      default -> {
        Block block = block(random.nextInt(1, 60), random.nextInt());
        boolean fits = block.contents().length <= bytesMax;
        assertThat(store.keep(identity, name(number), block)).isEqualTo(fits);
        if (fits) {
          model.remove(key);
          long bytes = model.values().stream().mapToLong(it -> it.contents().length).sum();
          Iterator<Block> oldest = model.values().iterator();
          while (bytes + block.contents().length > bytesMax) {
            bytes -= oldest.next().contents().length;
            oldest.remove();
          }
          model.put(key, block);
        }
      }
    }
  }

  private static byte @Nullable [] contents(BlockStore store, BlockHash identity, int number) {
    return Objects.requireNonNull(store.find(identity, name(number))).contents();
  }

  private static BlockHash name(int number) {
    return new BlockHash(number, number, 7, 7);
  }

  private static Block block(int bytes, int value) {
    byte[] contents = new byte[bytes];
    Arrays.fill(contents, (byte) value);
    return new Block(contents, value);
  }
}
