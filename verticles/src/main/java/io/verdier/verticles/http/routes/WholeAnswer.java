package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Owned by the event loop: gathers every choice, then answers once. */
final class WholeAnswer implements Answer {
  private final Exchange exchange;
  private final List<Choice> choices;
  private final Layout layout;
  private final @Nullable EventHead events; // null: the answer is JSON

  /** How the whole answer looks. */
  interface Layout {
    void write(JsonWriter out, List<Choice> choices, Usage usage);
  }

  WholeAnswer(Exchange exchange, int choices, Layout layout) {
    this(exchange, choices, layout, null);
  }

  private WholeAnswer(Exchange exchange, int choices, Layout layout, @Nullable EventHead events) {
    this.events = events;
    this.exchange = exchange;
    this.choices = Stream.generate(Choice::new).limit(choices).toList();
    this.layout = layout;
  }

  /** The same as the only event of a stream, for an answer that is known all at once. */
  static WholeAnswer asEvent(Exchange exchange, int choices, Layout layout, EventHead events) {
    return new WholeAnswer(exchange, choices, layout, events);
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    choices.get(choice).add(delta);
  }

  @Override
  public void onEnd(Usage usage) {
    JsonWriter out = exchange.ingress().writer().clear();
    layout.write(out, choices, usage);
    if (events == null) {
      LoadReport.add(exchange);
      exchange.replyJson(out);
    } else {
      byte[] answer = out.toBytes();
      events.only(out.clear(), answer, usage);
      exchange.reply(200, EventHead.CONTENT_TYPE, Buffer.buffer(out.toBytes()));
    }
  }

  @Override
  public void onFailure(Problem problem) {
    exchange.reply(problem);
  }
}
