package io.verdier.verticles.http.routes;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Usage;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes the objects of the Responses API. Immutable; one per answer.
 *
 * @param echo what {@link ResponsesEcho} makes of the request
 */
record ResponsesJson(AnswerShape shape, byte[] echo) {
  private static final byte[] COMMA = EventHead.ascii(",");

  /** How far an item or a response has come. */
  enum Status {
    QUEUED("queued"),
    IN_PROGRESS("in_progress"),
    COMPLETED("completed"),
    INCOMPLETE("incomplete"),
    CANCELLED("cancelled"),
    FAILED("failed");

    final String word;

    Status(String word) {
      this.word = word;
    }

    static Status of(Delta.@Nullable End end) {
      if (end == null || end.reason() == FinishReason.STOP) {
        return COMPLETED;
      }
      return end.reason() == FinishReason.ABORT ? CANCELLED : INCOMPLETE;
    }

    /** What clients know of an item, or of the last event, where the response has this status. */
    Status ofItem() {
      return this == CANCELLED ? INCOMPLETE : this;
    }
  }

  /**
   * The response object.
   *
   * @param blocks its output so far
   * @param usage null: not known yet
   * @param problem why it failed, null: it did not
   */
  void response(
      JsonWriter out,
      Status status,
      List<AnswerBlocks.Block> blocks,
      @Nullable Usage usage,
      @Nullable Problem problem) {
    out.object().field("id", shape.id()).field("object", "response");
    out.field("created_at", shape.created()).field("status", status.word);
    error(out, problem);
    out.name("incomplete_details");
    if (status == Status.INCOMPLETE) {
      out.object().field("reason", "max_output_tokens").end();
    } else {
      out.nothing();
    }
    out.field("model", shape.model()).name("output").array();
    for (AnswerBlocks.Block block : blocks) {
      boolean last = block.index == blocks.size() - 1;
      item(out, block, last && status != Status.FAILED ? status.ofItem() : Status.COMPLETED);
    }
    out.end().name("usage");
    if (usage == null) {
      out.nothing();
    } else {
      usage(out, usage);
    }
    out.raw(COMMA).raw(echo).end();
  }

  private static void error(JsonWriter out, @Nullable Problem problem) {
    out.name("error");
    if (problem == null) {
      out.nothing();
    } else {
      String code = problem.status() == 400 ? "invalid_prompt" : "server_error";
      out.object().field("code", code).field("message", problem.message()).end();
    }
  }

  private void usage(JsonWriter out, Usage usage) {
    int cached = shape.cachedDetails() ? usage.cached() : 0;
    out.object().field("input_tokens", usage.prompt());
    out.name("input_tokens_details").object().field("cached_tokens", cached);
    out.field("cache_write_tokens", 0).end(); // nobody pays for those here
    out.field("output_tokens", usage.completion());
    int reasoning = Math.max(0, usage.reasoning());
    out.name("output_tokens_details").object().field("reasoning_tokens", reasoning).end();
    out.field("total_tokens", (long) usage.prompt() + usage.completion()).end();
  }

  /** Name of an item; follows from the response's, so that whole and streamed answers agree. */
  String itemId(AnswerBlocks.Block block) {
    String prefix =
        switch (block.kind) {
          case REASONING -> "rs_";
          case TEXT -> "msg_";
          case CALL -> "fc_";
        };
    return prefix + shape.id().substring(Responses.ID_PREFIX.length()) + "_" + block.index;
  }

  /** An item of the output; one that has just begun is empty. */
  void item(JsonWriter out, AnswerBlocks.Block block, Status status) {
    boolean begun = status != Status.IN_PROGRESS;
    out.object().field("id", itemId(block));
    switch (block.kind) {
      case REASONING -> {
        out.field("type", "reasoning").name("summary").array().end();
        content(out, block, begun);
        out.name("encrypted_content").nothing();
      }
      case TEXT -> {
        out.field("type", "message").field("role", "assistant");
        content(out, block, begun);
      }
      case CALL -> {
        out.field("type", "function_call").field("call_id", block.callId);
        out.field("name", block.name).field("arguments", begun ? block.text.toString() : "");
      }
    }
    out.field("status", status.word).end();
  }

  private void content(JsonWriter out, AnswerBlocks.Block block, boolean begun) {
    out.name("content").array();
    if (begun) {
      part(out, block, block.text.toString());
    }
    out.end();
  }

  /** The one part of a message or of reasoning. */
  void part(JsonWriter out, AnswerBlocks.Block block, String text) {
    out.object();
    if (block.kind == AnswerBlocks.Kind.REASONING) {
      out.field("type", "reasoning_text").field("text", text);
    } else {
      out.field("type", "output_text").field("text", text);
      out.name("annotations").array().end();
      scores(out.name("logprobs"), text.isEmpty() ? List.of() : block.scores);
    }
    out.end();
  }

  /** A list of tokens with their log probabilities; empty where nobody asked for them. */
  void scores(JsonWriter out, List<Scores> tokens) {
    new ScoresJson(shape.tokensAsIds()).list(out, tokens);
  }
}
