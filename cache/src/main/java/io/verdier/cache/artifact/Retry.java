package io.verdier.cache.artifact;

import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleSupplier;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLPeerUnverifiedException;

/**
 * Which failures pass, and how long to wait for that: exponential back-off with jitter, or as long
 * as the server asks for. Immutable.
 *
 * @param attempts without progress before giving up
 * @param first wait after the first failure; doubles with each
 * @param jitter from 0 to 1, drawn for each wait
 */
record Retry(int attempts, Duration first, Pause pause, DoubleSupplier jitter) {
  private static final Duration WAIT_MAX = Duration.ofSeconds(30);

  /** A server that asks for more than this is as good as down. */
  private static final Duration ASKED_MAX = Duration.ofMinutes(5);

  private static final Set<Integer> PASSING = Set.of(408, 425, 429, 500, 502, 503, 504);

  /** How a thread waits; tests do not. */
  @FunctionalInterface
  interface Pause {
    void of(Duration time) throws InterruptedException;
  }

  /** What may fail and be tried again. */
  @FunctionalInterface
  interface Attempt<T> {
    T run() throws IOException;
  }

  /** An answer that is expected to be another one soon. */
  static final class BusyException extends IOException {
    private final transient Optional<Duration> asked;

    private BusyException(int status, Optional<Duration> asked) {
      super("status " + status);
      this.asked = asked;
    }
  }

  static Retry standard() {
    return new Retry(6, Duration.ofMillis(500), Thread::sleep, Math::random);
  }

  /** Throws if the answer's status passes. */
  static void requireNotBusy(Answer answer) throws BusyException {
    if (PASSING.contains(answer.status())) {
      throw new BusyException(answer.status(), asked(answer));
    }
  }

  /** Seconds of {@code Retry-After}, or of the Hub's {@code RateLimit: …;t=55}. */
  private static Optional<Duration> asked(Answer answer) {
    Optional<String> seconds =
        answer
            .header("Retry-After")
            .or(() -> answer.header("RateLimit").map(it -> it.replaceFirst("(?s).*;\\s*t=", "")));
    return seconds
        .map(String::strip)
        .filter(it -> it.matches("[0-9]{1,6}"))
        .map(it -> Duration.ofSeconds(Long.parseLong(it)));
  }

  /** Runs until it succeeds, fails for good, or has failed too often. */
  <T> T call(Attempt<T> attempt) throws IOException {
    for (int failures = 1; ; failures++) {
      try {
        return attempt.run();
      } catch (IOException failed) {
        waitAfter(failed, failures);
      }
    }
  }

  /**
   * Returns when it is time for another try.
   *
   * @throws IOException the failure itself, if there is to be none
   */
  void waitAfter(IOException failed, int failures) throws IOException {
    if (!passes(failed) || failures >= attempts) {
      throw failed;
    }
    Duration wait = wait(failures, failed);
    if (wait.compareTo(ASKED_MAX) > 0) {
      throw failed;
    }
    try {
      pause.of(wait);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    }
  }

  private static boolean passes(IOException failed) {
    return switch (failed) {
      case OutboundException forbidden -> false;
      case SSLHandshakeException wrongCertificate -> false;
      case SSLPeerUnverifiedException wrongHost -> false;
      case InterruptedIOException stopped -> stopped instanceof SocketTimeoutException;
      default -> true;
    };
  }

  private Duration wait(int failures, IOException failed) {
    if (failed instanceof BusyException busy && busy.asked.isPresent()) {
      return busy.asked.get();
    }
    long millis = first.toMillis() << Math.min(failures - 1, 20);
    long bounded = Math.min(millis, WAIT_MAX.toMillis());
    return Duration.ofMillis((long) (bounded * (0.5 + jitter.getAsDouble() / 2)));
  }
}
