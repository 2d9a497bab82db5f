package io.verdier.verticles.observe.trace;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.Collection;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends spans through another exporter, counts what became of them and says now and then that they
 * do not arrive. Thread-safe.
 */
final class CountingExporter implements SpanExporter {
  private static final Logger LOG = LoggerFactory.getLogger(CountingExporter.class);

  /** An operator should know, once in a while and not with every batch. */
  private static final long SILENCE_NANOS = TimeUnit.MINUTES.toNanos(5);

  private final SpanExporter exporter;
  private final SpanCounts counts;
  private final AtomicLong saidNanos = new AtomicLong(System.nanoTime() - SILENCE_NANOS);

  CountingExporter(SpanExporter exporter, SpanCounts counts) {
    this.exporter = exporter;
    this.counts = counts;
  }

  @Override
  public CompletableResultCode export(Collection<SpanData> spans) {
    int count = spans.size();
    CompletableResultCode result = exporter.export(spans);
    result.whenComplete(
        () -> {
          if (result.isSuccess()) {
            counts.sent().accept(count);
          } else {
            counts.failed().accept(count);
            warn(count);
          }
        });
    return result;
  }

  private void warn(int count) {
    long now = System.nanoTime();
    long said = saidNanos.get();
    if (now - said >= SILENCE_NANOS && saidNanos.compareAndSet(said, now)) {
      LOG.warn(
          "{} trace spans did not reach the collector of --otlp-traces-endpoint and are lost;"
              + " requests are not affected",
          count);
    }
  }

  @Override
  public CompletableResultCode flush() {
    return exporter.flush();
  }

  @Override
  public CompletableResultCode shutdown() {
    return exporter.shutdown();
  }
}
