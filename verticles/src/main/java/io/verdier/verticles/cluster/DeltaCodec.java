package io.verdier.verticles.cluster;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Delta.End;
import io.verdier.verticles.bus.Delta.Score;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.bus.Delta.Start;
import io.verdier.verticles.bus.Refused;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@link Delta} and {@link Refused} on the wire. Stateless. */
final class DeltaCodec {
  private static final long INT_BYTES_MAX = 5;
  private static final long CHAR_BYTES_MAX = 3;

  /** What all news have, and the names of an end's constants. */
  private static final long NUMBERS_BYTES_MAX = 256;

  private DeltaCodec() {}

  static void write(WireWriter out, Delta delta) {
    out.fixed(delta.key());
    Start start = delta.start();
    out.flag(start != null);
    if (start != null) {
      out.ints(start.promptTokens()).text(start.promptTail()).text(start.promptHead());
    }
    out.text(delta.text()).ints(delta.tokens());
    out.list(delta.scores(), DeltaCodec::writeScores);
    out.list(delta.promptScores(), DeltaCodec::writeScores);
    out.reals(delta.pooled()).number(delta.reasoningTokens());
    End end = delta.end();
    out.flag(end != null);
    if (end != null) {
      out.text(end.reason().name()).optionalText(end.stopString()).number(end.stopToken());
      out.number(end.cachedTokens()).number(end.generatedTokens());
      out.flag(end.refusal() != null);
      if (end.refusal() != null) {
        writeRefused(out, end.refusal());
      }
    }
  }

  static Delta read(WireReader in) {
    return new Delta(
        in.fixed(),
        in.flag() ? new Start(in.ints(), in.text(), in.text()) : null,
        in.text(),
        in.ints(),
        in.list(DeltaCodec::readScores),
        in.list(DeltaCodec::readScores),
        in.reals(),
        in.whole(),
        in.flag() ? readEnd(in) : null);
  }

  private static End readEnd(WireReader in) {
    return new End(
        in.constant(FinishReason.class),
        in.optionalText(),
        in.whole(),
        in.whole(),
        in.whole(),
        in.flag() ? readRefused(in) : null);
  }

  static void writeRefused(WireWriter out, Refused refused) {
    out.text(refused.code().name()).text(refused.text()).optionalText(refused.parameter());
  }

  static Refused readRefused(WireReader in) {
    return new Refused(in.constant(ErrorCode.class), in.text(), in.optionalText());
  }

  private static void writeScores(WireWriter out, Scores scores) {
    writeScore(out, scores.chosen());
    out.list(scores.top(), DeltaCodec::writeScore).number(scores.textEnd());
  }

  private static Scores readScores(WireReader in) {
    return new Scores(readScore(in), in.list(DeltaCodec::readScore), in.whole());
  }

  private static void writeScore(WireWriter out, Score score) {
    out.number(score.id()).text(score.text()).bytes(score.bytes());
    out.real(score.logprob()).number(score.rank());
  }

  private static Score readScore(WireReader in) {
    return new Score(in.whole(), in.text(), in.bytes(), in.real(), in.whole());
  }

  /** At least as many bytes as the news of a sequence takes in {@link Frame.News}. */
  static long bytesMax(Delta delta) {
    Start start = delta.start();
    End end = delta.end();
    long bytes = NUMBERS_BYTES_MAX + text(delta.text());
    bytes += INT_BYTES_MAX * delta.tokens().length + (long) Float.BYTES * delta.pooled().length;
    if (start != null) {
      bytes += INT_BYTES_MAX * start.promptTokens().length;
      bytes += text(start.promptTail()) + text(start.promptHead());
    }
    if (end != null) {
      String stop = end.stopString();
      Refused why = end.refusal();
      bytes += stop == null ? 0 : text(stop);
      bytes += why == null ? 0 : text(why.text());
      bytes += why == null || why.parameter() == null ? 0 : text(why.parameter());
    }
    return bytes + scores(delta.scores()) + scores(delta.promptScores());
  }

  private static long text(String text) {
    return INT_BYTES_MAX + CHAR_BYTES_MAX * text.length();
  }

  private static long scores(List<Scores> all) {
    long bytes = INT_BYTES_MAX;
    for (Scores scores : all) {
      bytes += score(scores.chosen()) + 2 * INT_BYTES_MAX;
      for (Score other : scores.top()) {
        bytes += score(other);
      }
    }
    return bytes;
  }

  private static long score(Score score) {
    return text(score.text()) + score.bytes().length + Float.BYTES + 3 * INT_BYTES_MAX;
  }

  /** The same news under another key; the arrays and lists are shared. */
  static Delta withKey(Delta delta, long key) {
    return new Delta(
        key,
        delta.start(),
        delta.text(),
        delta.tokens(),
        delta.scores(),
        delta.promptScores(),
        delta.pooled(),
        delta.reasoningTokens(),
        delta.end());
  }

  /** The same news with another count of reasoning and another end. */
  static Delta withEnd(Delta delta, int reasoningTokens, End end) {
    return new Delta(
        delta.key(),
        delta.start(),
        delta.text(),
        delta.tokens(),
        delta.scores(),
        delta.promptScores(),
        delta.pooled(),
        reasoningTokens,
        end);
  }

  /**
   * The same news without what was told before.
   *
   * @param start null where it was
   * @param scored how many of the prompt's scores were
   */
  static Delta without(Delta delta, @Nullable Start start, int scored) {
    int skipped = Math.min(scored, delta.promptScores().size());
    return new Delta(
        delta.key(),
        start,
        delta.text(),
        delta.tokens(),
        delta.scores(),
        delta.promptScores().subList(skipped, delta.promptScores().size()),
        delta.pooled(),
        delta.reasoningTokens(),
        delta.end());
  }
}
