package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** How long is waited between tries, on a clock that only notes it. */
class RetryTest {
  private final List<Duration> waits = new ArrayList<>();
  private int tries;

  private Retry retry(int attempts, double jitter) {
    return new Retry(attempts, Duration.ofMillis(500), waits::add, () -> jitter);
  }

  private String failing(Retry retry, int failures, IOException reason) throws IOException {
    return retry.call(
        () -> {
          if (++tries <= failures) {
            throw reason;
          }
          return "there";
        });
  }

  @Test
  void call_failsAgainAndAgain_waitsTwiceAsLongEachTimeUpToABound() throws IOException {
    assertThat(failing(retry(10, 1), 9, new IOException("reset"))).isEqualTo("there");
    assertThat(waits.stream().map(Duration::toMillis))
        .containsExactly(500L, 1000L, 2000L, 4000L, 8000L, 16000L, 30000L, 30000L, 30000L);
  }

  /** So that those who failed together do not come back together. */
  @Test
  void call_jitter_takesUpToHalfAway() throws IOException {
    failing(retry(4, 0), 3, new IOException("reset"));
    assertThat(waits.stream().map(Duration::toMillis)).containsExactly(250L, 500L, 1000L);
  }

  @Test
  void call_failsTooOften_throwsTheLastFailure() {
    IOException reset = new IOException("reset");
    assertThatThrownBy(() -> failing(retry(6, 1), 100, reset)).isSameAs(reset);
    assertThat(tries).isEqualTo(6);
    assertThat(waits).hasSize(5);
  }

  @Test
  void call_silence_isTriedAgainAndAStopIsNot() throws IOException {
    failing(retry(3, 1), 1, new SocketTimeoutException());
    assertThat(waits).hasSize(1);
    tries = 0;
    assertThatThrownBy(() -> failing(retry(3, 1), 1, new InterruptedIOException()))
        .isInstanceOf(InterruptedIOException.class);
    assertThat(tries).isEqualTo(1);
  }
}
