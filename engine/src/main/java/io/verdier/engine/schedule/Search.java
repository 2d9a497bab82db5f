package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepOutput.Finish;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * One beam search under way. Owned by the scheduler thread.
 *
 * <p><b>Idea.</b> Of all beginnings of an answer the best few, as many as answers are wanted, are
 * kept. At each position every one of them is continued by its most probable tokens, twice as many
 * as are kept, since some may be end tokens: such an answer is complete. The best of the others are
 * the next beginnings. In the end the best of the complete answers and of the last beginnings are
 * told, all at once: nothing is certain before.
 *
 * <p><b>How it is run.</b> A beginning is a sequence of its own, of one token that nobody wants,
 * for the sake of its log probabilities. Its blocks are found in the prefix cache, where its
 * siblings share them; so only the part of a block behind them is computed anew at each position.
 * That makes each score a function of the tokens before it and of nothing else, however the
 * sequences are batched, preempted or cached; and the search a function of those scores.
 *
 * <p><b>Score.</b> Sum of the log probabilities, divided by the length, prompt included and an end
 * token left out, to the power of the length penalty. Of equal ones that one counts more which
 * comes from the better beginning, then the one with the more probable token. That, and the width,
 * are vLLM's; it goes on for as many positions as were asked for, though. Here the search ends when
 * what is complete cannot be outdone any more, which gives the same answers sooner.
 */
final class Search {
  private static final int[] NO_TOKENS = {};

  private final EngineRequest request;
  private final BeamSearch asked;
  private final long arrival;
  private final SequenceRules rules;
  private final int lengthMax;
  private final boolean[] told; // by answer
  private final List<Beam> complete = new ArrayList<>();
  private final List<TokenLogprobs> promptScores = new ArrayList<>();
  private List<Beam> beams;
  private long[] hypotheses = {}; // keys of the beams' sequences, in their order
  private @Nullable TokenLogprobs[] next = {}; // what may follow each of them
  private int awaited;
  private int cachedTokens;

  /**
   * A beginning of an answer, or a whole one. Immutable.
   *
   * @param before without its last token; null: the prompt alone
   * @param score of its last token, with the most probable ones beside it; null: the prompt alone
   * @param length prompt included
   * @param sum of the log probabilities
   * @param rank in which answers are better: the score
   * @param isEnded whether its last token is an end token that ends it
   */
  private record Beam(
      @Nullable Beam before,
      @Nullable TokenLogprobs score,
      int length,
      double sum,
      double rank,
      boolean isEnded) {}

  /**
   * @param arrival of the request: its sequences keep its place among the others
   */
  Search(EngineRequest request, BeamSearch asked, long arrival, SequenceRules rules) {
    this.request = request;
    this.asked = asked;
    this.arrival = arrival;
    this.rules = rules;
    this.lengthMax = rules.lengthMax(request);
    this.told = new boolean[asked.keys().length];
    this.beams = List.of(new Beam(null, null, request.promptTokens(), 0, 0, false));
  }

  long arrival() {
    return arrival;
  }

  /** Keys of the sequences that are under way. */
  long[] hypotheses() {
    return hypotheses;
  }

  long[] keys() {
    return asked.keys();
  }

  // ---- Positions ---------------------------------------------------------------------------

  /** The sequences that tell what may follow the beams. */
  List<EngineRequest> advance(LongSupplier newKeys) {
    List<EngineRequest> sequences = new ArrayList<>(beams.size());
    hypotheses = new long[beams.size()];
    next = new TokenLogprobs[beams.size()];
    awaited = beams.size();
    int shown = Math.max(2 * told.length, request.sampling().logprobs());
    for (int i = 0; i < hypotheses.length; i++) {
      hypotheses[i] = newKeys.getAsLong();
      int[] begun = tokens(beams.get(i));
      int one = begun.length - request.promptTokens() + 1;
      int scored = isFirst() ? request.sampling().promptLogprobs() : SamplingParams.NO_SCORES;
      sequences.add(
          request.hypothesis(hypotheses[i], begun, SamplingParams.scores(one, shown, scored)));
    }
    return sequences;
  }

  private boolean isFirst() {
    return beams.getFirst().before() == null;
  }

  /** Prompt and answer so far. */
  private int[] tokens(Beam beam) {
    int[] tokens = Arrays.copyOf(request.tokens(), beam.length());
    for (Beam at = beam; at.before() != null && at.score() != null; at = at.before()) {
      tokens[at.length() - 1] = at.score().token();
    }
    return tokens;
  }

  /**
   * News of one of the sequences.
   *
   * @return why the search fails; null: it does not
   */
  @Nullable Fault take(Emission news) {
    if (isFirst()) {
      promptScores.addAll(news.promptLogprobs());
      cachedTokens = news.cachedTokens();
    }
    Finish finish = news.finish();
    if (finish != null && finish.fault() != null) {
      return finish.fault();
    }
    if (news.tokens().length == 0) {
      return finish == null
          ? null // scores of a part of the prompt
          : new Fault(ErrorCode.INTERNAL, "A beginning of the answer was lost.");
    }
    if (news.logprobs().isEmpty()) {
      return new Fault(
          ErrorCode.UNSUPPORTED, "The backend tells no log probabilities, which a search needs.");
    }
    for (int i = 0; i < hypotheses.length; i++) {
      if (hypotheses[i] == news.key()) {
        next[i] = news.logprobs().getFirst();
        awaited--;
      }
    }
    return null;
  }

  /** Whether all beams' sequences have said what may follow. */
  boolean isReady() {
    return awaited == 0;
  }

