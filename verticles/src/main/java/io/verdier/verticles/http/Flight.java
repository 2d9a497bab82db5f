package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.trace.RequestTrace;
import io.verdier.verticles.observe.trace.RequestTracer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop of its connection: the sequences of one request, from {@code Submit} to
 * the last end.
 *
 * <p>A flight ends in one of three ways: all sequences end, one fails (then all do, with its
 * error), or the client leaves. The last two cancel what still runs, at once; {@link Sequences}
 * says how, and keeps the places until the ends are back.
 */
public final class Flight {
  private static final double NANOS = 1e9;

  private final Requester requester;
  private final Answer answer;
  private final List<Sequence> sequences = new ArrayList<>();
  private final @Nullable RequestTrace trace;
  private int running;

  Flight(Requester requester, Answer answer) {
    this.requester = requester;
    this.answer = answer;
    RequestTracer tracer = requester.ingress().tracer();
    this.trace = tracer == null ? null : tracer.begin(requester.headers(), requester.startNanos());
  }

  /**
   * Sends the work on its way.
   *
   * @param works one per prompt; choices are numbered through
   * @throws RejectedException if there is no place for so many sequences
   */
  public static void launch(Requester requester, List<Generation> works, Answer answer) {
    int choices = works.stream().mapToInt(Generation::choices).sum();
    admit(requester, choices);
    Flight flight = new Flight(requester, answer);
    requester.attach(flight);
    for (int work = 0; work < works.size(); work++) {
      flight.submit(works.get(work), work);
    }
  }

  private static void admit(Requester requester, int choices) {
    Ingress ingress = requester.ingress();
    if (choices > ingress.admission().placesMax()) {
      throw RejectedException.invalid(
          "n",
          "The request asks for "
              + choices
              + " sequences; the server holds at most "
              + ingress.admission().placesMax()
              + ".");
    }
    Admission.Permit permit = requester.permit();
    if (permit == null || !permit.extend(choices)) {
      throw Dispatcher.overloaded(ingress);
    }
  }

  private void submit(Generation work, int index) {
    Ingress ingress = requester.ingress();
    Submit asked = work.asked().of(ingress.serving().card().name());
    long[] keys = ingress.sequences().nextKeys(asked, work.choices());
    String tokenizer = ingress.sequences().tokenizerOf(keys[0]);
    Sequence.Submitted submitted =
        new Sequence.Submitted(tokenizer, work.asked().adapter() != null, work.lengthField());
    for (long key : keys) {
      Sequence sequence = new Sequence(key, this, sequences.size(), index, submitted);
      sequences.add(sequence);
      ingress.sequences().add(sequence);
      running++;
    }
    int maxTokens = Math.min(work.sampling().maxTokens(), ingress.serving().card().maxModelLen());
    ingress.metrics().engine(SequenceKey.engine(keys[0])).onRequest(work.choices(), maxTokens);
    if (trace != null) {
      String model = ingress.serving().nameOf(work.asked().adapter());
      trace.onSubmit(keys, model, work.sampling(), maxTokens);
    }
    ingress.bus().send(tokenizer, asked.withKeys(keys));
  }

  void onDelta(Sequence sequence, Delta delta, long now) {
    sequence.heardOf = true;
    Delta.Start start = delta.start();
    if (start != null) {
      sequence.started = true;
      sequence.promptTokens = start.promptTokens().length;
    }
    Delta.End end = delta.end();
    if (end != null && end.reason() == FinishReason.ERROR) {
      ErrorMapper errors = requester.ingress().errors();
      Problem problem =
          end.refusal() == null
              ? errors.of(ErrorCode.INTERNAL, "The request failed inside the server.", null)
              : errors.of(end.refusal()).renamed(Generation.MAX_TOKENS, sequence.lengthField);
      noteFailure(problem);
      land(sequence, FinishReason.ERROR, now);
      release(sequence);
      fail(problem);
      return;
    }
    count(sequence, delta, now);
    try {
      answer.onDelta(sequence, sequence.choice, delta);
    } finally { // whatever the answer makes of it, no other end will come
      if (end != null) {
        onEnd(sequence, end.reason(), now);
      }
    }
    if (end != null && running == 0 && !requester.isDone()) {
      metrics(sequence).onLongestChoice(longest());
      answer.onEnd(usage());
    }
  }

