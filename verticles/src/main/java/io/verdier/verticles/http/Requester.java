package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import io.vertx.core.MultiMap;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Owned by one event loop: who a {@link Flight} is for, the {@link Exchange} that waits for it or
 * work in the {@link Background}. It holds places in {@link Admission}, and its time is bounded.
 */
public abstract sealed class Requester permits Exchange, Background {
  private final long startNanos = System.nanoTime();

  private Ingress ingress; // of the model that the request names, once that is known
  private Admission.@Nullable Permit permit;
  private @Nullable Flight flight;
  private long deadlineTimer = -1;
  private boolean released;

  Requester(Ingress ingress) {
    this.ingress = ingress;
  }

  public final Ingress ingress() {
    return ingress;
  }

  /** The request is for this model; anything else than a name that is served changes nothing. */
  final void names(@Nullable Object model) {
    ingress = ingress.of(model);
  }

  public final long startNanos() {
    return startNanos;
  }

  /** Headers of the request. */
  abstract MultiMap headers();

  /** By what the client knows its request. */
  abstract String shownId();

  /** Whether one of the ids is meant for this request, or for its answer. */
  abstract boolean isOneOf(Set<String> ids);

  /** Whether it is decided what becomes of it. */
  public abstract boolean isDone();

  /** Answers with an error; nothing is under way. */
  public abstract void reply(Problem problem);

  /** Not even an error can be told. */
  abstract void cut();

  /** What the request holds in the gate; null where it needed none. */
  final Admission.@Nullable Permit permit() {
    return permit;
  }

  /** As {@link #permit}, where work was submitted. */
  final Admission.Permit permitOfWork() {
    return Objects.requireNonNull(permit, "work without a permit");
  }

  /** From here on the request counts, and ends in time. */
  final void admitted(Admission.Permit newPermit) {
    permit = newPermit;
    limitTime();
    ingress.live().add(this);
  }

  /** From here on the request ends in time. */
  public final void limitTime() {
    stopClock();
    long millis = ingress.limits().requestTimeout().toMillis();
    deadlineTimer = ingress.vertx().setTimer(Math.max(1, millis), ignored -> onDeadline());
  }

  /** Gives up its place and its deadline to work that another requester waits for. */
  final Admission.Permit handOver() {
    Admission.Permit given = permitOfWork();
    permit = null;
    stopClock();
    ingress.live().remove(this);
    return given;
  }

  final void attach(Flight newFlight) {
    flight = newFlight;
  }

  private void onDeadline() {
    deadlineTimer = -1;
    fail(
        ingress
            .errors()
            .of(
                ErrorCode.TIMED_OUT,
                "The request took longer than "
                    + ingress.limits().requestTimeout().toSeconds()
                    + " s. Ask for fewer tokens, or try again when the server is less busy.",
                null));
  }

  final void stopClock() {
    if (deadlineTimer >= 0) {
      ingress.vertx().cancelTimer(deadlineTimer);
      deadlineTimer = -1;
    }
  }

  /** An operator or the client ends the request: it is answered with what there is. */
  final void abort() {
    if (!isDone() && flight != null) {
      flight.abort();
    }
  }

  /** Nobody waits any more. */
  final void abandon() {
    if (flight != null) {
      flight.abandon();
    }
  }

  /** Ends the request with an error, wherever it stands. */
  public final void fail(Problem problem) {
    if (isDone()) {
      return;
    }
    if (flight != null) {
      flight.fail(problem);
    } else {
      reply(problem);
    }
  }

  /** Ends the request with the error that {@code cause} stands for. */
  public final void fail(Throwable cause) {
    if (!isDone()) {
      fail(ingress.errors().of(cause));
    }
  }

  /** The place is free once the sequences have ended, too. */
  final void release() {
    if (permit != null && !released) {
      released = true;
      permit.close();
      ingress.live().remove(this);
    }
  }
}
