package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;
import java.util.List;

/**
 * Owned by the event loop: Vertex AI's streamed text predictions, JSON documents that each end with
 * one NUL byte. Each has an entry per choice, empty for those without news.
 */
final class TextFormat implements StreamFormat {
  private static final byte[] NUL = {0};

  private final int choices;
  private final boolean raw;
  private final double[] sums;

  TextFormat(List<TextInstance.Look> byChoice) {
    this.choices = byChoice.size();
    this.raw = byChoice.stream().allMatch(TextInstance.Look::raw);
    this.sums = new double[choices];
  }

  @Override
  public String contentType() {
    return "application/octet-stream";
  }

  @Override
  public void open(JsonWriter out, Delta first) {}

  @Override
  public void delta(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    sums[choice] += TextInstance.sum(delta.scores());
    if (delta.text().isEmpty() && delta.tokens().length == 0) {
      return;
    }
    out.object().name("predictions").array();
    for (int i = 0; i < choices; i++) {
      out.value(i == choice ? delta.text() : "");
    }
    out.end();
    if (raw) {
      out.name("output_token_counts").array();
      for (int i = 0; i < choices; i++) {
        out.value(i == choice ? delta.tokens().length : 0);
      }
      out.end().name("cumulative_logprobs").array();
      for (double sum : sums) {
        out.logprobSum(sum);
      }
      out.end();
    }
    out.end().raw(NUL);
  }

  @Override
  public void close(JsonWriter out, Usage usage) {}

  @Override
  public void fail(JsonWriter out, Problem problem, Problem.Dialect dialect) {
    problem.writeEvent(out, dialect);
    out.raw(NUL);
  }
}
