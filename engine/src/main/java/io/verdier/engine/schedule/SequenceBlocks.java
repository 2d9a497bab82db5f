package io.verdier.engine.schedule;

import io.verdier.cache.host.BlockCopy;
import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.DiskWork;
import io.verdier.cache.host.HostLoad;
import io.verdier.cache.host.PrefixTiers;
import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.host.TierCounts;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.cache.kv.KvCacheManager.Prefix;
import io.verdier.engine.schedule.StepPlan.Copies;
import io.verdier.engine.schedule.UnderWay.LoadPart;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Gives sequences their blocks, and what others have computed before them in whatever tier. Owned
 * by the scheduler thread.
 *
 * <p>A sequence that gets blocks from the host holds all the blocks it needs, and runs; only that
 * nothing is {@linkplain Sequence#missing missing} until its {@link HostLoad} is over. So it is
 * preempted, cancelled and counted like every other. Copies that fail cost it nothing but time:
 * what has not come is computed.
 */
final class SequenceBlocks {
  private final KvCacheManager kv;
  private final @Nullable PrefixTiers tiers;
  private final boolean prefixCaching;
  private final List<Sequence> loading = new ArrayList<>(); // in order of admission
  private final List<LoadPart> planned = new ArrayList<>(); // for the plan that is being made
  private long queriedTokens;
  private long hitTokens;

  /**
   * @param tiers behind the device; null: none
   */
  SequenceBlocks(KvCacheManager kv, @Nullable PrefixTiers tiers, boolean prefixCaching) {
    this.kv = kv;
    this.tiers = prefixCaching ? tiers : null;
    this.prefixCaching = prefixCaching;
  }

  BlockTable open(EngineRequest request) {
    return kv.open(request.cacheSalt(), request.adapter());
  }

  /** A sequence begins to wait: what only the disk or a cache node has of it may come meanwhile. */
  void await(Sequence sequence) {
    if (tiers != null && looksUp(sequence)) {
      sequence.await(tiers.fetch(sequence.table(), sequence.tokens(), usefulBlocks(sequence)));
    }
  }

  private boolean looksUp(Sequence sequence) {
    return prefixCaching && !sequence.needsWholePrompt();
  }

  /** Full blocks that need not be computed: the last known token is, for its logits are needed. */
  private int usefulBlocks(Sequence sequence) {
    return (sequence.known() - 1) / kv.blockTokens();
  }

  /** Gives a waiting sequence all blocks that it needs, or, where too few are free, none. */
  boolean admit(Sequence sequence) {
    boolean looksUp = looksUp(sequence);
    BlockTable table = sequence.table();
    int[] tokens = sequence.tokens();
    Prefix prefix = looksUp ? Prefix.READ : Prefix.SKIP;
    int cached = kv.admit(table, tokens, sequence.known(), sequence.reserve(), prefix);
    if (cached < 0) {
      return false;
    }
    HostLoad load = null;
    if (tiers != null && looksUp) {
      load = tiers.load(table, tokens, cached / kv.blockTokens(), usefulBlocks(sequence));
    }
    if (sequence.admit(cached, load) && looksUp) {
      queriedTokens += sequence.request().promptTokens();
      hitTokens += Math.min(cached, sequence.request().promptTokens());
    }
    if (load != null) {
      loading.add(sequence);
    }
    return true;
  }

  /** Lengthens a running sequence's table to cover so many tokens; false where none are free. */
  boolean reserve(Sequence sequence, int tokens) {
    return kv.reserve(sequence.table(), tokens);
  }

  /** What an outcome has confirmed may be found by others. */
  void commit(Sequence sequence) {
    if (!prefixCaching) {
      return;
    }
    // Of a sequence that was cancelled, an awaited token was computed that is not known here.
    int computed = Math.min(sequence.computed(), sequence.known());
    kv.commit(sequence.table(), sequence.tokens(), computed);
    if (tiers != null) {
      tiers.offer(sequence.table(), sequence.tokens(), sequence.known());
    }
  }

  /** A sequence that runs no more gets nothing from the host any more. */
  void leave(Sequence sequence) {
    HostLoad load = sequence.load();
    if (load != null && tiers != null) {
      tiers.cut(load);
      loading.remove(sequence);
    }
  }

  /** Takes a sequence's blocks back; no plan under way names it. */
  void free(Sequence sequence) {
    if (sequence.hasFailed()) {
      kv.discard(sequence.table());
    } else {
      kv.release(sequence.table());
    }
  }

  /** All copies that the next plan is to make. */
  Copies copies() {
    planned.clear();
    if (tiers == null || (loading.isEmpty() && !tiers.wantsCopies())) {
      return Copies.NONE;
    }
    return new Copies(tiers.takeUrgent(), tiers.takeSaves(), copiesIn(tiers));
  }

  private List<BlockCopy> copiesIn(PrefixTiers from) {
    List<BlockCopy> copies = new ArrayList<>();
    for (Sequence sequence : loading) {
      HostLoad load = sequence.load();
      int count = load == null ? 0 : Math.min(load.missing(), from.copiesMax() - copies.size());
      if (load != null && count > 0) {
        int first = sequence.computed() / kv.blockTokens() + load.planned();
        int[] slots = load.plan(count);
        for (int i = 0; i < count; i++) {
          copies.add(new BlockCopy(sequence.table().block(first + i), slots[i]));
        }
        sequence.planCopies();
        planned.add(new LoadPart(sequence, load, count));
      }
    }
    return List.copyOf(copies);
  }

  /** Whose copies to the device {@link #copies} has planned. */
  List<LoadPart> planned() {
    return List.copyOf(planned);
  }

  /** A plan's copies are done with. */
  void onCopies(UnderWay plan, boolean made) {
    if (tiers != null) {
      tiers.onSaved(plan.plan().copies().urgent(), made);
      tiers.onSaved(plan.plan().copies().out(), made);
      for (LoadPart part : plan.loads()) {
        onLoaded(tiers, part, made);
      }
    }
  }

  private void onLoaded(PrefixTiers from, LoadPart part, boolean made) {
    Sequence sequence = part.sequence();
    HostLoad load = part.load();
    sequence.settleCopies();
    from.onLoaded(load, part.copies(), made);
    if (sequence.load() == load && load.isOver() && sequence.state() == Sequence.State.RUNNING) {
      loading.remove(sequence);
      int cached = sequence.computed() + load.done() * kv.blockTokens();
      sequence.endLoad(cached);
      kv.adopt(sequence.table(), sequence.tokens(), cached);
    }
  }

  /** As {@link KvCacheManager#forget}. */
  boolean forget(Reach reach) {
    boolean isDone = kv.forget();
    if (isDone && tiers != null) {
      tiers.onDeviceForgotten();
      if (reach == Reach.ALL_TIERS) {
        tiers.forget();
      }
    }
    return isDone;
  }

  void onDiskDone(DiskDone done) {
    if (tiers == null) {
      throw new IllegalStateException("there is no disk tier");
    }
    tiers.onDiskDone(done);
  }

  void onRemoteDone(RemoteDone done) {
    if (tiers != null) { // else it tells of cache nodes, which are of no use
      tiers.onRemoteDone(done);
    }
  }

  List<RemoteWork> takeRemoteWork() {
    return tiers == null ? List.of() : tiers.takeRemoteWork();
  }

  List<DiskWork> takeDiskWork() {
    return tiers == null ? List.of() : tiers.takeDiskWork();
  }

  int usedCount() {
    return kv.usedCount();
  }

  int blockCount() {
    return kv.blockCount();
  }

  int blockTokens() {
    return kv.blockTokens();
  }

  /** Prompt tokens looked up on the device. */
  long queriedTokens() {
    return queriedTokens;
  }

  /** Those found there. */
  long hitTokens() {
    return hitTokens;
  }

  /** Contents that left the device. */
  long evictions() {
    return kv.evictions();
  }

  TierCounts hostCounts() {
    return tiers == null ? TierCounts.NONE : tiers.hostCounts();
  }

  TierCounts remoteCounts() {
    return tiers == null ? TierCounts.NONE : tiers.remoteCounts();
  }

  TierCounts diskCounts() {
    return tiers == null ? TierCounts.NONE : tiers.diskCounts();
  }
}
