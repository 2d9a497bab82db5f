package io.verdier.engine.model;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.JoinedBlocks;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Rank;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * The caches of all ranks as if there were one. Owned by the executor thread, which is the first
 * rank's.
 *
 * <p>Each rank has the keys and values of its own heads, of every block. So a block that moves
 * moves on all ranks, and has been copied when the last of them has copied its part: no tier ever
 * has some parts of a block and lacks others.
 */
final class RankKvStorage implements KvStorage {
  private final List<KvStorage> parts; // by rank
  private final RankThreads threads;

  RankKvStorage(List<KvStorage> parts, RankThreads threads) {
    this.parts = List.copyOf(parts);
    this.threads = threads;
  }

  KvStorage first() {
    return parts.getFirst();
  }

  private KvStorage of(Rank rank) {
    return parts.get(rank.index());
  }

  /** The first rank's. All have the same blocks. */
  @Override
  public KvShape shape() {
    return parts.getFirst().shape();
  }

  @Override
  public long blockBytes() {
    return parts.stream().mapToLong(KvStorage::blockBytes).sum();
  }

  /** A rank's memory, or why it got none. */
  private record Reserved(@Nullable HostBlocks blocks, @Nullable DeviceException refused) {}

  @Override
  public HostBlocks hostBlocks(int slots) {
    List<Reserved> reserved = threads.on(rank -> reserve(of(rank), slots));
    for (Reserved part : reserved) {
      if (part.refused != null) {
        threads.each(rank -> close(reserved.get(rank.index()).blocks));
        throw part.refused;
      }
    }
    List<HostBlocks> all = reserved.stream().map(it -> Objects.requireNonNull(it.blocks)).toList();
    return new JoinedBlocks(slots, all, () -> threads.close(rank -> all.get(rank.index()).close()));
  }

  /** A refusal is an answer, and must not end what the ranks do together. */
  private static Reserved reserve(KvStorage storage, int slots) {
    try {
      return new Reserved(storage.hostBlocks(slots), null);
    } catch (DeviceException refused) {
      return new Reserved(null, refused);
    }
  }

  private static void close(@Nullable HostBlocks blocks) {
    if (blocks != null) {
      blocks.close();
    }
  }

  /** Copies of all ranks. Owned by the executor thread. */
  private record Copies(RankThreads threads, List<HostCopy> parts) implements HostCopy {
    @Override
    public boolean isDone() {
      return threads.on(rank -> parts.get(rank.index()).isDone()).stream().allMatch(it -> it);
    }

    @Override
    public void await() {
      threads.each(rank -> parts.get(rank.index()).await());
    }

    @Override
    public void holdSteps() {
      threads.each(rank -> parts.get(rank.index()).holdSteps());
    }
  }

  @Override
  public HostCopy copyOut(HostBlocks to, List<HostBlocks.Pair> pairs) {
    JoinedBlocks host = checked(to, pairs);
    return copies((rank, storage) -> storage.copyOut(host.parts().get(rank.index()), pairs));
  }

  @Override
  public HostCopy copyIn(HostBlocks from, List<HostBlocks.Pair> pairs) {
    JoinedBlocks host = checked(from, pairs);
    return copies((rank, storage) -> storage.copyIn(host.parts().get(rank.index()), pairs));
  }

  private HostCopy copies(BiFunction<Rank, KvStorage, HostCopy> part) {
    return new Copies(threads, threads.on(rank -> part.apply(rank, of(rank))));
  }

  /** Here, where an error is the caller's alone. */
  private JoinedBlocks checked(HostBlocks blocks, List<HostBlocks.Pair> pairs) {
    JoinedBlocks host = (JoinedBlocks) blocks;
    HostBlocks.requireAll(pairs, shape().blocks(), host.slots());
    return host;
  }

  @Override
  public void vacate() {
    threads.each(rank -> of(rank).vacate());
  }

  /** Backends free their caches. */
  @Override
  public void close() {
    threads.close(rank -> of(rank).close());
  }
}
