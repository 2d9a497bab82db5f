package io.verdier.verticles.schedule;

import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.observe.AdapterLoad;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.SequenceReport;
import io.verdier.verticles.observe.trace.EngineTimes;
import io.verdier.verticles.observe.trace.RequestTracer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * When the live sequences arrived, started and said their first token, for the metrics. Owned by
 * the scheduler thread.
 *
 * <p>A sequence costs a look-up when it arrives, starts, speaks first and ends, and none per token.
 * It is forgotten with its last emission or, where nobody waits for one, with its cancellation: the
 * scheduler ends no sequence in another way.
 */
final class SequenceTimes {
  private static final long NEVER = Long.MIN_VALUE;

  private final EngineMetrics metrics;
  private final @Nullable RequestTracer tracer;
  private final Map<Long, Times> live = new HashMap<>();

  /** Live sequences by the adapter they use; the base model's are in neither. */
  private final Map<String, Integer> waiting = new HashMap<>();

  private final Map<String, Integer> running = new HashMap<>();
  private boolean adaptersChanged;

  /** Sequences that told scores of their prompt and have not said a token yet. */
  private int silent;

  /**
   * @param tracer null: requests are not traced
   */
  SequenceTimes(EngineMetrics metrics, @Nullable RequestTracer tracer) {
    this.metrics = metrics;
    this.tracer = tracer;
  }

  /** One sequence's times, in nanoseconds. Owned by the scheduler thread. */
  private static final class Times {
    final long arrival;
    final int promptTokens;
    final String adapter;
    int cachedTokens;
    long started = NEVER;
    long spoke = NEVER;
    boolean silent;

    Times(EngineRequest request, long arrival) {
      this.arrival = arrival;
      this.promptTokens = request.promptTokens();
      this.adapter = request.adapter();
    }

    boolean hasStarted() {
      return started != NEVER;
    }
  }

  /** Sequences that have not ended. */
  int size() {
    return live.size();
  }

  /** New requests came; the scheduler hears of them with its next step. */
  void onArrivals(List<EngineRequest> requests, long nowNanos) {
    for (EngineRequest request : requests) {
      if (live.putIfAbsent(request.key(), new Times(request, nowNanos)) == null) {
        count(waiting, request.adapter(), 1);
      }
    }
    tellAdapters();
  }

  /**
   * The scheduler made a step.
   *
   * @param cancellations what it took in
   */
  void onStep(List<Cancellation> cancellations, StepOutput output, long nowNanos) {
    for (Emission emission : output.emissions()) {
      if (emission.opened() != null || emission.finish() != null || silent > 0) {
        onEmission(emission, nowNanos);
      }
    }
    for (Cancellation cancellation : cancellations) {
      if (cancellation.silent()) {
        end(cancellation.key(), cancellation.reason(), nowNanos);
      }
    }
    for (StepPlan.Start start : output.plan().started()) {
      Times times = live.get(start.key());
      if (times != null && !times.hasStarted()) { // else it starts again after a preemption
        times.started = nowNanos;
        count(waiting, times.adapter, -1);
        count(running, times.adapter, 1);
      }
    }
    tellAdapters();
  }

  private void count(Map<String, Integer> sequences, String adapter, int more) {
    if (!adapter.isEmpty()) {
      int before = sequences.getOrDefault(adapter, 0);
      sequences.merge(adapter, more, (old, change) -> old + change == 0 ? null : old + change);
      adaptersChanged |= before == 0 || before + more == 0;
    }
  }

  private void tellAdapters() {
    if (adaptersChanged) {
      adaptersChanged = false;
      metrics.onAdapters(new AdapterLoad(waiting.keySet(), running.keySet()));
    }
  }

  private void onEmission(Emission emission, long nowNanos) {
    EngineRequest opened = emission.opened();
    if (opened != null && !isRefused(emission)) { // also answers that a search found
      metrics.onStarted(opened.promptTokens(), emission.cachedTokens());
    }
    Times times = live.get(emission.key());
    if (times == null) {
      return;
    }
    times.cachedTokens = emission.cachedTokens();
    if (times.spoke == NEVER && emission.tokens().length > 0) {
      times.spoke = nowNanos;
      hear(times);
      trace(emission.key(), times, nowNanos);
    } else if (emission.opened() != null) {
      times.silent = true;
      silent++;
    }
    if (emission.finish() != null) {
      end(emission.key(), emission.finish().reason(), nowNanos);
    }
  }

  private static boolean isRefused(Emission emission) {
    return emission.finish() != null
        && emission.finish().fault() != null
        && emission.tokens().length == 0;
  }

  private void hear(Times times) {
    silent -= times.silent ? 1 : 0;
    times.silent = false;
  }

  private void end(long key, FinishReason reason, long nowNanos) {
    Times times = live.remove(key);
    if (times == null) {
      return;
    }
    hear(times);
    count(times.hasStarted() ? running : waiting, times.adapter, -1);
    boolean complete = reason != FinishReason.ABORT && reason != FinishReason.ERROR;
    if (complete && times.hasStarted()) {
      // Where only the prompt was scored, all was prefill.
      long spoke = times.spoke == NEVER ? nowNanos : times.spoke;
      if (times.spoke == NEVER) {
        trace(key, times, spoke);
      }
      metrics.onSequence(
          new SequenceReport(
              seconds(times.started - times.arrival),
              seconds(spoke - times.started),
              seconds(nowNanos - spoke),
              times.promptTokens,
              times.cachedTokens));
    }
  }

  private void trace(long key, Times times, long spoke) {
    if (tracer != null) {
      tracer.onSpoke(key, new EngineTimes(times.arrival, times.started, spoke));
    }
  }

  private static double seconds(long nanos) {
    return nanos / 1e9;
  }
}
