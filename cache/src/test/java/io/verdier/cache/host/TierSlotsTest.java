package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.BlockHash;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class TierSlotsTest {

  @Test
  void reserve_full_evictsLeastRecentlyUsed() {
    TierSlots tier = filled(3);
    tier.touch(tier.find(name(0)));

    int slot = tier.reserve(name(9));

    assertThat(tier.find(name(1))).isEqualTo(TierSlots.NONE);
    assertThat(tier.find(name(0))).isNotEqualTo(TierSlots.NONE);
    assertThat(tier.find(name(9))).as("not whole yet").isEqualTo(TierSlots.NONE);
    assertThat(tier.contains(name(9))).isTrue();
    tier.fill(slot);
    assertThat(tier.find(name(9))).isEqualTo(slot);
    assertThat(tier.evictions()).isEqualTo(1);
  }

  @Test
  void reserve_allPinned_givesNone() {
    TierSlots tier = filled(2);
    tier.pin(0);
    tier.pin(1);

    assertThat(tier.reserve(name(9))).isEqualTo(TierSlots.NONE);
    tier.unpin(0);
    assertThat(tier.reserve(name(9))).isZero();
  }

  @Test
  void forget_whileBeingFilled_isNeverFound() {
    TierSlots tier = filled(2);
    int slot = tier.reserve(name(9));
    tier.forget(name(9));

    assertThat(tier.fill(slot)).isFalse();
    assertThat(tier.find(name(9))).isEqualTo(TierSlots.NONE);
    assertThat(tier.reserve(name(10))).as("is taken before all others").isEqualTo(slot);
  }

  @Test
  void find_namesThatDifferInOneWord_areDifferent() {
    TierSlots tier = new TierSlots(4);
    tier.fill(tier.reserve(new BlockHash(1, 2, 3, 4)));

    assertThat(tier.find(new BlockHash(1, 2, 3, 4))).isZero();
    assertThat(tier.find(new BlockHash(1, 2, 3, 5))).isEqualTo(TierSlots.NONE);
    assertThat(tier.find(new BlockHash(1, 2, 0, 4))).isEqualTo(TierSlots.NONE);
    assertThat(tier.find(new BlockHash(1, 0, 3, 4))).isEqualTo(TierSlots.NONE);
    assertThat(tier.find(new BlockHash(0, 2, 3, 4))).isEqualTo(TierSlots.NONE);
  }

  /** Against a list in order of use. */
  @Test
  void slots_randomOperations_matchSimpleModel() {
    for (long seed = 1; seed <= 300; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int count = random.nextInt(1, 10);
      TierSlots tier = new TierSlots(count);
      LinkedHashSet<BlockHash> order = new LinkedHashSet<>(); // unpinned, least recently used first
      Map<BlockHash, Integer> pinned = new HashMap<>();
      for (int step = 0; step < 200; step++) {
        BlockHash name = name(random.nextInt(16));
        int slot = tier.find(name);
        boolean known = order.contains(name) || pinned.containsKey(name);
        assertThat(slot != TierSlots.NONE).as("seed %d step %d", seed, step).isEqualTo(known);
        if (!known) {
          int taken = tier.reserve(name);
          assertThat(taken == TierSlots.NONE).isEqualTo(pinned.size() == count);
          if (taken != TierSlots.NONE) {
            if (order.size() + pinned.size() == count) {
              order.removeFirst();
            }
            tier.fill(taken);
            order.addLast(name);
          }
        } else if (random.nextInt(4) == 0 && pinned.containsKey(name)) {
          tier.unpin(slot);
          pinned.remove(name);
          order.addLast(name);
        } else if (random.nextInt(4) == 0 && !pinned.containsKey(name)) {
          tier.pin(slot);
          pinned.put(name, slot);
          order.remove(name);
        } else if (random.nextInt(6) == 0 && !pinned.containsKey(name)) {
          tier.forget(name);
          order.remove(name);
        } else if (!pinned.containsKey(name)) {
          tier.touch(slot);
          order.remove(name);
          order.addLast(name);
        }
      }
    }
  }

  @Test
  void restore_byAge_evictsTheOldestFirst() {
    TierSlots tier = new TierSlots(3);
    List<Integer> slots = new ArrayList<>(List.of(2, 0, 1));
    for (int i = 0; i < slots.size(); i++) {
      tier.restore(slots.get(i), name(i));
    }
    tier.restore(1, name(7)); // taken

    assertThat(tier.find(name(1))).isZero();
    assertThat(tier.find(name(7))).isEqualTo(TierSlots.NONE);
    assertThat(tier.reserve(name(9))).isEqualTo(2);
  }

  private static TierSlots filled(int count) {
    TierSlots tier = new TierSlots(count);
    for (int i = 0; i < count; i++) {
      tier.fill(tier.reserve(name(i)));
    }
    return tier;
  }

  static BlockHash name(int number) {
    return new BlockHash(number, 31L * number, 7, -number);
  }
}
