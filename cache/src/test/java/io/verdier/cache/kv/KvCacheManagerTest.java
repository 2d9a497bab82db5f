package io.verdier.cache.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.kv.KvCacheManager.Prefix;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class KvCacheManagerTest {
  private static final int[] TOKENS = IntStream.range(100, 140).toArray();

  private final KvCacheManager kv = new KvCacheManager(6, 4);

  @Test
  void admit_emptyCache_takesBlocksForReserve() {
    BlockTable table = kv.open("", "");

    assertThat(kv.admit(table, TOKENS, 8, 9, Prefix.READ)).isZero();
    assertThat(table.copy(0, table.count())).containsExactly(0, 1, 2);
    assertThat(kv.usedCount()).isEqualTo(3);
  }

  @Test
  void admit_tooFewFree_changesNothing() {
    computed("", "", 16);
    BlockTable table = kv.open("", "");

    assertThat(kv.admit(table, TOKENS, 40, 40, Prefix.READ)).isEqualTo(-1);
    assertThat(table.count()).isZero();
    assertThat(kv.usedCount()).isEqualTo(4);
    assertThat(kv.holders(0)).isEqualTo(1);
  }

  @Test
  void admit_committedPrefix_sharesBlocks() {
    BlockTable first = computed("", "", 10);
    BlockTable second = kv.open("", "");

    assertThat(kv.admit(second, TOKENS, 10, 11, Prefix.READ)).isEqualTo(8);
    assertThat(second.copy(0, 2)).isEqualTo(first.copy(0, 2));
    assertThat(second.block(2)).isNotEqualTo(first.block(2));
    assertThat(kv.holders(first.block(0))).isEqualTo(2);
    assertThat(kv.usedCount()).isEqualTo(4);
  }

  @Test
  void admit_fullHit_leavesLastTokenToCompute() {
    kv.release(computed("", "", 8));

    assertThat(kv.admit(kv.open("", ""), TOKENS, 8, 8, Prefix.READ)).isEqualTo(4);
    assertThat(kv.admit(kv.open("", ""), TOKENS, 9, 9, Prefix.READ)).isEqualTo(8);
  }

  @Test
  void admit_notYetCommitted_findsNothing() {
    BlockTable first = kv.open("", "");
    kv.admit(first, TOKENS, 8, 9, Prefix.READ);

    assertThat(kv.admit(kv.open("", ""), TOKENS, 8, 9, Prefix.READ)).isZero();
  }

  @Test
  void admit_otherSaltAdapterOrSkip_findsNothing() {
    kv.release(computed("salt", "adapter", 8));

    assertThat(admitted("salt", "adapter", Prefix.READ)).isEqualTo(8);
    assertThat(admitted("", "adapter", Prefix.READ)).isZero();
    assertThat(admitted("salt", "", Prefix.READ)).isZero();
    assertThat(admitted("adapter", "salt", Prefix.READ)).isZero();
    assertThat(admitted("salt", "adapter", Prefix.SKIP)).isZero();
  }

  @Test
  void admit_hitsAreTheOnlyFreeBlocks_countsThemOnce() {
    kv.release(computed("", "", 16));
    BlockTable other = kv.open("other", "");
    kv.admit(other, TOKENS, 8, 8, Prefix.READ); // the two blocks that are not cached

    assertThat(kv.admit(kv.open("", ""), TOKENS, 17, 17, Prefix.READ)).isEqualTo(-1);
    assertThat(kv.admit(kv.open("", ""), TOKENS, 16, 16, Prefix.READ)).isEqualTo(12);
    assertThat(kv.usedCount()).isEqualTo(6);
  }

  @Test
  void release_cachedSequence_evictsSuffixFirst() {
    kv.release(computed("", "", 24));
    assertThat(kv.cachedCount()).isEqualTo(6);
    BlockTable other = kv.open("other", "");
    kv.admit(other, TOKENS, 8, 8, Prefix.READ);

    assertThat(kv.admit(kv.open("", ""), TOKENS, 24, 16, Prefix.READ)).isEqualTo(16);
  }

  @Test
  void discard_sharedPrefix_dropsOnlyOwnContents() {
    BlockTable first = computed("", "", 4);
    BlockTable second = kv.open("", "");
    kv.admit(second, TOKENS, 12, 13, Prefix.READ);
    kv.commit(second, TOKENS, 12);
    int own = second.block(1);

    kv.discard(second);

    assertThat(kv.isIndexed(first.block(0))).isTrue();
    assertThat(kv.isIndexed(own)).isFalse();
    assertThat(kv.usedCount()).isEqualTo(1);
  }

  @Test
  void reserve_poolExhausted_changesNothing() {
    BlockTable table = kv.open("", "");
    kv.admit(table, TOKENS, 8, 9, Prefix.READ);

    assertThat(kv.reserve(table, 12)).isTrue();
    assertThat(table.count()).isEqualTo(3);
    assertThat(kv.reserve(table, 25)).isFalse();
    assertThat(table.count()).isEqualTo(3);
    assertThat(kv.reserve(table, 24)).isTrue();
  }

  @Test
  void admit_tableWithBlocks_throws() {
    BlockTable table = computed("", "", 4);

    assertThatThrownBy(() -> kv.admit(table, TOKENS, 4, 4, Prefix.READ))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> new KvCacheManager(1, 0)).isInstanceOf(IllegalArgumentException.class);
  }

  private BlockTable computed(String salt, String adapter, int tokens) {
    BlockTable table = kv.open(salt, adapter);
    kv.admit(table, TOKENS, tokens, tokens, Prefix.READ);
    kv.commit(table, TOKENS, tokens);
    return table;
  }

  /** Admits ten tokens and gives them up again: how many were found? */
  private int admitted(String salt, String adapter, Prefix prefix) {
    BlockTable table = kv.open(salt, adapter);
    int cached = kv.admit(table, TOKENS, 10, 10, prefix);
    kv.release(table);
    return cached;
  }
}
