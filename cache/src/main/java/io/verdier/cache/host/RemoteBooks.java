package io.verdier.cache.host;

import io.verdier.cache.host.RemoteDone.Answer;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteDone.Sight;
import io.verdier.cache.host.RemoteWork.Ask;
import io.verdier.cache.host.RemoteWork.Read;
import io.verdier.cache.host.RemoteWork.Write;
import io.verdier.cache.kv.BlockHash;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What is being asked of cache nodes, brought from them and written there. Owned by the scheduler
 * thread.
 *
 * <p>What lies there is not known here, for other engines write there too. So a sequence's blocks
 * are first asked for, all that no tier before has, and then read as far as they were there; its
 * {@link Fetch} is over when both are. As with {@link DiskBooks}, everything goes through slots of
 * host memory, and writes are begun only while few are under way. A long prompt has more blocks
 * than that: the rest waits by name, pins nothing, and is written if it is still in host memory at
 * its turn. Where a write fails, cache nodes are slow or gone, and what waits is given up.
 *
 * <p>No clock: whoever does the work answers in time, whatever the cache nodes do, and tells when
 * none is in sight. Nothing here waits for anybody then.
 */
public final class RemoteBooks {
  /** Blocks asked for at once; what is behind them in a longer prompt is computed. */
  public static final int NAMES_MAX = 4096;

  /** Blocks that wait to be written: those of 250,000 tokens. */
  private static final int WAITING_MAX = 16_384;

  private final int writesMax;
  private final Map<BlockHash, BlockHash> waiting = new LinkedHashMap<>(); // and the prefix's first
  private final Map<Long, Asking> asking = new HashMap<>();
  private final Map<Long, RemoteWork> underWay = new HashMap<>(); // reads and writes
  private final Map<BlockHash, List<Fetch>> reads = new HashMap<>(); // and who waits
  private final Set<BlockHash> writes = new HashSet<>();
  private final List<Fetch> fetches = new ArrayList<>(); // that are not over
  private List<RemoteWork> news = new ArrayList<>();
  private boolean inSight;
  private long ids;
  private long queriedTokens;
  private long hitTokens;
  private long written;
  private long read;
  private long dropped;

  private record Asking(Ask ask, Fetch fetch) {}

  /**
   * @param writesMax most writes under way
   */
  public RemoteBooks(int writesMax) {
    this.writesMax = writesMax;
  }

  /** What is to be done since the last call. */
  List<RemoteWork> takeNews() {
    if (news.isEmpty()) {
      return List.of();
    }
    List<RemoteWork> taken = List.copyOf(news);
    news = new ArrayList<>();
    return taken;
  }

  /** Offers the whole contents of a host slot. */
  void offer(BlockHash name, BlockHash first, TierSlots host, int hostSlot) {
    if (!inSight || writes.contains(name) || waiting.containsKey(name)) {
      return;
    }
    if (writes.size() < writesMax) {
      write(name, first, host, hostSlot);
    } else if (waiting.size() < WAITING_MAX) {
      waiting.put(name, first);
    } else {
      dropped++;
    }
  }

  private void write(BlockHash name, BlockHash first, TierSlots host, int hostSlot) {
    host.pin(hostSlot);
    writes.add(name);
    begin(ids, new Write(ids, first, name, hostSlot));
  }

  /** Begins what waits, as far as it is still there and there is room. */
  private void writeWaiting(TierSlots host) {
    Iterator<Map.Entry<BlockHash, BlockHash>> next = waiting.entrySet().iterator();
    while (next.hasNext() && writes.size() < writesMax) {
      Map.Entry<BlockHash, BlockHash> entry = next.next();
      int slot = host.find(entry.getKey());
      if (slot == TierSlots.NONE) {
        dropped++;
      } else {
        write(entry.getKey(), entry.getValue(), host, slot);
      }
      next.remove();
    }
  }

  private void giveUpWaiting() {
    dropped += waiting.size();
    waiting.clear();
  }

  private void begin(long id, RemoteWork work) {
    ids++;
    underWay.put(id, work);
    news.add(work);
  }

