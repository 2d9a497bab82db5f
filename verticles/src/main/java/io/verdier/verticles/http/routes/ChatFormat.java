package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: {@code chat.completion.chunk} events. Fields that vLLM leaves unset are
 * absent, not null. The plain event, which is nearly every one, is put together from prebuilt
 * parts.
 */
final class ChatFormat implements StreamFormat {
  private static final byte[] PLAIN_END =
      EventHead.ascii("},\"logprobs\":null,\"finish_reason\":null}]}\n\n");

  private static final byte[] AFTER_TEXT = EventHead.ascii("},");
  private static final byte[] AFTER_CHOICE = EventHead.ascii("}");

  private final ChatCompletions.Look look;
  private final AnswerShape shape;
  private final EventHead head;
  private final byte[][] untilText;
  private final boolean logprobs;
  private final boolean plain;
  private final ChatParsing parsing;
  private final @Nullable ChatText[] texts; // by choice, where text is parsed; made on demand
  private String promptTail = "";

  ChatFormat(ChatCompletions.Look look) {
    this.look = look;
    this.parsing = look.parsing();
    this.texts = new ChatText[look.choices()];
    this.shape = look.shape();
    this.head = new EventHead(shape, "chat.completion.chunk");
    this.logprobs = look.logprobs();
    this.plain = !logprobs && !shape.runningUsage() && !shape.tokenIds();
    this.untilText = new byte[look.choices()][];
    for (int i = 0; i < look.choices(); i++) {
      untilText[i] = head.untilText(i, ",\"delta\":{\"content\":");
    }
  }

  @Override
  public String contentType() {
    return EventHead.CONTENT_TYPE;
  }

  @Override
  public void open(JsonWriter out, Delta first) {
    int[] prompt = first.start() == null ? new int[0] : first.start().promptTokens();
    promptTail = first.start() == null ? "" : first.start().promptTail();
    int reasoning = first.reasoningTokens() < 0 ? -1 : 0;
    Usage usage = new Usage(prompt.length, 0, -1, reasoning);
    for (int i = 0; i < untilText.length; i++) {
      out.raw(head.untilChoices()).object().field("index", i).name("delta").object();
      out.field("role", look.role()).field("content", "").end();
      out.name("logprobs").nothing().name("finish_reason").nothing();
      if (shape.tokenIds()) {
        out.name("prompt_token_ids").values(prompt);
      }
      out.end();
      head.finish(out, usage, look.prompt());
    }
    for (int i = 0; i < untilText.length && !look.echo().isEmpty(); i++) {
      out.raw(untilText[i]).rawString(look.echo()).raw(AFTER_TEXT);
      out.name("logprobs").nothing().name("finish_reason").nothing().raw(AFTER_CHOICE);
      head.finish(out, usage, null);
    }
  }

  @Override
  public void delta(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    if (!parsing.isNothing()) {
      parsed(out, sequence, choice, delta);
      return;
    }
    Delta.End end = delta.end();
    if (end == null && delta.text().isEmpty() && delta.tokens().length == 0) {
      return;
    }
    out.raw(untilText[choice]).rawString(delta.text());
    if (plain && end == null) {
      out.raw(PLAIN_END);
    } else {
      out.raw(AFTER_TEXT);
      rest(out, delta, false);
      out.raw(AFTER_CHOICE);
      head.finish(out, sequence);
    }
  }

  /** The event of a text that is taken apart; none while nothing is certain. */
  private void parsed(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    ChatText text = texts[choice];
    if (text == null) {
      text = new ChatText(parsing, promptTail);
      texts[choice] = text;
    }
    text.append(delta.text());
    if (delta.end() != null) {
      text.finish();
    }
    boolean tokens = delta.tokens().length > 0 && (logprobs || look.tokenIds());
    if (text.hasNews() || tokens || delta.end() != null) {
      out.raw(head.untilChoices()).object().field("index", choice).name("delta").object();
      text.writeDelta(out, shape.dialect());
      out.end();
      rest(out, delta, text.endsByCalling());
      out.end();
      head.finish(out, sequence);
      text.clear();
    }
  }

  /** What follows the text of an event that says more than text. */
  private void rest(JsonWriter out, Delta delta, boolean called) {
    out.name("logprobs");
    if (logprobs && !delta.scores().isEmpty()) {
      new ScoresJson(shape.tokensAsIds()).chat(out, delta.scores());
    } else {
      out.nothing();
    }
    Delta.End end = delta.end();
    if (end == null) {
      out.name("finish_reason").nothing();
    } else {
      Choice.finishReason(out, end, called);
      Choice.stopReason(out, end);
    }
    if (look.tokenIds()) {
      out.name("token_ids").values(delta.tokens());
    }
  }

  @Override
  public void close(JsonWriter out, Usage usage) {
    head.close(out, usage);
  }

  @Override
  public void fail(JsonWriter out, Problem problem, Problem.Dialect dialect) {
    EventHead.fail(out, problem, dialect);
  }
}
