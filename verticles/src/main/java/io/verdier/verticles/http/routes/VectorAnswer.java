package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: writes vectors, those of each prompt when they come. A thousand of them
 * written at once would keep the other requests of the event loop waiting.
 */
final class VectorAnswer implements Answer {
  /** 4 MiB, some 12 MB as JSON. */
  private static final int FLOATS_MAX = 1 << 20;

  private static final byte[] COMMA = {','};

  private final Exchange exchange;
  private final Look look;
  private final byte[][] written; // [prompts], JSON
  private int floats;

  /** How routes name things. */
  enum Style {
    EMBEDDING("Embeddings", "embd-", "embedding", "embedding"),
    POOLING("Pooling", "pool-", "pooling", "data");

    private final String api;
    private final String idPrefix;
    private final String object;
    private final String field;

    Style(String api, String idPrefix, String object, String field) {
      this.api = api;
      this.idPrefix = idPrefix;
      this.object = object;
      this.field = field;
    }

    String api() {
      return api;
    }

    String idPrefix() {
      return idPrefix;
    }
  }

  /**
   * What the answer needs of its request. Immutable.
   *
   * @param bytes what numbers become, as base64; null: they stay numbers
   * @param nested whether a prompt has a list of vectors
   */
  record Look(
      AnswerShape shape,
      Style style,
      VectorForm form,
      @Nullable VectorBytes bytes,
      boolean nested) {}

  VectorAnswer(Exchange exchange, Look look, int prompts) {
    this.exchange = exchange;
    this.look = look;
    written = new byte[prompts][];
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    float[] states = delta.pooled();
    if (states.length == 0) {
      return;
    }
    VectorForm form = look.form();
    floats += form.count(states) * form.kept();
    if (floats > FLOATS_MAX) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "The vectors of this request have more than "
              + FLOATS_MAX
              + " numbers. Send fewer or shorter prompts at once.");
    }
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("index", choice).field("object", look.style().object);
    out.name(look.style().field);
    VectorBytes bytes = look.bytes();
    if (bytes != null) {
      out.value(bytes.base64(form, states));
    } else {
      numbers(out, states);
    }
    written[choice] = out.end().toBytes();
  }

  private void numbers(JsonWriter out, float[] states) {
    VectorForm form = look.form();
    if (!look.nested()) {
      out.values(form.vector(states, 0));
      return;
    }
    out.array();
    for (int i = 0; i < form.count(states); i++) {
      out.values(form.vector(states, i));
    }
    out.end();
  }

  @Override
  public void onEnd(Usage usage) {
    AnswerShape shape = look.shape();
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("id", shape.id()).field("object", "list");
    out.field("created", shape.created()).field("model", shape.model());
    out.name("data").array();
    for (int i = 0; i < written.length; i++) {
      if (i > 0) {
        out.raw(COMMA);
      }
      out.raw(written[i]);
    }
    out.end();
    shape.usage(out, usage);
    exchange.replyJson(out.end());
  }

  @Override
  public void onFailure(Problem problem) {
    exchange.reply(problem);
  }
}
