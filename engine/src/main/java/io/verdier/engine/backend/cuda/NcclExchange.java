package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;

/**
 * Devices that talk through NCCL, on the stream on which the backend queues. Owned by the rank's
 * thread.
 *
 * <p>A device that waits for another in the middle of a gather does not come back by itself if the
 * other never gets there. So when the ranks' meeting is aborted, every communicator is, which ends
 * the waiting kernels and with them whatever synchronizes.
 */
final class NcclExchange implements DeviceExchange {
  private final Nccl nccl;
  private final NcclGroup.Member member;
  private final long stream;

  private NcclExchange(Nccl nccl, NcclGroup.Member member, long stream) {
    this.nccl = nccl;
    this.member = member;
    this.stream = stream;
  }

  /** What the first rank makes and all begin with. */
  private record Start(byte[] id, NcclGroup group) {}

  /**
   * Joins the ranks; returns when all have.
   *
   * @param makeCurrent the device's context, on whichever thread
   * @param stream the driver's handle of it
   * @throws CudaException if NCCL is not there, refuses or takes too long
   */
  static NcclExchange join(Runnable makeCurrent, long stream, Rank rank, Meeting meeting) {
    Nccl nccl = Nccl.load();
    meeting.arrive(rank, rank.isFirst() ? start(nccl, meeting) : rank);
    Start start = (Start) meeting.offer(0);
    meeting.arrive(rank); // all have the library and the id: none waits in vain for another
    long communicator =
        NcclJoin.run(
            () -> {
              makeCurrent.run();
              return nccl.join(start.id, rank.index(), rank.size());
            },
            nccl::abort,
            rank,
            meeting,
            NcclJoin.TIME_MAX);
    return new NcclExchange(nccl, start.group.add(communicator), stream);
  }

  private static Start start(Nccl nccl, Meeting meeting) {
    NcclGroup group = new NcclGroup(nccl::abort);
    meeting.onAbort(group::abort);
    return new Start(nccl.uniqueId(), group);
  }

  @Override
  public void allGather(long to, long from, long bytes) {
    long communicator = member.enter();
    try {
      nccl.allGather(to, from, bytes / Float.BYTES, communicator, stream);
    } finally {
      member.leave();
    }
  }

  /** By abort, which asks no other rank: in an orderly end nothing is under way any more. */
  @Override
  public void close() {
    member.close();
  }
}
