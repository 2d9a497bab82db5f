package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Who may be in the library while communicators end, and that they all do. */
@Timeout(60)
class NcclGroupTest {
  private final List<Long> aborted = new CopyOnWriteArrayList<>();
  private final CountDownLatch oneAborted = new CountDownLatch(1);
  private final NcclGroup group =
      new NcclGroup(
          communicator -> {
            aborted.add(communicator);
            oneAborted.countDown();
          });

  @Test
  void abort_aRankIsInACall_takesItsCommunicatorWhenTheCallHasReturned() throws Exception {
    NcclGroup.Member calling = group.add(1);
    NcclGroup.Member idle = group.add(2);
    assertThat(calling.enter()).isEqualTo(1);

    Thread aborting = new Thread(group::abort);
    aborting.start();
    oneAborted.await();
    List<Long> during = List.copyOf(aborted);
    assertThatThrownBy(idle::enter).hasMessageContaining("was closed");
    calling.leave();
    aborting.join();

    assertThat(during).containsExactly(2L);
    assertThat(aborted).containsExactly(2L, 1L); // what all share goes with the last
    assertThatThrownBy(calling::enter).hasMessageContaining("was closed");
  }

  @Test
  void abort_aCallNeverReturns_takesItsCommunicatorAfterAWhile() {
    group.add(1).enter();
    group.add(2);

    group.abort();

    assertThat(aborted).containsExactly(2L, 1L);
  }

  @Test
  void abort_oneRefuses_endsTheOthersAndNoneTwice() {
    NcclGroup refusing =
        new NcclGroup(
            communicator -> {
              aborted.add(communicator);
              throw new CudaException("no");
            });
    NcclGroup.Member first = refusing.add(1);
    refusing.add(2);

    refusing.abort();
    first.close();

    assertThat(aborted).containsExactly(1L, 2L);
  }

  @Test
  void add_afterTheAbort_endsAtOnce() {
    group.abort();
    NcclGroup.Member late = group.add(3);

    assertThat(aborted).containsExactly(3L);
    assertThatThrownBy(late::enter).hasMessageContaining("was closed");
  }
}