  /** Takes the step from one position to the next; true: the search is over. */
  boolean step() {
    List<Beam> grown = new ArrayList<>();
    for (int i = 0; i < beams.size(); i++) {
      TokenLogprobs scores = next[i];
      if (scores != null) {
        grow(beams.get(i), scores, grown);
      }
    }
    hypotheses = new long[0];
    beams = best(grown);
    return beams.isEmpty() || beams.getFirst().length() >= lengthMax || isDecided();
  }

  private void grow(Beam beam, TokenLogprobs scores, List<Beam> grown) {
    int count = Math.min(2 * told.length, scores.topIds().length);
    for (int i = 0; i < count; i++) {
      int token = scores.topIds()[i];
      float logprob = scores.topLogprobs()[i];
      if (logprob == Float.NEGATIVE_INFINITY) {
        return;
      }
      boolean ends = rules.isEnd(request.sampling(), token);
      if (ends && beam.length() - request.promptTokens() < request.sampling().minTokens()) {
        continue;
      }
      int length = beam.length() + 1;
      double sum = beam.sum() + logprob;
      TokenLogprobs chosen =
          new TokenLogprobs(token, logprob, i + 1, scores.topIds(), scores.topLogprobs());
      double rank = rank(sum, ends ? length - 1 : length);
      (ends ? complete : grown).add(new Beam(beam, chosen, length, sum, rank, ends));
    }
  }

  private double rank(double sum, int length) {
    // The same bits on every machine, which Math.pow does not promise.
    return sum / StrictMath.pow(length, asked.lengthPenalty());
  }

  /** The sort is stable: of equal ones the first stay. */
  private List<Beam> best(List<Beam> all) {
    return all.stream()
        .sorted(Comparator.comparingDouble(Beam::rank).reversed())
        .limit(told.length)
        .toList();
  }

  /**
   * Whether no beam can come before the complete answers any more. Its sum only falls, so that is
   * as good as its rank gets at the shortest or at the longest length, whichever the penalty
   * prefers; and of equal ones the complete one counts more.
   */
  private boolean isDecided() {
    if (complete.size() < told.length) {
      return false;
    }
    double worst = best(complete).getLast().rank();
    for (Beam beam : beams) {
      double outlook = Math.max(rank(beam.sum(), beam.length()), rank(beam.sum(), lengthMax));
      if (!(outlook <= worst)) {
        return false;
      }
    }
    return true;
  }

  // ---- Answers -----------------------------------------------------------------------------

  /** The answers, each under its key. */
  List<Emission> answers() {
    List<Beam> all = new ArrayList<>(complete);
    all.addAll(beams);
    List<Beam> best = best(all);
    List<Emission> answers = new ArrayList<>();
    for (int i = 0; i < told.length; i++) {
      if (i >= best.size()) {
        String text = "The search has found no more than %d answers.".formatted(best.size());
        answers.addAll(end(i, FinishReason.ERROR, new Fault(ErrorCode.INVALID_ARGUMENT, text)));
      } else if (!told[i]) {
        answers.add(answer(i, best.get(i)));
      }
    }
    return answers;
  }

  private Emission answer(int index, Beam beam) {
    List<TokenLogprobs> scores = new ArrayList<>();
    for (Beam at = beam; at != null && at.score() != null; at = at.before()) {
      scores.add(at.score());
    }
    int[] tokens = scores.reversed().stream().mapToInt(TokenLogprobs::token).toArray();
    int shown = request.sampling().logprobs();
    FinishReason reason = beam.isEnded() ? FinishReason.STOP : FinishReason.LENGTH;
    int stopToken = beam.isEnded() ? tokens[tokens.length - 1] : -1;
    return emission(
        index,
        tokens,
        shown < 0 ? List.of() : scores.reversed().stream().map(it -> cut(it, shown)).toList(),
        new Finish(reason, stopToken, tokens.length, null));
  }

  private static TokenLogprobs cut(TokenLogprobs scores, int count) {
    int shown = Math.min(count, scores.topIds().length);
    return new TokenLogprobs(
        scores.token(),
        scores.logprob(),
        scores.rank(),
        Arrays.copyOf(scores.topIds(), shown),
        Arrays.copyOf(scores.topLogprobs(), shown));
  }

  /** Ends every answer that has not ended. */
  List<Emission> endAll(FinishReason reason, Fault fault) {
    List<Emission> ends = new ArrayList<>();
    for (int i = 0; i < told.length; i++) {
      ends.addAll(end(i, reason, fault));
    }
    return ends;
  }

  /** Ends the answer of a key without a word; false: it has ended. */
  boolean silence(long key) {
    int index = index(key);
    boolean isNew = !told[index];
    told[index] = true;
    return isNew;
  }

  /** Ends the answer of a key. */
  List<Emission> end(long key, FinishReason reason, @Nullable Fault fault) {
    return end(index(key), reason, fault);
  }

  private List<Emission> end(int index, FinishReason reason, @Nullable Fault fault) {
    return told[index]
        ? List.of()
        : List.of(emission(index, NO_TOKENS, List.of(), new Finish(reason, -1, 0, fault)));
  }

  private int index(long key) {
    for (int i = 0; i < told.length; i++) {
      if (asked.keys()[i] == key) {
        return i;
      }
    }
    throw new IllegalStateException("a search without the key " + key);
  }

  /** Whether nobody waits for an answer any more. */
  boolean isOver() {
    for (boolean each : told) {
      if (!each) {
        return false;
      }
    }
    return true;
  }

  private Emission emission(int index, int[] tokens, List<TokenLogprobs> scores, Finish finish) {
    told[index] = true;
    return new Emission(
        asked.keys()[index],
        request.answer(asked.keys()[index]),
        cachedTokens,
        tokens,
        scores,
        index == 0 && tokens.length > 0 ? promptScores : List.of(),
        finish);
  }
}
