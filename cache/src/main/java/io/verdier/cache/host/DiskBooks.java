package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What lies on the disk, and what is being read and written there. Owned by the scheduler thread.
 *
 * <p>All that comes from the disk goes through slots of host memory, and all that goes there comes
 * from them. The disk may be slow: a write is only begun while few are under way, else the block is
 * simply not kept there.
 */
public final class DiskBooks {
  private final TierSlots disk;
  private final int writesMax;
  private final Map<Long, DiskWork> underWay = new HashMap<>();
  private final Map<BlockHash, List<Fetch>> reads = new HashMap<>(); // under way, and who waits
  private final List<Fetch> fetches = new ArrayList<>(); // that are not over
  private List<DiskWork> news = new ArrayList<>();
  private int writes; // under way
  private long ids;
  private long queriedTokens;
  private long hitTokens;
  private long written;
  private long read;
  private long dropped;

  /**
   * @param disk what was found there
   * @param writesMax most writes under way
   */
  public DiskBooks(TierSlots disk, int writesMax) {
    this.disk = disk;
    this.writesMax = writesMax;
  }

  /** What is to be done since the last call. */
  List<DiskWork> takeNews() {
    if (news.isEmpty()) {
      return List.of();
    }
    List<DiskWork> taken = List.copyOf(news);
    news = new ArrayList<>();
    return taken;
  }

  /** Writes the whole contents of a host slot, unless they are there or there is no time. */
  void offer(BlockHash name, TierSlots host, int hostSlot) {
    if (disk.contains(name)) {
      int slot = disk.find(name);
      if (slot != TierSlots.NONE) {
        disk.touch(slot);
      }
      return;
    }
    int slot = writes < writesMax ? disk.reserve(name) : TierSlots.NONE;
    if (slot == TierSlots.NONE) {
      dropped++;
      return;
    }
    host.pin(hostSlot);
    writes++;
    begin(DiskWork.Kind.WRITE, name, hostSlot, slot);
  }

  /**
   * Begins to read the blocks behind those that the device and the host have.
   *
   * @param blocks leading full blocks that may be of use
   */
  Fetch fetch(BlockTable table, int[] tokens, int blocks, KvCacheManager kv, TierSlots host) {
    Fetch fetch = new Fetch();
    List<Integer> pinned = new ArrayList<>(); // what the host has of it must not make room for it
    boolean queried = false;
    for (int i = 0; i < blocks; i++) {
      BlockHash name = kv.name(table, i, tokens);
      int held = host.find(name);
      if (held != TierSlots.NONE) {
        host.pin(held);
        pinned.add(held);
        continue;
      }
      if (kv.find(name) >= 0) {
        continue;
      }
      queriedTokens += queried ? 0 : (long) (blocks - i) * kv.blockTokens();
      queried = true;
      if (!read(name, host, fetch)) {
        break;
      }
      hitTokens += kv.blockTokens();
    }
    pinned.forEach(host::unpin);
    if (!fetch.isOver()) {
      fetches.add(fetch);
    }
    return fetch;
  }

  private boolean read(BlockHash name, TierSlots host, Fetch fetch) {
    List<Fetch> waiting = reads.get(name);
    if (waiting == null) {
      int slot = disk.find(name);
      boolean comes = slot == TierSlots.NONE || host.contains(name); // is being saved just now
      int hostSlot = comes ? TierSlots.NONE : host.reserve(name);
      if (hostSlot == TierSlots.NONE) {
        return false;
      }
      disk.pin(slot);
      waiting = new ArrayList<>(1);
      reads.put(name, waiting);
      begin(DiskWork.Kind.READ, name, hostSlot, slot);
    }
    waiting.add(fetch);
    fetch.expect();
    return true;
  }

  /**
   * What was wrong on the device may be wrong on the disk. A block that is being read is erased
   * after that: reading notes the last use of what it found, and would bring it back.
   */
  void forget(BlockHash name) {
    boolean whole = disk.find(name) != TierSlots.NONE;
    int slot = disk.forget(name);
    if (whole && disk.pins(slot) == 0) {
      begin(DiskWork.Kind.ERASE, name, TierSlots.NONE, slot);
    }
  }

  /** Nothing that is there now is found again, not by the next start either. */
  void forgetAll() {
    for (int slot = 0; slot < disk.count(); slot++) {
      BlockHash name = disk.name(slot);
      if (name != null) {
        forget(name);
      }
    }
  }

  /**
   * @throws IllegalStateException for work that was not under way
   */
  void onDone(DiskDone done, TierSlots host) {
    DiskWork work = underWay.remove(done.id());
    if (work == null) {
      throw new IllegalStateException("no work " + done.id() + " is under way on the disk");
    }
    switch (work.kind()) {
      case READ -> onRead(work, done.good(), host);
      case WRITE -> onWritten(work, done.good(), host);
      case ERASE -> {}
    }
  }

  private void onRead(DiskWork work, boolean good, TierSlots host) {
    boolean isForgotten = disk.find(work.name()) != work.diskSlot();
    if (isForgotten) {
      begin(DiskWork.Kind.ERASE, work.name(), TierSlots.NONE, work.diskSlot());
    }
    if (good) {
      read++;
      host.fill(work.hostSlot());
    } else {
      host.abandon(work.hostSlot());
      if (!isForgotten) {
        disk.forget(work.name());
      }
    }
    disk.unpin(work.diskSlot());
    List<Fetch> waiting = reads.remove(work.name());
    if (waiting != null) {
      waiting.forEach(Fetch::arrived);
      fetches.removeIf(Fetch::isOver);
    }
  }

  private void onWritten(DiskWork work, boolean good, TierSlots host) {
    writes--;
    host.unpin(work.hostSlot());
    if (!good) {
      dropped++;
      disk.abandon(work.diskSlot());
    } else if (disk.fill(work.diskSlot())) {
      written++;
    } else {
      begin(DiskWork.Kind.ERASE, work.name(), TierSlots.NONE, work.diskSlot());
    }
  }

  private void begin(DiskWork.Kind kind, BlockHash name, int hostSlot, int diskSlot) {
    DiskWork work = new DiskWork(ids++, kind, name, hostSlot, diskSlot);
    underWay.put(work.id(), work);
    news.add(work);
  }

  TierCounts counts() {
    return new TierCounts(
        queriedTokens,
        hitTokens,
        written,
        read,
        disk.evictions(),
        dropped,
        fetches.size(),
        disk.used(),
        disk.count());
  }
}
