package io.verdier.verticles.http.routes;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Usage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Owned by the event loop: one whole choice, gathered from its deltas. */
final class Choice {
  private static final int[] NONE = {};

  final StringBuilder text = new StringBuilder();
  final List<Scores> scores = new ArrayList<>();
  final List<Scores> promptScores = new ArrayList<>();
  int[] promptTokens = NONE;
  String promptTail = "";
  String promptHead = "";
  int[] tokens = NONE;
  private int tokenCount;
  private int reasoningTokens = -1;
  private Delta.@Nullable End end;

  void add(Delta delta) {
    if (delta.start() != null) {
      promptTokens = delta.start().promptTokens();
      promptTail = delta.start().promptTail();
      promptHead = delta.start().promptHead();
    }
    text.append(delta.text());
    reasoningTokens = delta.reasoningTokens();
    scores.addAll(delta.scores());
    promptScores.addAll(delta.promptScores());
    int[] more = delta.tokens();
    if (tokenCount + more.length > tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.max(tokenCount + more.length, 2 * tokens.length));
    }
    System.arraycopy(more, 0, tokens, tokenCount, more.length);
    tokenCount += more.length;
    if (delta.end() != null) {
      end = delta.end();
    }
  }

  /** The prompt's tokens, the first of which nothing scores; a new list. */
  List<Scores> scoredPrompt() {
    List<Scores> scored = new ArrayList<>();
    if (promptTokens.length > 0) {
      scored.add(ScoresJson.unscored(promptTokens[0], promptHead));
    }
    scored.addAll(promptScores);
    return scored;
  }

  int[] generated() {
    return Arrays.copyOf(tokens, tokenCount);
  }

  /** Tokens of the answer, as the engine counts them. */
  int generatedCount() {
    return end == null ? tokenCount : end.generatedTokens();
  }

  /** Tokens of the choices of one prompt. */
  static Usage usage(List<Choice> choices) {
    Choice first = choices.getFirst();
    int completion = choices.stream().mapToInt(Choice::generatedCount).sum();
    int cached = first.end == null ? 0 : first.end.cachedTokens();
    int reasoning = -1;
    for (Choice choice : choices) {
      reasoning = Usage.reasoning(reasoning, choice.reasoningTokens);
    }
    return new Usage(first.promptTokens.length, completion, cached, reasoning);
  }

  Delta.End end() {
    if (end == null) {
      throw new IllegalStateException("a choice without an end");
    }
    return end;
  }

  void ending(JsonWriter out, boolean called) {
    finishReason(out, end(), called);
    stopReason(out, end());
  }

  static void finishReason(JsonWriter out, Delta.End end) {
    finishReason(out, end, false);
  }

  /**
   * @param called whether the answer calls tools; what broke off has not finished calling
   */
  static void finishReason(JsonWriter out, Delta.End end, boolean called) {
    boolean finished = end.reason() == FinishReason.STOP;
    out.field("finish_reason", called && finished ? "tool_calls" : name(end.reason()));
  }

  private static String name(FinishReason reason) {
    return reason.name().toLowerCase(Locale.ROOT);
  }

  /** The stop string or the stop token that ended the choice, or null. */
  static void stopReason(JsonWriter out, Delta.End end) {
    out.name("stop_reason");
    if (end.reason() == FinishReason.REPETITION) {
      out.value("repetition_detected");
    } else if (end.stopString() == null && end.stopToken() >= 0) {
      out.value(end.stopToken());
    } else {
      out.value(end.stopString());
    }
  }
}
