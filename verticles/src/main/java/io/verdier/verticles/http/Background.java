package io.verdier.verticles.http;

import io.vertx.core.MultiMap;
import java.util.Set;

/**
 * Owned by the event loop that took the request: work that goes on when its request is answered,
 * because what comes of it is kept. It has the request's place in {@link Admission}, so that a
 * drain waits for it, and as much time as a request that is waited for.
 */
public final class Background extends Requester {
  private final String id;
  private final MultiMap headers;
  private boolean done;

  private Background(Exchange from, String id) {
    super(from.ingress());
    this.id = id;
    this.headers = from.headers();
  }

  /**
   * Takes the work over, before it is submitted.
   *
   * @param id of what comes of it
   */
  public static Background of(Exchange from, String id) {
    Background work = new Background(from, id);
    work.admitted(from.handOver());
    return work;
  }

  @Override
  MultiMap headers() {
    return headers;
  }

  @Override
  String shownId() {
    return id;
  }

  @Override
  boolean isOneOf(Set<String> ids) {
    return ids.contains(id);
  }

  @Override
  public boolean isDone() {
    return done;
  }

  /** There is nobody to be told; what was to be kept has been told by the flight's answer. */
  @Override
  public void reply(Problem problem) {
    end();
  }

  /** What comes of the work is kept, or never will be. */
  public void end() {
    if (!done) {
      done = true;
      stopClock();
      release();
    }
  }

  @Override
  void cut() {
    if (!done) {
      abandon();
      end();
    }
  }
}
