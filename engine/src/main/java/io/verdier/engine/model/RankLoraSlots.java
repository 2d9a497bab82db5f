package io.verdier.engine.model;

import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.Rank;
import java.util.List;

/**
 * The slots of all ranks as if there were one. Owned by the executor thread, which is the first
 * rank's.
 *
 * <p>An adapter is split as the model is: what widens by rows of its second factor, what narrows by
 * columns of its first. So each rank adds to its own part of every product, and no rank needs more
 * of the others than without adapters.
 */
final class RankLoraSlots implements LoraSlots {
  private final LoraShape shape; // of the whole model
  private final List<Shard> shards; // by rank, as all that follow
  private final List<LoraSlots> slots;
  private final RankThreads threads;

  /**
   * An adapter's parts. Owned by whoever fills it, and by the executor thread while it is there.
   */
  private record Image(LoraShape shape, List<Shard> shards, List<LoraImage> parts)
      implements LoraImage {
    @Override
    public void fill(List<LoraFactors> factors) {
      factors.forEach(part -> part.require(shape));
      for (int rank = 0; rank < parts.size(); rank++) {
        Shard shard = shards.get(rank);
        parts
            .get(rank)
            .fill(factors.stream().map(it -> AdaptedProducts.ofShard(it, shard)).toList());
      }
    }

    @Override
    public long bytes() {
      return parts.stream().mapToLong(LoraImage::bytes).sum();
    }

    @Override
    public void close() {
      parts.forEach(LoraImage::close);
    }
  }

  /** Copies that the ranks' steps wait for already. Owned by the executor thread. */
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
    public void holdSteps() {}
  }

  RankLoraSlots(LoraShape shape, List<Shard> shards, List<LoraSlots> slots, RankThreads threads) {
    this.shape = shape;
    this.shards = List.copyOf(shards);
    this.slots = List.copyOf(slots);
    this.threads = threads;
  }

  @Override
  public LoraShape shape() {
    return shape;
  }

  @Override
  public long slotBytes() {
    return slots.stream().mapToLong(LoraSlots::slotBytes).sum();
  }

  @Override
  public LoraImage image() {
    return new Image(shape, shards, threads.on(rank -> of(rank).image()));
  }

  private LoraSlots of(Rank rank) {
    return slots.get(rank.index());
  }

  /** All ranks have parts of the same factors. */
  @Override
  public boolean adapts(int slot, int product) {
    return slots.getFirst().adapts(slot, product);
  }

  @Override
  public HostCopy load(int slot, LoraImage image) {
    Image whole = (Image) image;
    return new Copies(
        threads,
        threads.on(
            rank -> {
              HostCopy copy = of(rank).load(slot, whole.parts.get(rank.index()));
              copy.holdSteps();
              return copy;
            }));
  }
}
