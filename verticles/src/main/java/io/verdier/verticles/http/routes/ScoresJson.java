package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta.Score;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.http.JsonWriter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Immutable: log probabilities in the three shapes that clients know. */
record ScoresJson(boolean tokensAsIds) {

  /** {@code {"content":[…]}} of chats. */
  void chat(JsonWriter out, List<Scores> tokens) {
    list(out.object().name("content"), tokens);
    out.end();
  }

  /** The list of the Responses API, and of the chat's {@code content}. */
  void list(JsonWriter out, List<Scores> tokens) {
    out.array();
    for (Scores scores : tokens) {
      out.object();
      chatToken(out, scores.chosen());
      out.name("top_logprobs").array();
      for (Score score : scores.top()) {
        out.object();
        chatToken(out, score);
        out.end();
      }
      out.end().end();
    }
    out.end();
  }

  private void chatToken(JsonWriter out, Score score) {
    out.field("token", shown(score)).name("logprob").logprob(score.logprob());
    out.name("bytes").array();
    for (byte b : score.bytes()) {
      out.value(b & 0xff);
    }
    out.end();
  }

  /** The first token of a prompt, which nothing scores. */
  static Scores unscored(int id, String text) {
    return new Scores(new Score(id, text, new byte[0], Float.NaN, 0), List.of());
  }

  private static boolean isUnscored(Scores scores) {
    return Float.isNaN(scores.chosen().logprob());
  }

  /**
   * The four parallel lists of completions; null stands where a token is not scored.
   *
   * @param offset characters of text before the first token, Unicode code points as all offsets
   * @return characters of text after the last token
   */
  int legacy(JsonWriter out, List<Scores> tokens, int offset) {
    int at = offset;
    out.object().name("text_offset").array();
    for (Scores scores : tokens) {
      out.value(at);
      String text = shown(scores.chosen());
      at += text.codePointCount(0, text.length()); // what Python counts: an emoji is one
    }
    out.end().name("token_logprobs").array();
    for (Scores scores : tokens) {
      if (isUnscored(scores)) {
        out.nothing();
      } else {
        out.logprob(scores.chosen().logprob());
      }
    }
    out.end().name("tokens").array();
    for (Scores scores : tokens) {
      out.value(shown(scores.chosen()));
    }
    out.end().name("top_logprobs").array();
    for (Scores scores : tokens) {
      legacyTop(out, scores);
    }
    out.end().end();
    return at;
  }

  /**
   * Distinct tokens may look alike (parts of characters do): the first, most probable one stays.
   */
  private void legacyTop(JsonWriter out, Scores scores) {
    if (isUnscored(scores)) {
      out.nothing();
      return;
    }
    Map<String, Float> byText = new LinkedHashMap<>();
    byText.put(shown(scores.chosen()), scores.chosen().logprob());
    for (Score score : scores.top()) {
      byText.putIfAbsent(shown(score), score.logprob());
    }
    out.object();
    for (Map.Entry<String, Float> entry : byText.entrySet()) {
      out.name(entry.getKey()).logprob(entry.getValue());
    }
    out.end();
  }

  /** A list with one object per prompt token, by id; the first token has nothing before it. */
  static void prompt(JsonWriter out, List<Scores> tokens) {
    out.array().nothing();
    for (Scores scores : tokens) {
      Map<Integer, Score> byId = new LinkedHashMap<>();
      byId.put(scores.chosen().id(), scores.chosen());
      for (Score score : scores.top()) {
        byId.putIfAbsent(score.id(), score);
      }
      out.object();
      for (Score score : byId.values()) {
        out.name(Integer.toString(score.id())).object();
        out.name("logprob").logprob(score.logprob());
        out.field("rank", score.rank()).field("decoded_token", score.text()).end();
      }
      out.end();
    }
    out.end();
  }

  private String shown(Score score) {
    return tokensAsIds ? "token_id:" + score.id() : score.text();
  }
}
