package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;

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

  private final AnswerShape shape;
  private final EventHead head;
  private final String role;
  private final byte[][] untilText;
  private final boolean logprobs;
  private final boolean plain;

  ChatFormat(AnswerShape shape, String role, int choices, boolean logprobs) {
    this.shape = shape;
    this.head = new EventHead(shape, "chat.completion.chunk");
    this.role = role;
    this.logprobs = logprobs;
    this.plain = !logprobs && !shape.runningUsage() && !shape.tokenIds();
    this.untilText = new byte[choices][];
    for (int i = 0; i < choices; i++) {
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
    for (int i = 0; i < untilText.length; i++) {
      out.raw(head.untilChoices()).object().field("index", i).name("delta").object();
      out.field("role", role).field("content", "").end();
      out.name("logprobs").nothing().name("finish_reason").nothing();
      if (shape.tokenIds()) {
        out.name("prompt_token_ids").values(prompt);
      }
      out.end();
      head.finish(out, prompt.length, 0);
    }
  }

  @Override
  public void delta(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    Delta.End end = delta.end();
    if (end == null && delta.text().isEmpty() && delta.tokens().length == 0) {
      return;
    }
    out.raw(untilText[choice]).rawString(delta.text());
    if (plain && end == null) {
      out.raw(PLAIN_END);
    } else {
      rest(out, delta);
      head.finish(out, sequence);
    }
  }

  /** What follows the text of an event that says more than text. */
  private void rest(JsonWriter out, Delta delta) {
    out.raw(AFTER_TEXT).name("logprobs");
    if (logprobs && !delta.scores().isEmpty()) {
      new ScoresJson(shape.tokensAsIds()).chat(out, delta.scores());
    } else {
      out.nothing();
    }
    Delta.End end = delta.end();
    if (end == null) {
      out.name("finish_reason").nothing();
    } else {
      Choice.finishReason(out, end);
      Choice.stopReason(out, end);
    }
    if (shape.tokenIds()) {
      out.name("token_ids").values(delta.tokens());
    }
    out.raw(AFTER_CHOICE);
  }

  @Override
  public void close(JsonWriter out, Usage usage) {
    head.close(out, usage);
  }

  @Override
  public void fail(JsonWriter out, Problem problem) {
    EventHead.fail(out, problem);
  }
}
