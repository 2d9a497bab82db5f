package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.RankFailure;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A join that blocks, as the library's does until the last rank has joined. */
@Timeout(60)
class NcclJoinTest {
  private static final Rank FIRST = new Rank(0, 2);
  private static final Duration LONG = Duration.ofMinutes(5);

  private final Meeting meeting = new Meeting(2);
  private final CountDownLatch begun = new CountDownLatch(1);
  private final CountDownLatch released = new CountDownLatch(1);
  private final LinkedBlockingQueue<Long> aborted = new LinkedBlockingQueue<>();

  /** What the library does while another rank is missing. */
  private long blocked() {
    begun.countDown();
    try {
      released.await();
    } catch (InterruptedException interrupted) {
      throw new IllegalStateException(interrupted);
    }
    return 7;
  }

  @Test
  void run_allHaveJoined_givesTheCommunicator() {
    assertThat(NcclJoin.run(() -> 7, aborted::add, FIRST, meeting, LONG)).isEqualTo(7);
    meeting.abort(new IllegalStateException("later"));
    assertThat(aborted).isEmpty(); // that is its group's business then
  }

  @Test
  void run_anotherRankFails_endsWithItsFailureAndGivesUpTheCommunicator() throws Exception {
    Thread other =
        new Thread(
            () -> {
              try {
                begun.await();
              } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
              }
              meeting.abort(new CudaException("ncclCommInitRank failed: unhandled cuda error"));
            });
    other.start();

    assertThatThrownBy(() -> NcclJoin.run(this::blocked, aborted::add, FIRST, meeting, LONG))
        .isInstanceOf(RankFailure.class)
        .hasMessageContaining("unhandled cuda error");
    other.join();
    released.countDown();
    assertThat(aborted.take()).isEqualTo(7);
  }

  @Test
  void run_takesTooLong_saysWhatToDo() throws Exception {
    assertThatThrownBy(
            () -> NcclJoin.run(this::blocked, aborted::add, FIRST, meeting, Duration.ofMillis(10)))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("NCCL did not connect rank 0 of 2")
        .hasMessageContaining("NCCL_DEBUG=INFO");
    released.countDown();
    assertThat(aborted.take()).isEqualTo(7);
  }

  @Test
  void run_libraryRefuses_throwsWhatItSays() {
    assertThatThrownBy(
            () ->
                NcclJoin.run(
                    () -> {
                      throw new CudaException("ncclCommInitRank failed: invalid usage");
                    },
                    aborted::add,
                    FIRST,
                    meeting,
                    LONG))
        .isInstanceOf(CudaException.class)
        .hasMessage("ncclCommInitRank failed: invalid usage");
    assertThat(List.copyOf(aborted)).isEmpty();
  }
}
