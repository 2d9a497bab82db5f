package io.verdier.verticles.bus;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.SequenceText;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * News of one sequence, as text. Immutable.
 *
 * @param start in the sequence's first delta only (absent when the request was refused before it
 *     was scheduled)
 * @param text newly stable text; empty while a character or a possible stop string is held back
 * @param tokens newly generated ids
 * @param scores log probabilities of {@code tokens}, one each; empty unless asked for
 * @param promptScores log probabilities of prompt tokens, in order, the first token left out; empty
 *     unless asked for
 * @param pooled hidden states {@code [vectors, width]}, with the end; empty unless asked for
 * @param reasoningTokens of all tokens so far; -1: nobody counts them
 * @param end in the sequence's last delta only
 */
public record Delta(
    long key,
    @Nullable Start start,
    String text,
    int[] tokens,
    List<Scores> scores,
    List<Scores> promptScores,
    float[] pooled,
    int reasoningTokens,
    @Nullable End end) {

  private static final int[] NO_TOKENS = {};
  private static final float[] NOTHING = {};

  /** News without hidden states and without reasoning. */
  public Delta(
      long key,
      @Nullable Start start,
      String text,
      int[] tokens,
      List<Scores> scores,
      List<Scores> promptScores,
      @Nullable End end) {
    this(key, start, text, tokens, scores, promptScores, NOTHING, SequenceText.UNCOUNTED, end);
  }

  /** This news and what came behind it, as one. */
  public Delta and(Delta later) {
    int[] all = Arrays.copyOf(tokens, tokens.length + later.tokens.length);
    System.arraycopy(later.tokens, 0, all, tokens.length, later.tokens.length);
    return new Delta(
        key,
        start,
        text + later.text,
        all,
        concatenated(scores, later.scores),
        concatenated(promptScores, later.promptScores),
        later.pooled,
        later.reasoningTokens,
        later.end);
  }

  private static List<Scores> concatenated(List<Scores> first, List<Scores> second) {
    List<Scores> both = new ArrayList<>(first);
    both.addAll(second);
    return both;
  }

  /** A sequence that ended before it began. */
  public static Delta refused(long key, ErrorCode code, String text, @Nullable String parameter) {
    End end = new End(FinishReason.ERROR, null, -1, 0, 0, new Refused(code, text, parameter));
    return new Delta(key, null, "", NO_TOKENS, List.of(), List.of(), end);
  }

  /** A sequence that somebody ended before it began. */
  public static Delta ended(long key, FinishReason reason) {
    End end = new End(reason, null, -1, 0, 0, null);
    return new Delta(key, null, "", NO_TOKENS, List.of(), List.of(), end);
  }

  /**
   * What is known once the prompt is tokenized.
   *
   * @param promptTail text of its last few tokens, special ones included
   * @param promptHead text of its first token, as scores show it: nothing scores that one
   */
  public record Start(int[] promptTokens, String promptTail, String promptHead) {}

  /**
   * One token with its log probability.
   *
   * @param text as shown to users; may hold U+FFFD for a part of a character
   * @param bytes the token's exact bytes
   */
  public record Score(int id, String text, byte[] bytes, float logprob, int rank) {}

  /**
   * The token at a position and the most probable ones there, best first.
   *
   * @param textEnd where the token ends in the answer's text, in characters, as if no stop string
   *     cut it; 0 of a prompt's tokens
   */
  public record Scores(Score chosen, List<Score> top, int textEnd) {

    /** Of a prompt's token. */
    public Scores(Score chosen, List<Score> top) {
      this(chosen, top, 0);
    }
  }

  /**
   * The end of a sequence.
   *
   * @param stopString the stop string that ended it, null where none did
   * @param stopToken the stop token id that ended it, -1 where none did (the model's own end tokens
   *     do not count)
   * @param cachedTokens prompt tokens found in the prefix cache
   * @param generatedTokens generated tokens, up to the stop
   * @param refusal why, when {@code reason} is {@link FinishReason#ERROR}
   */
  public record End(
      FinishReason reason,
      @Nullable String stopString,
      int stopToken,
      int cachedTokens,
      int generatedTokens,
      @Nullable Refused refusal) {}
}
