package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import java.util.List;
import java.util.stream.Stream;

/** Owned by the event loop: gathers every choice, then answers once. */
final class WholeAnswer implements Answer {
  private final Exchange exchange;
  private final List<Choice> choices;
  private final Layout layout;

  /** How the whole answer looks. */
  interface Layout {
    void write(JsonWriter out, List<Choice> choices, Usage usage);
  }

  WholeAnswer(Exchange exchange, int choices, Layout layout) {
    this.exchange = exchange;
    this.choices = Stream.generate(Choice::new).limit(choices).toList();
    this.layout = layout;
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    choices.get(choice).add(delta);
  }

  @Override
  public void onEnd(Usage usage) {
    JsonWriter out = exchange.ingress().writer().clear();
    layout.write(out, choices, usage);
    LoadReport.add(exchange);
    exchange.replyJson(out);
  }

  @Override
  public void onFailure(Problem problem) {
    exchange.reply(problem);
  }
}
