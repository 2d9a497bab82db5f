package io.verdier.verticles.token;

import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.text.SequenceText;
import io.verdier.engine.text.SequenceText.Piece;
import io.verdier.engine.text.Tokenizer;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Delta.End;
import io.verdier.verticles.bus.Delta.Score;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.observe.TraceOnly;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The texts of all live sequences of a shard. Owned by its detokenizer thread.
 *
 * <p>A sequence is opened by its first emission and closed by its end, whichever comes first: the
 * scheduler's finish, a stop string, or a failure of its own. What comes after the end is dropped.
 */
final class TextStreams {
  private static final Logger LOG = LoggerFactory.getLogger(TextStreams.class);
  private static final int[] NO_TOKENS = {};

  private final Tokenizer tokenizer;
  private final Map<Long, Stream> streams = new HashMap<>();
  private long[] stopped = new long[0];

  TextStreams(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** One live sequence. Owned by the detokenizer thread. */
  private static final class Stream {
    final SequenceText text;
    int generated;

    Stream(SequenceText text, int generated) {
      this.text = text;
      this.generated = generated;
    }
  }

  /** Sequences that are open. */
  int size() {
    return streams.size();
  }

  /** Sequences that ended here since the last call, so that the scheduler must be told. */
  long[] takeStopped() {
    long[] taken = stopped;
    stopped = new long[0];
    return taken;
  }

  /** The sequence's news as text, null when it has ended before. */
  @Nullable Delta on(Emission emission) {
    try {
      return follow(emission);
    } catch (Throwable bug) { // whatever it is, the other sequences' news must go out
      streams.remove(emission.key()); // first of all: a sequence too large for the heap goes
      tellScheduler(emission);
      LOG.warn("A sequence failed while its text was made", new TraceOnly(bug));
      Refused refused = Refused.of(bug);
      return Delta.refused(emission.key(), refused.code(), refused.text(), refused.parameter());
    }
  }

  private @Nullable Delta follow(Emission emission) {
    EngineRequest opened = emission.opened();
    Finish finish = emission.finish();
    if (opened != null
        && finish != null
        && finish.fault() != null
        && emission.tokens().length == 0) {
      return end(emission, finish); // refused at the door: there is no stream to open
    }
    Stream stream = opened != null ? open(opened) : streams.get(emission.key());
    if (stream == null) {
      return null;
    }
    return finish == null ? middle(emission, stream) : last(emission, finish, stream);
  }

  private Stream open(EngineRequest request) {
    int[] prompt = request.prompt();
    SequenceText text =
        new SequenceText(
            tokenizer, request.text(), request.sampling().minTokens(), PromptEncoder.tail(prompt));
    int[] known = Arrays.copyOfRange(request.tokens(), prompt.length, request.tokens().length);
    text.append(known); // a sequence that moved here: its client has this text already
    Stream stream = new Stream(text, known.length);
    streams.put(request.key(), stream);
    return stream;
  }

  private Delta middle(Emission emission, Stream stream) {
    Piece piece = stream.text.append(emission.tokens());
    stream.generated += piece.consumed();
    if (piece.stop() == null) {
      return delta(emission, piece, stream, null);
    }
    streams.remove(emission.key());
    tellScheduler(emission);
    return delta(emission, piece, stream, stopped(emission, piece, stream));
  }

  private Delta last(Emission emission, Finish finish, Stream stream) {
    streams.remove(emission.key());
    boolean byToken = finish.reason() == FinishReason.STOP && emission.tokens().length > 0;
    Piece piece = stream.text.finish(emission.tokens(), byToken);
    stream.generated += piece.consumed();
    if (piece.stop() != null) {
      return delta(emission, piece, stream, stopped(emission, piece, stream));
    }
    return delta(emission, piece, stream, endOf(emission, finish, stream.generated));
  }

  private Delta end(Emission emission, Finish finish) {
    return delta(
        emission, new Piece("", null, 0), null, endOf(emission, finish, finish.generatedTokens()));
  }

  private static End stopped(Emission emission, Piece piece, Stream stream) {
    return new End(
        FinishReason.STOP, piece.stop(), -1, emission.cachedTokens(), stream.generated, null);
  }

  private static End endOf(Emission emission, Finish finish, int generated) {
    Refused refused =
        finish.fault() == null
            ? null
            : new Refused(finish.fault().code(), finish.fault().text(), null);
    return new End(
        finish.reason(), null, finish.stopToken(), emission.cachedTokens(), generated, refused);
  }

  private Delta delta(Emission emission, Piece piece, @Nullable Stream stream, @Nullable End end) {
    EngineRequest opened = emission.opened();
    Delta.Start start = opened == null ? null : start(opened.prompt());
    int count = Math.min(piece.consumed(), emission.tokens().length);
    int[] tokens =
        count == emission.tokens().length
            ? emission.tokens()
            : count == 0 ? NO_TOKENS : Arrays.copyOf(emission.tokens(), count);
    return new Delta(
        emission.key(),
        start,
        piece.text(),
        tokens,
        scores(emission.logprobs(), count, i -> stream == null ? 0 : stream.text.textEnd(i)),
        scores(emission.promptLogprobs(), emission.promptLogprobs().size(), i -> 0),
        emission.pooled(),
        stream == null ? SequenceText.UNCOUNTED : stream.text.reasoningTokens(),
        end);
  }

  private Delta.Start start(int[] prompt) {
    String head = tokenizer.contains(prompt[0]) ? tokenizer.tokenText(prompt[0]) : "";
    return new Delta.Start(prompt, PromptEncoder.tail(tokenizer, prompt), head);
  }

  private List<Scores> scores(List<TokenLogprobs> logprobs, int count, IntUnaryOperator textEnd) {
    if (logprobs.isEmpty()) {
      return List.of();
    }
    List<Scores> scores = new ArrayList<>(count);
    for (TokenLogprobs token : logprobs.subList(0, Math.min(count, logprobs.size()))) {
      int end = textEnd.applyAsInt(scores.size());
      List<Score> top = new ArrayList<>(token.topIds().length);
      for (int i = 0; i < token.topIds().length; i++) {
        top.add(score(token.topIds()[i], token.topLogprobs()[i], i + 1));
      }
      scores.add(new Scores(score(token.token(), token.logprob(), token.rank()), top, end));
    }
    return scores;
  }

  /** A model may have more rows than its vocabulary has tokens: such an id has no text. */
  private Score score(int id, float logprob, int rank) {
    return tokenizer.contains(id)
        ? new Score(id, tokenizer.tokenText(id), tokenizer.tokenBytes(id), logprob, rank)
        : new Score(id, "", new byte[0], logprob, rank);
  }

  private void tellScheduler(Emission emission) {
    if (emission.finish() == null) {
      stopped = Arrays.copyOf(stopped, stopped.length + 1);
      stopped[stopped.length - 1] = emission.key();
    }
  }
}
