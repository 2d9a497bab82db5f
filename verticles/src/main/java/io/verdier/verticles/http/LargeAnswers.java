package io.verdier.verticles.http;

import io.verdier.conf.ServerConfig;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the operator of a server on Vertex AI, once, that an answer is larger than shared endpoints
 * pass on. Thread-safe: all HTTP instances tell their answers.
 */
final class LargeAnswers {
  private static final Logger LOG = LoggerFactory.getLogger(LargeAnswers.class);

  /** See docs/vertex.md. */
  private static final int SHARED_ENDPOINT_BYTES_MAX = 1_500_000;

  private final boolean onVertex;
  private final AtomicBoolean said = new AtomicBoolean();

  LargeAnswers(ServerConfig config) {
    this.onVertex = config.vertex().active();
  }

  /** An answer has so many bytes. */
  void note(double bytes) {
    if (onVertex && bytes > SHARED_ENDPOINT_BYTES_MAX && said.compareAndSet(false, true)) {
      LOG.warn(
          "An answer has {} bytes. Shared endpoints of Vertex AI pass on at most 1.5 MB and show"
              + " their callers an error; dedicated ones pass on 10 MB.",
          (long) bytes);
    }
  }
}
