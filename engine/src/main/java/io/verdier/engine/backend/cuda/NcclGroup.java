package io.verdier.engine.backend.cuda;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The communicators of a process's ranks, which end together. Thread-safe: each rank calls its own
 * member, {@link #abort} comes from any thread.
 *
 * <p>NCCL lets one thread at a time use a communicator, and the last one of a process to be aborted
 * frees what all of them share. A rank that queues a gather must therefore be out of the library
 * before that. So an abort first keeps everybody from entering, then takes the communicators that
 * nobody is in, and then the others as their calls return, which is soon: calls only queue work.
 * One that does not return may wait for just this abort, so after a while it gets it: the process
 * is about to end, and must not hang instead.
 */
final class NcclGroup {
  private static final Logger LOG = LoggerFactory.getLogger(NcclGroup.class);
  private static final long CALL_NANOS = 2_000_000_000;
  private static final long PAUSE_NANOS = 100_000;

  private final LongConsumer aborting;
  private final List<Member> members = new CopyOnWriteArrayList<>();
  private volatile boolean aborted;

  /**
   * @param aborting of a communicator
   */
  NcclGroup(LongConsumer aborting) {
    this.aborting = aborting;
  }

  /** One rank's communicator. Entered and left by the rank's thread. */
  final class Member {
    private final long communicator;
    private final AtomicBoolean ended = new AtomicBoolean();
    private volatile boolean closed;
    private volatile boolean inside;

    private Member(long communicator) {
      this.communicator = communicator;
    }

    /**
     * Begins a call, which {@link #leave} ends.
     *
     * @return the communicator
     * @throws IllegalStateException once it is closed, which the call would not survive
     */
    long enter() {
      inside = true; // before the look: who closes looks the other way round
      if (closed) {
        inside = false;
        throw new IllegalStateException("the ranks' communicator was closed");
      }
      return communicator;
    }

    void leave() {
      inside = false;
    }

    /** In an orderly end: this rank calls no more, and nothing is under way. */
    void close() {
      closed = true;
      end();
    }

    private void end() {
      if (ended.compareAndSet(false, true)) {
        try {
          aborting.accept(communicator);
        } catch (RuntimeException refused) { // the others are to end all the same
          LOG.warn("A communicator did not end: {}", refused.toString());
        }
      }
    }
  }

  /** A rank has joined. */
  Member add(long communicator) {
    Member member = new Member(communicator);
    members.add(member);
    if (aborted) {
      abort(); // which may not have seen it
    }
    return member;
  }

  /** Ends all communicators, and whatever waits in them, on the devices and here. */
  void abort() {
    aborted = true;
    members.forEach(member -> member.closed = true);
    long start = System.nanoTime();
    while (!endIdle() && System.nanoTime() - start < CALL_NANOS) {
      LockSupport.parkNanos(PAUSE_NANOS);
    }
    members.forEach(Member::end);
  }

  /** Whether all have ended. */
  private boolean endIdle() {
    boolean all = true;
    for (Member member : members) {
      if (member.inside) {
        all = false;
      } else {
        member.end();
      }
    }
    return all;
  }
}
