package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.host.DiskWork.Kind;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.cache.kv.KvCacheManager.Prefix;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Books of all tiers, with a device of 6 blocks of 4 tokens. */
class PrefixTiersTest {
  private static final int[] TOKENS = IntStream.range(100, 140).toArray();

  private final KvCacheManager kv = new KvCacheManager(6, 4);
  private final TierSlots host = new TierSlots(8);
  private final TierSlots diskSlots = new TierSlots(16);
  private final PrefixTiers tiers =
      new PrefixTiers(kv, host, new DiskBooks(diskSlots, 3), null, new PrefixTiers.Settings(10, 2));

  @Test
  void offer_completeBlocks_areSavedFewAtATime() {
    BlockTable table = computed("", "", 16);
    tiers.offer(table, TOKENS, 16);

    List<BlockCopy> first = tiers.takeSaves();
    List<BlockCopy> second = tiers.takeSaves();

    assertThat(first).hasSize(2);
    assertThat(second).hasSize(2);
    assertThat(first.getFirst().block()).isEqualTo(table.block(0));
    assertThat(tiers.takeSaves()).isEmpty();
    assertThat(tiers.wantsCopies()).isFalse();
    tiers.onSaved(first, true);
    tiers.onSaved(second, false);
    assertThat(load(table, 0, 4)).isEqualTo(2);
    assertThat(tiers.hostCounts().blocksIn()).isEqualTo(2);
    assertThat(tiers.hostCounts().dropped()).isEqualTo(2);
  }

  @Test
  void offer_shortSequence_isNotSaved() {
    BlockTable table = computed("", "", 8);
    tiers.offer(table, TOKENS, 9);
    assertThat(tiers.wantsCopies()).isFalse();

    tiers.offer(table, TOKENS, 10); // it has grown
    assertThat(tiers.takeSaves()).hasSize(2);
  }

  @Test
  void onReuse_blockThatIsStillToSave_isUrgent() {
    BlockTable table = computed("", "", 16);
    tiers.offer(table, TOKENS, 16);
    int last = table.block(3);
    kv.release(table);
    BlockTable other = kv.open("other", "");
    kv.admit(other, TOKENS, 12, 12, Prefix.READ); // two were free, one was the last of the line

    List<BlockCopy> urgent = tiers.takeUrgent();

    assertThat(urgent).extracting(BlockCopy::block).containsExactly(last);
    assertThat(tiers.takeUrgent()).isEmpty();
    assertThat(tiers.takeSaves()).hasSize(2).noneMatch(copy -> copy.block() == last);
  }

  @Test
  void load_otherSaltOrAdapter_findsNothing() {
    save(computed("salt", "adapter", 16), 16);

    assertThat(load(kv.open("salt", "adapter"), 0, 4)).isEqualTo(4);
    assertThat(load(kv.open("", "adapter"), 0, 4)).isZero();
    assertThat(load(kv.open("salt", ""), 0, 4)).isZero();
    assertThat(load(kv.open("adapter", "salt"), 0, 4)).isZero();
    assertThat(load(kv.open("saltadapter", ""), 0, 4)).isZero();
  }

  @Test
  void load_underWay_keepsItsSlots() {
    save(computed("", "", 16), 16);
    writeAll(true);
    HostLoad load = tiers.load(kv.open("", ""), TOKENS, 0, 4);

    for (int i = 0; i < 8; i++) { // others come: half of the host is pinned
      int slot = host.reserve(TierSlotsTest.name(i));
      if (slot != TierSlots.NONE) {
        host.fill(slot);
      }
    }
    assertThat(load).isNotNull();
    assertThat(tiers.hostPins()).isEqualTo(4);
    assertThat(load(kv.open("", ""), 0, 4)).isEqualTo(4);
    tiers.cut(load);
    assertThat(tiers.hostPins()).isZero();
  }

  @Test
  void discard_failedSequence_isForgottenEverywhere() {
    BlockTable table = computed("", "", 16);
    save(table, 16);
    writeAll(true);
    assertThat(diskSlots.used()).isPositive();

    kv.discard(table);

    assertThat(load(kv.open("", ""), 0, 4)).isZero();
    assertThat(tiers.takeDiskWork()).isNotEmpty().allMatch(work -> work.kind() == Kind.ERASE);
    assertThat(diskSlots.used()).isZero();
  }

  @Test
  void forget_allTiers_leavesNothingForTheNextStartEither() {
    BlockTable table = computed("", "", 16);
    save(table, 16);
    writeAll(true);

    tiers.forget();

    List<DiskWork> erased = tiers.takeDiskWork();
    assertThat(load(kv.open("", ""), 0, 4)).isZero();
    assertThat(erased).hasSize(3).allMatch(work -> work.kind() == Kind.ERASE);
    erased.forEach(it -> tiers.onDiskDone(new DiskDone(it.id(), true)));
    assertThat(tiers.hostPins()).isZero();
    assertThat(tiers.hostCounts().slotsUsed()).isZero();
  }

  @Test
  void onDeviceForgotten_copiesThatAreStillToMake_areNotMade() {
    BlockTable table = computed("", "", 16);
    tiers.offer(table, TOKENS, 16);
    kv.release(table);
    BlockTable other = kv.open("other", "");
    kv.admit(other, TOKENS, 12, 12, Prefix.READ); // one block's copy is urgent now
    kv.release(other);
    assertThat(kv.forget()).isTrue();

    tiers.onDeviceForgotten();

    assertThat(tiers.wantsCopies()).isFalse();
    assertThat(tiers.takeUrgent()).isEmpty();
    assertThat(tiers.takeSaves()).isEmpty();
    assertThat(tiers.hostPins()).isZero();
    assertThat(load(kv.open("", ""), 0, 4)).isZero();
  }

