package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.StreamFormat;
import io.verdier.verticles.http.Usage;
import java.util.ArrayList;
import java.util.List;

/** Owned by the event loop: streamed {@code text_completion} events. */
final class CompletionFormat implements StreamFormat {
  private static final byte[] PLAIN_END =
      EventHead.ascii(",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}]}\n\n");
  private static final byte[] AFTER_TEXT = EventHead.ascii(",");
  private static final byte[] AFTER_CHOICE = EventHead.ascii("}");

  private final AnswerShape shape;
  private final EventHead head;
  private final List<String> echoes;
  private final byte[][] untilText;
  private final int[] offsets;
  private final boolean logprobs;
  private final boolean scoredEcho;
  private final boolean plain;

  /**
   * @param echoes what each choice's text begins with
   * @param scoredEcho whether those come with log probabilities, as soon as they are known
   */
  CompletionFormat(AnswerShape shape, List<String> echoes, boolean logprobs, boolean scoredEcho) {
    this.scoredEcho = scoredEcho;
    this.shape = shape;
    this.head = new EventHead(shape, Completions.OBJECT);
    this.echoes = echoes;
    this.logprobs = logprobs;
    this.plain = !logprobs && !shape.runningUsage() && !shape.tokenIds();
    this.offsets = new int[echoes.size()];
    this.untilText = new byte[echoes.size()][];
    for (int i = 0; i < untilText.length; i++) {
      untilText[i] = head.untilText(i, ",\"text\":");
    }
  }

  @Override
  public String contentType() {
    return EventHead.CONTENT_TYPE;
  }

  @Override
  public void open(JsonWriter out, Delta first) {
    for (int i = 0; i < untilText.length; i++) {
      if (!echoes.get(i).isEmpty() && !scoredEcho) {
        out.raw(untilText[i]).rawString(echoes.get(i)).raw(PLAIN_END);
      }
    }
  }

  @Override
  public void delta(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    if (scoredEcho) {
      prompt(out, sequence, choice, delta);
    }
    boolean silent = delta.text().isEmpty() && delta.tokens().length == 0 && delta.end() == null;
    if (silent && !(shape.tokenIds() && delta.start() != null)) {
      return;
    }
    out.raw(untilText[choice]).rawString(delta.text());
    if (plain && delta.end() == null) {
      out.raw(PLAIN_END);
    } else {
      rest(out, choice, delta);
      head.finish(out, sequence);
    }
  }

  /** The event of those tokens of an echoed prompt that this delta scores. */
  private void prompt(JsonWriter out, Sequence sequence, int choice, Delta delta) {
    List<Delta.Scores> scores = new ArrayList<>();
    Delta.Start start = delta.start();
    if (start != null) {
      scores.add(ScoresJson.unscored(start.promptTokens()[0], start.promptHead()));
    }
    scores.addAll(delta.promptScores());
    if (scores.isEmpty()) {
      return;
    }
    out.raw(untilText[choice]).rawString(start == null ? "" : echoes.get(choice));
    out.raw(AFTER_TEXT).name("logprobs");
    offsets[choice] = new ScoresJson(shape.tokensAsIds()).legacy(out, scores, offsets[choice]);
    out.name("finish_reason").nothing().name("stop_reason").nothing().raw(AFTER_CHOICE);
    head.finish(out, sequence);
  }

  /** What follows the text of an event that says more than text. */
  private void rest(JsonWriter out, int choice, Delta delta) {
    out.raw(AFTER_TEXT).name("logprobs");
    if (logprobs && !delta.scores().isEmpty()) {
      offsets[choice] =
          new ScoresJson(shape.tokensAsIds()).legacy(out, delta.scores(), offsets[choice]);
    } else {
      out.nothing();
    }
    Delta.End end = delta.end();
    if (end == null) {
      out.name("finish_reason").nothing().name("stop_reason").nothing();
    } else {
      Choice.finishReason(out, end);
      Choice.stopReason(out, end);
    }
    if (shape.tokenIds()) {
      if (delta.start() != null) {
        out.name("prompt_token_ids").values(delta.start().promptTokens());
      }
      out.name("token_ids").values(delta.tokens());
    }
    out.raw(AFTER_CHOICE);
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
