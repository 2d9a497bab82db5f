package io.verdier.verticles.bench;

import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Owned by the event loop. Sends requests when they are due, as far as the concurrency limit lets
 * it, and gathers their traces.
 */
final class LoadRun {
  private final Vertx vertx;
  private final BenchClient client;
  private final List<Prompt> prompts;
  private final List<Buffer> bodies;
  private final long[] dueNanos; // after the start
  private final int concurrencyMax;
  private final List<RequestTrace> traces = new ArrayList<>();
  private final Promise<Load> ended = Promise.promise();
  private long startNanos;
  private int underWay;
  private int underWayPeak;
  private int finished;
  private boolean timerSet;

  /**
   * What was sent, in the order of sending. Immutable.
   *
   * @param prompts one for each trace
   * @param underWayPeak most requests at one time
   */
  record Load(
      List<Prompt> prompts,
      List<RequestTrace> traces,
      long startNanos,
      long endNanos,
      int underWayPeak) {}

  LoadRun(Vertx vertx, BenchClient client, String model, List<Prompt> prompts, Schedule schedule) {
    this.vertx = vertx;
    this.client = client;
    this.prompts = prompts;
    this.bodies = prompts.stream().map(prompt -> client.body(model, prompt)).toList();
    this.dueNanos = schedule.dueNanos();
    this.concurrencyMax = schedule.concurrencyMax();
  }

  /**
   * When to send. Immutable.
   *
   * @param dueNanos one per prompt, ascending
   */
  record Schedule(long[] dueNanos, int concurrencyMax) {}

  /** Starts, on the event loop. */
  Future<Load> start() {
    startNanos = System.nanoTime();
    sendDue();
    return ended.future();
  }

  int finished() {
    return finished;
  }

  /** Pieces received so far. */
  long pieces() {
    return traces.stream().mapToLong(RequestTrace::pieces).sum();
  }

  private void sendDue() {
    long now = System.nanoTime() - startNanos;
    while (traces.size() < prompts.size()
        && underWay < concurrencyMax
        && dueNanos[traces.size()] <= now) {
      send();
    }
    if (traces.size() < prompts.size() && underWay < concurrencyMax && !timerSet) {
      timerSet = true;
      long waitMillis = (dueNanos[traces.size()] - now) / 1_000_000;
      vertx.setTimer(Math.max(1, waitMillis), timer -> onDue());
    }
  }

  private void onDue() {
    timerSet = false;
    sendDue();
  }

  private void send() {
    int index = traces.size();
    RequestTrace trace = new RequestTrace(System.nanoTime(), prompts.get(index).outputTokens());
    traces.add(trace);
    underWayPeak = Math.max(underWayPeak, ++underWay);
    client.stream(bodies.get(index), trace).onComplete(done -> onEnd());
  }

  private void onEnd() {
    underWay--;
    finished++;
    if (finished == prompts.size()) {
      ended.complete(
          new Load(prompts, List.copyOf(traces), startNanos, System.nanoTime(), underWayPeak));
    } else {
      sendDue();
    }
  }
}