  /**
   * Begins to bring the blocks behind those that the tiers before have, or are being brought.
   *
   * @param blocks leading full blocks that may be of use
   */
  Fetch fetch(BlockTable table, int[] tokens, int blocks, KvCacheManager kv, TierSlots host) {
    Fetch fetch = new Fetch();
    int from = 0;
    while (from < blocks && isBefore(kv.name(table, from, tokens), fetch, kv, host)) {
      from++;
    }
    if (from < blocks && inSight) {
      List<BlockHash> names = new ArrayList<>();
      for (int i = from; i < Math.min(blocks, from + NAMES_MAX); i++) {
        names.add(kv.name(table, i, tokens));
      }
      queriedTokens += (long) (blocks - from) * kv.blockTokens();
      Ask ask = new Ask(ids++, kv.name(table, 0, tokens), names);
      asking.put(ask.id(), new Asking(ask, fetch));
      fetch.expect();
      news.add(ask);
    }
    if (!fetch.isOver()) {
      fetches.add(fetch);
    }
    return fetch;
  }

  /** Whether a tier before has a block, or will have it: then it is awaited. */
  private boolean isBefore(BlockHash name, Fetch fetch, KvCacheManager kv, TierSlots host) {
    List<Fetch> waiting = reads.get(name);
    if (waiting != null) {
      waiting.add(fetch);
      fetch.expect();
      return true;
    }
    int slot = host.find(name);
    if (slot != TierSlots.NONE) {
      host.touch(slot); // it shall not make room for those behind it
      return true;
    }
    return host.contains(name) || kv.find(name) >= 0;
  }

  /**
   * @throws IllegalStateException for work that was not under way
   */
  void onDone(RemoteDone done, KvCacheManager kv, TierSlots host) {
    switch (done) {
      case Answer answer -> onAnswer(answer, kv, host);
      case Settled settled -> onSettled(settled, host);
      case Sight sight -> onSight(sight.any());
    }
    fetches.removeIf(Fetch::isOver);
  }

  private void onSight(boolean any) {
    inSight = any;
    if (!any) {
      giveUpWaiting();
    }
  }

  private void onAnswer(Answer answer, KvCacheManager kv, TierSlots host) {
    Asking asked = asking.remove(answer.id());
    if (asked == null) {
      throw new IllegalStateException("nothing was asked by " + answer.id());
    }
    List<BlockHash> names = asked.ask.names();
    List<BlockHash> there = names.subList(0, Math.clamp(answer.there(), 0, names.size()));
    for (BlockHash name : there) {
      if (!isBefore(name, asked.fetch, kv, host)) {
        int slot = host.reserve(name);
        if (slot == TierSlots.NONE) {
          break; // what lies behind is of no use without it
        }
        List<Fetch> waiting = new ArrayList<>(1);
        waiting.add(asked.fetch);
        asked.fetch.expect();
        reads.put(name, waiting);
        begin(ids, new Read(ids, asked.ask.first(), name, slot));
      }
      hitTokens += kv.blockTokens();
    }
    asked.fetch.arrived();
  }

  private void onSettled(Settled settled, TierSlots host) {
    RemoteWork work = underWay.remove(settled.id());
    switch (work) {
      case Read one -> onRead(one, settled.outcome(), host);
      case Write one -> onWritten(one, settled.outcome(), host);
      case null, default ->
          throw new IllegalStateException("no work " + settled.id() + " is under way");
    }
  }

  private void onRead(Read work, Outcome outcome, TierSlots host) {
    if (outcome == Outcome.DONE) {
      read++;
      host.fill(work.hostSlot());
    } else {
      host.abandon(work.hostSlot());
    }
    List<Fetch> waiting = reads.remove(work.name());
    if (waiting != null) {
      waiting.forEach(Fetch::arrived);
    }
  }

  private void onWritten(Write work, Outcome outcome, TierSlots host) {
    writes.remove(work.name());
    host.unpin(work.hostSlot());
    written += outcome == Outcome.DONE ? 1 : 0;
    if (outcome == Outcome.FAILED) {
      dropped++;
      giveUpWaiting();
    }
    writeWaiting(host);
  }

  /** What was wrong on the device may be wrong there. */
  void forget(BlockHash name) {
    waiting.remove(name);
    if (inSight) {
      news.add(new RemoteWork.Erase(name));
    }
  }

  /** Nothing that is there now is found again, by no engine. */
  void forgetAll() {
    waiting.clear();
    if (inSight) {
      news.add(new RemoteWork.Forget());
    }
  }

  /** Evictions and room are the cache nodes' own. */
  TierCounts counts() {
    return new TierCounts(
        queriedTokens, hitTokens, written, read, 0, dropped, fetches.size(), 0, 0);
  }
}
