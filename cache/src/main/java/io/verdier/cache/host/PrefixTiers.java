package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.BlockWatcher;
import io.verdier.cache.kv.KvCacheManager;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What moves between the device, the host's memory and the disk. Owned by the scheduler thread.
 *
 * <p><b>Idea.</b> A block is saved when it is complete, not when it must go: the step that needs
 * its place then waits for nothing, a sequence that is preempted finds its blocks again, and the
 * disk gets the prefixes that are in use all the time, which would never leave the device. A saved
 * block lies in both places; so the host is of use where it is larger than the device's cache, as
 * it is in practice.
 *
 * <p><b>Saving.</b> Complete blocks queue up, and every plan takes some of them along, to be copied
 * beside its step. Nobody need hold them meanwhile: who takes a queued block for something else
 * ({@link #onReuse}) makes its copy <i>urgent</i>, and an urgent copy is made before the plan's
 * steps, which are all that could write the block. So nothing that was to be saved is lost, and
 * copies cost a step its time only where blocks are taken faster than they are saved.
 *
 * <p><b>Loading.</b> A sequence that is admitted gets blocks for all its tokens. Those that the
 * host has are copied in, a bounded number with each plan, while others run; until the last is
 * there the sequence has nothing to compute. Pins keep the slots from being given to others.
 *
 * <p><b>Names.</b> In every tier contents are found by their whole name, 256 bits over all tokens
 * from the first, the adapter's contents and the salt, and never by a part of it. Tenants with
 * different salts share nothing, whatever the tier.
 */
public final class PrefixTiers implements BlockWatcher {
  private final KvCacheManager kv;
  private final TierSlots host;
  private final @Nullable DiskBooks disk;
  private final @Nullable RemoteBooks remote;
  private final int minTokens;
  private final int copiesMax;
  private final Deque<Integer> queue = new ArrayDeque<>(); // blocks; those not in `queued` are old
  private final BitSet queued = new BitSet();
  private final Map<Integer, BlockHash> firsts = new HashMap<>(); // of queued blocks' prefixes
  private final Map<Integer, BlockHash> slotFirsts = new HashMap<>(); // of slots being filled
  private List<BlockCopy> urgent = new ArrayList<>();
  private long queriedTokens;
  private long hitTokens;
  private long saved;
  private long loaded;
  private long dropped;
  private int loading;

  /**
   * How much is moved. Immutable.
   *
   * @param minTokens length from which on a sequence's blocks are saved
   * @param copiesMax blocks that a plan copies in each direction, besides urgent ones
   */
  public record Settings(int minTokens, int copiesMax) {}

  /**
   * @param disk null: there is none
   * @param remote cache nodes of the cluster; null: there is no cluster
   */
  public PrefixTiers(
      KvCacheManager kv,
      TierSlots host,
      @Nullable DiskBooks disk,
      @Nullable RemoteBooks remote,
      Settings settings) {
    this.kv = kv;
    this.host = host;
    this.disk = disk;
    this.remote = remote;
    this.minTokens = settings.minTokens;
    this.copiesMax = Math.max(1, settings.copiesMax);
    kv.watch(this);
  }

  // ---- From the device -----------------------------------------------------------------------

  /**
   * Queues the complete blocks of a sequence that are not saved.
   *
   * @param known tokens of the sequence
   */
  public void offer(BlockTable table, int[] tokens, int known) {
    if (known < minTokens) {
      return;
    }
    for (int i = table.offered(); i < table.committed(); i++) {
      offer(kv.name(table, i, tokens), kv.name(table, 0, tokens));
    }
    table.offered(table.committed());
  }

  private void offer(BlockHash name, BlockHash first) {
    int slot = host.find(name);
    if (slot != TierSlots.NONE) {
      host.touch(slot);
      return;
    }
    int block = kv.find(name);
    if (block >= 0 && !host.contains(name) && !queued.get(block)) {
      queued.set(block);
      queue.add(block);
      if (remote != null) {
        firsts.put(block, first);
      }
    }
  }

  @Override
  public void onReuse(int block, BlockHash name) {
    if (queued.get(block)) {
      queued.clear(block);
      save(block, name, urgent);
    }
  }

  @Override
  public void onSpoiled(int block, BlockHash name) {
    queued.clear(block);
    firsts.remove(block);
    host.forget(name);
    if (disk != null) {
      disk.forget(name);
    }
    if (remote != null) {
      remote.forget(name);
    }
  }

  /** What the device holds is given up: what was still to be saved of it is not. */
  public void onDeviceForgotten() {
    queue.clear();
    queued.clear();
    firsts.clear();
    for (BlockCopy copy : urgent) {
      host.abandon(copy.slot());
      slotFirsts.remove(copy.slot());
    }
    dropped += urgent.size();
    urgent = new ArrayList<>();
  }

  /** Nothing that the tiers hold now is found again. */
  public void forget() {
    host.forgetAll();
    if (disk != null) {
      disk.forgetAll();
    }
    if (remote != null) {
      remote.forgetAll();
    }
  }

  private void save(int block, BlockHash name, List<BlockCopy> copies) {
    BlockHash first = firsts.remove(block);
    int slot = host.contains(name) ? TierSlots.NONE : host.reserve(name);
    if (slot == TierSlots.NONE) {
      dropped++;
      return;
    }
    copies.add(new BlockCopy(block, slot));
    if (first != null) {
      slotFirsts.put(slot, first);
    }
  }

  /** Whether copies from the device are to be made. */
  public boolean wantsCopies() {
    return !urgent.isEmpty() || !queued.isEmpty();
  }

  /** Copies that must be made before the next step. */
  public List<BlockCopy> takeUrgent() {
    if (urgent.isEmpty()) {
      return List.of();
    }
    List<BlockCopy> taken = List.copyOf(urgent);
    urgent = new ArrayList<>();
    return taken;
  }

  /** Copies that may be made beside the next step. */
  public List<BlockCopy> takeSaves() {
    if (queued.isEmpty()) {
      queue.clear();
      return List.of();
    }
    List<BlockCopy> taken = new ArrayList<>();
    while (taken.size() < copiesMax && !queue.isEmpty()) {
      int block = queue.remove();
      BlockHash name = queued.get(block) ? kv.name(block) : null;
      queued.clear(block); // also if its contents have been forgotten meanwhile
      if (name == null) {
        firsts.remove(block);
      } else {
        save(block, name, taken);
      }
    }
    return List.copyOf(taken);
  }

  /**
   * Copies from the device are done with.
   *
   * @param made whether they have been made
   */
  public void onSaved(List<BlockCopy> copies, boolean made) {
    for (BlockCopy copy : copies) {
      int slot = copy.slot();
      BlockHash name = host.name(slot);
      BlockHash first = slotFirsts.remove(slot);
      if (!made) {
        dropped++;
        host.abandon(slot);
      } else if (host.fill(slot) && name != null) {
        saved++;
        if (disk != null) {
          disk.offer(name, host, slot);
        }
        if (remote != null && first != null) {
          remote.offer(name, first, host, slot);
        }
      }
    }
  }

  // ---- To the device -------------------------------------------------------------------------

  /**
   * Looks in the host for the blocks behind those that the device has.
   *
   * @param from blocks that the device has
   * @param blocks leading full blocks that may be of use
   * @return null if it has none
   */
  public @Nullable HostLoad load(BlockTable table, int[] tokens, int from, int blocks) {
    int[] slots = new int[Math.max(0, blocks - from)];
    int hits = 0;
    while (hits < slots.length) {
      int slot = host.find(kv.name(table, from + hits, tokens));
      if (slot == TierSlots.NONE) {
        break;
      }
      host.pin(slot);
      slots[hits++] = slot;
    }
    queriedTokens += (long) slots.length * kv.blockTokens();
    hitTokens += (long) hits * kv.blockTokens();
    if (hits == 0) {
      return null;
    }
    loading++;
    return new HostLoad(Arrays.copyOf(slots, hits));
  }

  /** How many blocks a plan may copy in. */
  public int copiesMax() {
    return copiesMax;
  }

  /**
   * Copies of a load are done with.
   *
   * @param made whether they have been made; if not, no more are planned
   */
  public void onLoaded(HostLoad load, int copies, boolean made) {
    for (int slot : load.settle(copies, made)) {
      host.unpin(slot);
    }
    loaded += made ? copies : 0;
    if (!made) {
      unpinRest(load);
    }
    loading -= load.isOver() ? 1 : 0;
  }

  /** A load's sequence ends, or starts anew: what is not under way is not copied. */
  public void cut(HostLoad load) {
    if (!load.isOver()) {
      unpinRest(load);
      loading -= load.isOver() ? 1 : 0;
    }
  }

  private void unpinRest(HostLoad load) {
    for (int slot : load.cut()) {
      host.unpin(slot);
    }
  }

  // ---- The disk, and cache nodes -------------------------------------------------------------

  /**
   * Begins to bring blocks from the disk to the host, and those behind them from a cache node.
   *
   * @param blocks leading full blocks that may be of use
   * @return null if there is nothing to wait for
   */
  public @Nullable Fetch fetch(BlockTable table, int[] tokens, int blocks) {
    Fetch fetch = disk == null ? new Fetch() : disk.fetch(table, tokens, blocks, kv, host);
    if (remote != null) {
      fetch = new Fetch(fetch, remote.fetch(table, tokens, blocks, kv, host));
    }
    return fetch.isOver() ? null : fetch;
  }

  /** Work for the disk since the last call. */
  public List<DiskWork> takeDiskWork() {
    return disk == null ? List.of() : disk.takeNews();
  }

  /** The disk has done something. */
  public void onDiskDone(DiskDone done) {
    if (disk == null) {
      throw new IllegalStateException("there is no disk tier");
    }
    disk.onDone(done, host);
  }

  /** Work for the cache nodes since the last call. */
  public List<RemoteWork> takeRemoteWork() {
    return remote == null ? List.of() : remote.takeNews();
  }

  /** A cache node has done something, or will not, or one has come or gone. */
  public void onRemoteDone(RemoteDone done) {
    if (remote == null) {
      throw new IllegalStateException("there is no remote tier");
    }
    remote.onDone(done, kv, host);
  }

  // ---- Counts --------------------------------------------------------------------------------

  public TierCounts hostCounts() {
    return new TierCounts(
        queriedTokens,
        hitTokens,
        saved,
        loaded,
        host.evictions(),
        dropped,
        loading,
        host.used(),
        host.count());
  }

  public TierCounts diskCounts() {
    return disk == null ? TierCounts.NONE : disk.counts();
  }

  public TierCounts remoteCounts() {
    return remote == null ? TierCounts.NONE : remote.counts();
  }

  /** Pins of all host slots: for audits. */
  public int hostPins() {
    int pins = 0;
    for (int slot = 0; slot < host.count(); slot++) {
      pins += host.pins(slot);
    }
    return pins;
  }
}
