package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;

/** Owned by the event loop: gathers the vectors of all texts, then compares them. */
final class ScoreAnswer implements Answer {
  private final Exchange exchange;
  private final VectorForm form;
  private final int left; // texts of the first side, which come first
  private final float[][] vectors; // [texts][width]
  private final Scoring.Layout layout;

  ScoreAnswer(Exchange exchange, VectorForm form, int left, int texts, Scoring.Layout layout) {
    this.exchange = exchange;
    this.form = form;
    this.left = left;
    this.layout = layout;
    vectors = new float[texts][];
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    if (delta.pooled().length > 0) {
      vectors[choice] = form.vector(delta.pooled(), 0);
    }
  }

  @Override
  public void onEnd(Usage usage) {
    float[] scores = new float[vectors.length - left];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = VectorForm.cosine(vectors[left == 1 ? 0 : i], vectors[left + i]);
    }
    JsonWriter out = exchange.ingress().writer().clear();
    layout.write(out, scores, usage);
    exchange.replyJson(out);
  }

  @Override
  public void onFailure(Problem problem) {
    exchange.reply(problem);
  }
}