  @Test
  void write_slowDisk_isDroppedBeyondItsBound() {
    save(computed("", "", 16), 16);

    List<DiskWork> work = tiers.takeDiskWork();

    assertThat(work).hasSize(3).allMatch(it -> it.kind() == Kind.WRITE);
    assertThat(tiers.diskCounts().dropped()).isEqualTo(1);
    assertThat(tiers.hostPins()).isEqualTo(3);
    work.forEach(it -> tiers.onDiskDone(new DiskDone(it.id(), true)));
    assertThat(tiers.hostPins()).isZero();
    assertThat(tiers.diskCounts().blocksIn()).isEqualTo(3);
  }

  @Test
  void fetch_hostHasLostThem_bringsThemOnceForTwo() {
    BlockTable table = computed("", "", 12);
    save(table, 12);
    writeAll(true);
    kv.release(table);
    loseDeviceAndHost();

    BlockTable again = kv.open("", "");
    Fetch one = tiers.fetch(again, TOKENS, 3);
    Fetch two = tiers.fetch(kv.open("", ""), TOKENS, 3);
    Fetch other = tiers.fetch(kv.open("other", ""), TOKENS, 3);
    List<DiskWork> reads = tiers.takeDiskWork();

    assertThat(other).as("another tenant's").isNull();
    assertThat(one).isNotNull();
    assertThat(two).isNotNull();
    assertThat(reads).hasSize(3).allMatch(it -> it.kind() == Kind.READ);
    tiers.onDiskDone(new DiskDone(reads.get(0).id(), true));
    assertThat(one.isOver()).isFalse();
    tiers.onDiskDone(new DiskDone(reads.get(1).id(), true));
    tiers.onDiskDone(new DiskDone(reads.get(2).id(), false)); // broken
    assertThat(one.isOver()).isTrue();
    assertThat(two.isOver()).isTrue();
    assertThat(load(again, 0, 3)).as("what came whole").isEqualTo(2);
    assertThat(tiers.fetch(kv.open("", ""), TOKENS, 3)).as("is not tried again").isNull();
    assertThat(tiers.hostPins()).isZero();
  }

  /** A read notes the block's last use on the disk: what is erased before would be there again. */
  @Test
  void forget_blocksBeingRead_areErasedAfterwards() {
    BlockTable table = computed("", "", 12);
    save(table, 12);
    writeAll(true);
    kv.release(table);
    loseDeviceAndHost();
    Fetch fetch = Objects.requireNonNull(tiers.fetch(kv.open("", ""), TOKENS, 2));
    List<DiskWork> reads = tiers.takeDiskWork();

    tiers.forget();

    assertThat(reads).hasSize(2).allMatch(it -> it.kind() == Kind.READ);
    List<DiskWork> erased = new ArrayList<>(tiers.takeDiskWork());
    assertThat(erased).as("what nobody reads, at once").hasSize(1);
    for (DiskWork read : reads) {
      tiers.onDiskDone(new DiskDone(read.id(), true));
      List<DiskWork> next = tiers.takeDiskWork();
      assertThat(next).extracting(DiskWork::diskSlot).containsExactly(read.diskSlot());
      erased.addAll(next);
    }
    assertThat(erased).hasSize(3).allMatch(it -> it.kind() == Kind.ERASE);
    assertThat(fetch.isOver()).isTrue();
    assertThat(load(kv.open("", ""), 0, 2)).isZero();
    erased.forEach(it -> tiers.onDiskDone(new DiskDone(it.id(), true)));
    assertThat(tiers.hostPins()).isZero();
  }

  @Test
  void onDiskDone_unknown_throws() {
    assertThatThrownBy(() -> tiers.onDiskDone(new DiskDone(7, true)))
        .isInstanceOf(IllegalStateException.class);
  }

  private BlockTable computed(String salt, String adapter, int tokens) {
    BlockTable table = kv.open(salt, adapter);
    assertThat(kv.admit(table, TOKENS, tokens, tokens, Prefix.SKIP)).isZero();
    kv.commit(table, TOKENS, tokens);
    return table;
  }

  private void save(BlockTable table, int known) {
    tiers.offer(table, TOKENS, known);
    while (tiers.wantsCopies()) {
      tiers.onSaved(tiers.takeSaves(), true);
    }
  }

  private void writeAll(boolean good) {
    tiers.takeDiskWork().forEach(it -> tiers.onDiskDone(new DiskDone(it.id(), good)));
  }

  private void loseDeviceAndHost() {
    BlockTable filler = kv.open("filler", "");
    assertThat(kv.admit(filler, TOKENS, 24, 24, Prefix.SKIP)).isZero();
    kv.release(filler);
    for (int i = 0; i < 8; i++) {
      host.fill(host.reserve(TierSlotsTest.name(i)));
    }
  }

  /** How many blocks a load would bring; it is given up. */
  private int load(BlockTable table, int from, int blocks) {
    @Nullable HostLoad load = tiers.load(table, TOKENS, from, blocks);
    if (load == null) {
      return 0;
    }
    int missing = load.missing();
    tiers.cut(load);
    return missing;
  }
}
