package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.routes.ResponsesJson.Status;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Owned by the event loop: the events of the Responses API, numbered through. */
final class ResponsesFormat implements StreamFormat, AnswerBlocks.Listener {
  private final ResponsesJson json;
  private final ChatParsing parsing;
  private final Keeper keeper;
  private JsonWriter out = new JsonWriter(); // of the delta that is being told
  private @Nullable AnswerBlocks blocks;
  private Delta.@Nullable End end;
  private int events;

  /** Takes the response as it is in the end. */
  interface Keeper {
    void keep(Status status, List<AnswerBlocks.Block> blocks, byte[] json);
  }

  /**
   * @param keeper called once, where the answer comes to its end or fails
   */
  ResponsesFormat(ResponsesJson json, ChatParsing parsing, Keeper keeper) {
    this.json = json;
    this.parsing = parsing;
    this.keeper = keeper;
  }

  @Override
  public String contentType() {
    return EventHead.CONTENT_TYPE;
  }

  @Override
  public void open(JsonWriter writer, Delta first) {
    String promptTail = first.start() == null ? "" : first.start().promptTail();
    open(writer, promptTail);
  }

  private void open(JsonWriter writer, String promptTail) {
    blocks = new AnswerBlocks(parsing, promptTail, Responses.CALL_ID_PREFIX, this);
    out = writer;
    for (String type : List.of("response.created", "response.in_progress")) {
      begin(type);
      out.name("response");
      json.response(out, Status.IN_PROGRESS, List.of(), null, null);
      NamedEvents.end(out);
    }
  }

  @Override
  public void delta(JsonWriter writer, Sequence sequence, int choice, Delta delta) {
    out = writer;
    opened().append(delta.text(), delta.scores());
    if (delta.end() != null) {
      end = delta.end();
      opened().finish();
    }
  }

  private AnswerBlocks opened() {
    if (blocks == null) {
      throw new IllegalStateException("news before the first");
    }
    return blocks;
  }

  private void begin(String type) {
    NamedEvents.begin(out, type);
    out.field("sequence_number", events++);
  }

  private void beginOfItem(String type, AnswerBlocks.Block block) {
    begin(type);
    out.field("item_id", json.itemId(block)).field("output_index", block.index);
    if (block.kind != AnswerBlocks.Kind.CALL) {
      out.field("content_index", 0);
    }
  }

  @Override
  public void onBegin(AnswerBlocks.Block block) {
    item("response.output_item.added", block, Status.IN_PROGRESS);
    if (block.kind != AnswerBlocks.Kind.CALL) {
      part("response.content_part.added", block, "");
    }
  }

  private void item(String type, AnswerBlocks.Block block, Status status) {
    begin(type);
    out.field("output_index", block.index).name("item");
    json.item(out, block, status);
    NamedEvents.end(out);
  }

  private void part(String type, AnswerBlocks.Block block, String text) {
    beginOfItem(type, block);
    out.name("part");
    json.part(out, block, text);
    NamedEvents.end(out);
  }

  @Override
  public void onText(AnswerBlocks.Block block, String more) {
    beginOfItem(family(block) + ".delta", block);
    out.field("delta", more);
    if (block.kind == AnswerBlocks.Kind.TEXT) {
      json.scores(
          out.name("logprobs"), block.scores.subList(block.scoresTold, block.scores.size()));
    }
    NamedEvents.end(out);
  }

  private static String family(AnswerBlocks.Block block) {
    return switch (block.kind) {
      case REASONING -> "response.reasoning_text";
      case TEXT -> "response.output_text";
      case CALL -> "response.function_call_arguments";
    };
  }

  @Override
  public void onEnd(AnswerBlocks.Block block) {
    String text = block.text.toString();
    beginOfItem(family(block) + ".done", block);
    switch (block.kind) {
      case REASONING -> out.field("text", text);
      case TEXT -> json.scores(out.field("text", text).name("logprobs"), block.scores);
      case CALL -> out.field("name", block.name).field("arguments", text);
    }
    NamedEvents.end(out);
    if (block.kind != AnswerBlocks.Kind.CALL) {
      part("response.content_part.done", block, text);
    }
    item("response.output_item.done", block, Status.of(end).ofItem());
  }

  @Override
  public void close(JsonWriter writer, Usage usage) {
    out = writer;
    end(Status.of(end), usage, null);
  }

  /** The last event has the whole response once more. */
  private void end(Status status, @Nullable Usage usage, @Nullable Problem problem) {
    JsonWriter response = new JsonWriter();
    json.response(response, status, opened().blocks(), usage, problem);
    byte[] whole = response.toBytes();
    begin("response." + status.ofItem().word);
    out.name("response").raw(whole);
    NamedEvents.end(out);
    keeper.keep(status, opened().blocks(), whole);
  }

  @Override
  public void fail(JsonWriter writer, Problem problem, Problem.Dialect dialect) {
    if (blocks == null) { // it came to nothing before its first news
      open(writer, "");
    }
    out = writer;
    end(Status.FAILED, null, problem);
  }
}
