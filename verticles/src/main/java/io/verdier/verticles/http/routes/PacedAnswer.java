package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: passes on news of several tokens at once, for clients that want fewer
 * events. The first token of a choice and its end do not wait.
 */
final class PacedAnswer implements Answer {
  private final Answer inner;
  private final int interval;
  private final @Nullable Delta[] held; // by choice
  private final boolean[] hasSpoken;

  private PacedAnswer(Answer inner, int interval, int choices) {
    this.inner = inner;
    this.interval = interval;
    this.held = new Delta[choices];
    this.hasSpoken = new boolean[choices];
  }

  /**
   * @param interval tokens of a choice in an event
   */
  static Answer of(Answer inner, int interval, int choices) {
    return interval == 1 ? inner : new PacedAnswer(inner, interval, choices);
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    Delta before = held[choice];
    Delta news = before == null ? delta : before.and(delta);
    int tokens = news.tokens().length;
    if (delta.end() == null && tokens < (hasSpoken[choice] ? interval : 1)) {
      held[choice] = news;
      return;
    }
    held[choice] = null;
    hasSpoken[choice] = true;
    inner.onDelta(sequence, choice, news);
  }

  @Override
  public void onEnd(Usage usage) {
    inner.onEnd(usage);
  }

  @Override
  public void onFailure(Problem problem) {
    inner.onFailure(problem);
  }
}
