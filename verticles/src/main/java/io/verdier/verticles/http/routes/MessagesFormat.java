package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Owned by the event loop: the events of the Messages API. */
final class MessagesFormat implements StreamFormat, AnswerBlocks.Listener {
  private final AnswerShape shape;
  private final ChatParsing parsing;
  private JsonWriter out = new JsonWriter(); // of the delta that is being told
  private @Nullable AnswerBlocks blocks;
  private Delta.@Nullable End end;

  MessagesFormat(AnswerShape shape, ChatParsing parsing) {
    this.shape = shape;
    this.parsing = parsing;
  }

  @Override
  public String contentType() {
    return EventHead.CONTENT_TYPE;
  }

  @Override
  public void open(JsonWriter writer, Delta first) {
    Delta.Start start = first.start();
    int prompt = start == null ? 0 : start.promptTokens().length;
    String promptTail = start == null ? "" : start.promptTail();
    blocks = new AnswerBlocks(parsing, promptTail, Messages.CALL_ID_PREFIX, this);
    NamedEvents.begin(writer, "message_start");
    writer.name("message").object();
    Messages.head(writer, shape);
    writer.name("content").array().end();
    writer.name("stop_reason").nothing().name("stop_sequence").nothing();
    Messages.usage(writer, prompt, 0);
    writer.end();
    NamedEvents.end(writer);
    NamedEvents.begin(writer, "ping");
    NamedEvents.end(writer);
  }

  @Override
  public void delta(JsonWriter writer, Sequence sequence, int choice, Delta delta) {
    if (blocks == null) {
      throw new IllegalStateException("news before the first");
    }
    out = writer;
    blocks.append(delta.text(), List.of());
    if (delta.end() != null) {
      end = delta.end();
      blocks.finish();
    }
  }

  @Override
  public void onBegin(AnswerBlocks.Block block) {
    NamedEvents.begin(out, "content_block_start");
    out.field("index", block.index).name("content_block");
    Messages.block(out, block, "", "{}");
    NamedEvents.end(out);
  }

  @Override
  public void onText(AnswerBlocks.Block block, String more) {
    NamedEvents.begin(out, "content_block_delta");
    out.field("index", block.index).name("delta").object();
    switch (block.kind) {
      case REASONING -> out.field("type", "thinking_delta").field("thinking", more);
      case TEXT -> out.field("type", "text_delta").field("text", more);
      case CALL -> out.field("type", "input_json_delta").field("partial_json", more);
    }
    out.end();
    NamedEvents.end(out);
  }

  @Override
  public void onEnd(AnswerBlocks.Block block) {
    NamedEvents.begin(out, "content_block_stop");
    out.field("index", block.index);
    NamedEvents.end(out);
  }

  @Override
  public void close(JsonWriter writer, Usage usage) {
    if (end == null || blocks == null) {
      throw new IllegalStateException("closed before its end");
    }
    NamedEvents.begin(writer, "message_delta");
    writer.name("delta").object();
    Messages.stop(writer, end, blocks.called());
    writer.end();
    Messages.usage(writer, usage.prompt(), usage.completion());
    NamedEvents.end(writer);
    NamedEvents.begin(writer, "message_stop");
    NamedEvents.end(writer);
  }

  @Override
  public void fail(JsonWriter writer, Problem problem, Problem.Dialect dialect) {
    NamedEvents.before(writer, "error");
    problem.write(writer, Problem.Dialect.ANTHROPIC);
    NamedEvents.after(writer);
  }
}