  private void onEnd(Sequence sequence, FinishReason reason, long now) {
    if (sequence.ended) { // the answer has given all up meanwhile
      requester.ingress().sequences().release(sequence.key);
    } else {
      land(sequence, reason, now);
      release(sequence);
    }
  }

  private void count(Sequence sequence, Delta delta, long now) {
    int tokens = delta.tokens().length;
    sequence.reasoningTokens = delta.reasoningTokens();
    if (tokens > 0) {
      if (sequence.generatedTokens == 0) {
        sequence.firstNanos = now;
        if (trace != null) {
          trace.onFirstToken(now);
        }
        metrics(sequence).onFirstTokens(tokens, (now - requester.startNanos()) / NANOS);
      } else {
        metrics(sequence).onTokens(tokens, (now - sequence.lastNanos) / NANOS);
      }
      sequence.lastNanos = now;
      sequence.generatedTokens += tokens;
    }
    Delta.End end = delta.end();
    if (end != null) {
      sequence.generatedTokens = end.generatedTokens();
      sequence.cachedTokens = end.cachedTokens();
    }
  }

  private EngineMetrics metrics(Sequence sequence) {
    return requester.ingress().metrics().engine(SequenceKey.engine(sequence.key));
  }

  /** The sequence ended, and its place is free. */
  private void release(Sequence sequence) {
    requester.ingress().sequences().remove(sequence);
    requester.permitOfWork().releaseOne();
  }

  /** Nobody waits for the sequence any more. */
  private void land(Sequence sequence, FinishReason reason, long now) {
    sequence.ended = true;
    running--;
    EngineMetrics metrics = metrics(sequence);
    if (sequence.started) {
      double seconds = (now - requester.startNanos()) / NANOS;
      double spoken = (sequence.lastNanos - sequence.firstNanos) / NANOS;
      int tokens = sequence.generatedTokens;
      metrics.onFinished(reason, sequence.promptTokens, tokens, seconds, spoken);
    } else if (reason == FinishReason.ABORT) {
      metrics.onAbortedBeforeStart();
    } // else it was refused, and is counted as that
    if (trace != null) {
      trace.onEnd(sequence.key, sequence.choice, reason, now);
      if (running == 0) {
        Usage usage = usage();
        trace.finish(requester.shownId(), usage.prompt(), usage.completion(), now);
      }
    }
  }

  private void noteFailure(Problem problem) {
    if (trace != null && running > 0) {
      trace.onFailure(problem.code().name());
    }
  }

  /** One sequence failed, or time is up: the request ends with this error. */
  void fail(Problem problem) {
    noteFailure(problem);
    end(FinishReason.ERROR);
    answer.onFailure(problem);
  }

  /** Handling the news threw: our bug, and only this request's loss. */
  void onBug(Throwable bug) {
    requester.fail(bug);
  }

  /** Not even an error can be told. */
  void cut() {
    requester.cut();
  }

  /** An operator wants no more of it; the ends come back as for every other reason. */
  void abort() {
    requester
        .ingress()
        .sequences()
        .cancel(sequences.stream().filter(sequence -> !sequence.ended).toList());
  }

  /** The client is gone. */
  void abandon() {
    end(FinishReason.ABORT);
  }

  private void end(FinishReason reason) {
    long now = System.nanoTime();
    List<Sequence> left = sequences.stream().filter(sequence -> !sequence.ended).toList();
    if (left.isEmpty()) {
      return;
    }
    for (Sequence sequence : left) {
      land(sequence, reason, now);
    }
    requester.ingress().sequences().abandon(left, requester.permitOfWork());
  }

  private int longest() {
    return sequences.stream().mapToInt(sequence -> sequence.generatedTokens).max().orElse(0);
  }

  private Usage usage() {
    int prompt = 0;
    int completion = 0;
    int cached = 0;
    int reasoning = -1;
    int counted = -1;
    for (Sequence sequence : sequences) {
      completion += sequence.generatedTokens;
      reasoning = Usage.reasoning(reasoning, sequence.reasoningTokens);
      if (sequence.work != counted) {
        counted = sequence.work;
        prompt += sequence.promptTokens;
        cached += sequence.cachedTokens;
      }
    }
    return new Usage(prompt, completion, cached, reasoning);
  }
}
