package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Owned by the event loop: the parts that all server-sent events of one answer share, prebuilt. */
final class EventHead {
  static final String CONTENT_TYPE = "text/event-stream; charset=utf-8";

  private static final byte[] END = ascii("\n\n");
  private static final byte[] END_EVENT = ascii("}\n\n");
  private static final byte[] AFTER_CHOICES = ascii("]");
  private static final byte[] COMMA = ascii(",");
  private static final byte[] PROMPT_TEXT = ascii(",\"prompt_text\":");
  private static final byte[] DATA = ascii("data: ");
  private static final byte[] DONE = ascii("data: [DONE]\n\n");

  private final AnswerShape shape;
  private final byte[] untilChoices;

  EventHead(AnswerShape shape, String object) {
    this.shape = shape;
    JsonWriter out = new JsonWriter();
    out.raw(DATA).object().field("id", shape.id()).field("object", object);
    out.field("created", shape.created()).field("model", shape.model());
    out.name("choices").array();
    this.untilChoices = out.toBytes();
  }

  static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  /** From {@code data:} to the opening bracket of the choices. */
  byte[] untilChoices() {
    return untilChoices;
  }

  /** The same, then the index of the choice and {@code more}. */
  byte[] untilText(int choice, String more) {
    byte[] tail = ascii("{\"index\":" + choice + more);
    byte[] whole = Arrays.copyOf(untilChoices, untilChoices.length + tail.length);
    System.arraycopy(tail, 0, whole, untilChoices.length, tail.length);
    return whole;
  }

  /** After an event's only choice: the usage so far, where it is wanted, and the end. */
  void finish(JsonWriter out, Sequence sequence) {
    finish(
        out,
        new Usage(
            sequence.promptTokens(), sequence.generatedTokens(), -1, sequence.reasoningTokens()));
  }

  void finish(JsonWriter out, Usage usage) {
    finish(out, usage, null);
  }

  /**
   * @param usage so far
   * @param prompt its text; null: it is not shown
   */
  void finish(JsonWriter out, Usage usage, @Nullable String prompt) {
    out.raw(AFTER_CHOICES);
    if (prompt != null) {
      out.raw(PROMPT_TEXT).rawString(prompt);
    }
    if (shape.runningUsage()) {
      out.raw(COMMA);
      shape.usage(out, usage);
    }
    out.raw(END_EVENT);
  }

  /**
   * A whole answer as an event, then what ends the stream.
   *
   * @param answer a JSON object
   */
  void only(JsonWriter out, byte[] answer, Usage usage) {
    out.raw(DATA).raw(answer).raw(END);
    close(out, usage);
  }

  /** The event of the whole usage, then the end of the stream. */
  void close(JsonWriter out, Usage usage) {
    if (shape.finalUsage()) {
      out.raw(untilChoices).raw(AFTER_CHOICES).raw(COMMA);
      shape.usage(out, usage);
      out.raw(END_EVENT);
    }
    out.raw(DONE);
  }

  static void fail(JsonWriter out, Problem problem, Problem.Dialect dialect) {
    out.raw(DATA);
    problem.writeEvent(out, dialect);
    out.raw(END).raw(DONE);
  }
}
