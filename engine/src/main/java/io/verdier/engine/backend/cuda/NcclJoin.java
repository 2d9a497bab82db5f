package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;

/**
 * A rank on its way into a group. Owned by the rank's thread, which looks after it.
 *
 * <p>NCCL's join returns when all ranks have joined, so never if one of them fails on the way, and
 * until then there is nothing that could be aborted. So it is made on a thread of its own, and the
 * rank's thread waits: for the join, for another rank's failure, or for as long as is reasonable.
 * NCCL could join without blocking, but every later call would then be, too, and start a thread:
 * two calls a layer are too many for that.
 */
final class NcclJoin {
  /** Eight GPUs take some seconds; several processes on a busy host some more. */
  static final Duration TIME_MAX = Duration.ofMinutes(5);

  private final CompletableFuture<Long> joined = new CompletableFuture<>();
  private final Rank rank;
  private final Meeting meeting;

  private NcclJoin(Rank rank, Meeting meeting) {
    this.rank = rank;
    this.meeting = meeting;
  }

  /**
   * Joins.
   *
   * @param join blocks, and gives the communicator
   * @param abort of one that came too late
   * @throws CudaException if the library refuses, or takes longer than {@code most}
   * @throws io.verdier.engine.backend.RankFailure if another rank has failed meanwhile
   */
  static long run(
      LongSupplier join, LongConsumer abort, Rank rank, Meeting meeting, Duration most) {
    NcclJoin own = new NcclJoin(rank, meeting);
    Thread thread =
        new Thread(() -> own.join(join, abort), "verdier-rank-" + rank.index() + "-join");
    thread.setDaemon(true); // it may never come back
    thread.start();
    meeting.onAbort(own::giveUp);
    return own.await(most);
  }

  private void join(LongSupplier join, LongConsumer abort) {
    try {
      long communicator = join.getAsLong();
      if (!joined.complete(communicator)) {
        abort.accept(communicator);
      }
    } catch (RuntimeException | Error failed) {
      joined.completeExceptionally(failed);
    }
  }

  private void giveUp() {
    joined.completeExceptionally(new IllegalStateException("nobody waits for " + rank));
  }

  private long await(Duration most) {
    try {
      return joined.get(most.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      giveUp();
      throw new CudaException(
          "NCCL did not connect %s to the others within %d s. Start with NCCL_DEBUG=INFO to see what it waits for, or serve with --tensor-parallel-size 1."
              .formatted(rank, most.toSeconds()),
          Aftermath.LOST);
    } catch (ExecutionException failed) {
      meeting.requireWhole(); // the other rank's failure is the reason, if there is one
      throw failed.getCause() instanceof RuntimeException known
          ? known
          : new IllegalStateException(failed.getCause());
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      giveUp();
      throw new IllegalStateException("interrupted while " + rank + " joined", interrupted);
    }
  }
}
