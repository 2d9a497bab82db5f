package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Devices that talk through NCCL, on the stream on which the backend queues. Owned by the rank's
 * thread; {@link #close} may come from the one that aborts.
 *
 * <p>A device that waits for another in the middle of a gather does not come back by itself if the
 * other never gets there. So when the ranks' meeting is aborted, every communicator is, which ends
 * the waiting kernels and with them whatever synchronizes.
 */
final class NcclExchange implements DeviceExchange {
  private final Nccl nccl;
  private final long communicator;
  private final long stream;
  private final AtomicBoolean closed = new AtomicBoolean();

  private NcclExchange(Nccl nccl, long communicator, long stream) {
    this.nccl = nccl;
    this.communicator = communicator;
    this.stream = stream;
  }

  /**
   * Joins the ranks; returns when all have. The device's context must be current.
   *
   * @param stream the driver's handle of it
   */
  static NcclExchange join(long stream, Rank rank, Meeting meeting) {
    Nccl nccl = Nccl.load();
    meeting.arrive(rank, rank.isFirst() ? nccl.uniqueId() : rank);
    byte[] id = (byte[]) meeting.offer(0);
    meeting.arrive(rank); // all have the library and the id: none waits in vain for another
    NcclExchange exchange =
        new NcclExchange(nccl, nccl.join(id, rank.index(), rank.size()), stream);
    meeting.onAbort(exchange::close);
    return exchange;
  }

  @Override
  public void allGather(long to, long from, long bytes) {
    if (closed.get()) {
      throw new IllegalStateException("the ranks' communicator was closed");
    }
    nccl.allGather(to, from, bytes / Float.BYTES, communicator, stream);
  }

  /** By abort, which asks no other rank: in an orderly end nothing is under way any more. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      nccl.abort(communicator);
    }
  }
}
