package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;

/** Owned by the event loop: gathers the hidden states of all prompts, then scores them. */
final class ScoreAnswer implements Answer {
  private final Exchange exchange;
  private final Measure measure;
  private final float[][] states; // [prompts][width]
  private final Scoring.Layout layout;

  /** From hidden states to scores. */
  interface Measure {
    /**
     * @param states {@code [prompts][width]}
     */
    float[] of(float[][] states);
  }

  ScoreAnswer(Exchange exchange, Measure measure, int prompts, Scoring.Layout layout) {
    this.exchange = exchange;
    this.measure = measure;
    this.layout = layout;
    states = new float[prompts][];
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    if (delta.pooled().length > 0) {
      states[choice] = delta.pooled();
    }
  }

  @Override
  public void onEnd(Usage usage) {
    JsonWriter out = exchange.ingress().writer().clear();
    layout.write(out, measure.of(states), usage);
    exchange.replyJson(out);
  }

  @Override
  public void onFailure(Problem problem) {
    exchange.reply(problem);
  }
}
