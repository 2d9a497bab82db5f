package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.PureModel.Expected;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the reader of emissions has got of one sequence. Owned by the test thread. */
final class Stream {
  final EngineRequest request;
  final long arrival;
  final List<Integer> tokens = new ArrayList<>();
  final List<TokenLogprobs> scores = new ArrayList<>();
  float[] pooled = {};
  boolean opened;
  boolean cancelled;
  boolean silenced;
  boolean failed;
  int runs; // emissions of several tokens
  @Nullable Finish finish;

  Stream(EngineRequest request, long arrival) {
    this.request = request;
    this.arrival = arrival;
  }

  boolean isLive() {
    return finish == null && !silenced;
  }

  void take(Emission emission, Simulation simulation) {
    simulation.check(finish == null, "P4 one end", "news after the end of %s", request.key());
    simulation.check(
        opened ? emission.opened() == null : request.equals(emission.opened()),
        "P4 one end",
        "opened of %s",
        request.key());
    opened = true;
    for (int token : emission.tokens()) {
      tokens.add(token);
    }
    runs += emission.tokens().length > 1 ? 1 : 0;
    scores.addAll(emission.promptLogprobs());
    pooled = emission.pooled();
    finish = emission.finish();
    if (finish != null) {
      verifyEnd(finish, simulation);
    }
  }

  private void verifyEnd(Finish end, Simulation simulation) {
    History history = simulation.history();
    long capacity = (long) history.blockCount() * history.blockTokens();
    Expected expected = history.model().expected(request, history.settings(), capacity);
    int before = request.tokens().length - request.promptTokens();
    for (int i = 0; i < tokens.size(); i++) {
      simulation.check(
          before + i < expected.generated().length
              && tokens.get(i) == expected.generated()[before + i],
          "P7 independence",
          "token %d of sequence %d is %d",
          i,
          request.key(),
          tokens.get(i));
    }
    simulation.check(
        end.generatedTokens() == before + tokens.size(),
        "P4 one end",
        "generated %d, said %d",
        before + tokens.size(),
        end.generatedTokens());
    String who = "sequence " + request.key() + " ended with " + end;
    switch (end.reason()) {
      case ABORT -> simulation.check(cancelled, "P4 one end", "%s", who);
      case ERROR -> verifyError(end, expected, simulation);
      case STOP, LENGTH, REPETITION -> {
        simulation.check(
            !failed && !cancelled && end.fault() == null, "P12 failures", "%s all the same", who);
        simulation.check(
            end.reason() == expected.reason()
                && end.stopToken() == expected.stopToken()
                && end.generatedTokens() == expected.generated().length,
            "P7 independence",
            "%s, expected %s %s",
            who,
            expected.generated().length,
            expected);
        verifyScores(before, simulation);
        verifyPooled(simulation);
      }
    }
  }

  private void verifyError(Finish end, Expected expected, Simulation simulation) {
    String who = "sequence " + request.key() + " ended with " + end;
    simulation.check(end.fault() != null, "P12 failures", "%s", who);
    if (end.fault() != null && end.fault().code() == ErrorCode.INTERNAL) {
      boolean named = failed && end.fault().text().equals(FakeRunner.FAILURE);
      simulation.check(named, "P12 failures", "%s", who);
    } else {
      simulation.check(expected.reason() == FinishReason.ERROR, "P4 one end", "%s", who);
    }
  }

  private void verifyPooled(Simulation simulation) {
    Pooling pooling = request.sampling().pooling();
    int[] counts =
        switch (pooling) {
          case NONE -> new int[0];
          case FIRST, LAST -> new int[] {1};
          case MEAN, EVERY -> new int[] {request.promptTokens()};
        };
    simulation.check(
        pooled.length == counts.length && (counts.length == 0 || pooled[0] == counts[0]),
        "P7 independence",
        "%s of sequence %d has %s",
        pooling,
        request.key(),
        Arrays.toString(pooled));
  }

  private void verifyScores(int before, Simulation simulation) {
    boolean wanted = request.sampling().promptLogprobs() >= 0 && before == 0;
    int count = wanted ? request.promptTokens() - 1 : 0;
    simulation.check(
        scores.size() == count,
        "P7 independence",
        "%d scores of %d in sequence %d",
        scores.size(),
        count,
        request.key());
    for (int i = 0; i < count; i++) {
      TokenLogprobs score = scores.get(i);
      simulation.check(
          score.token() == request.tokens()[i + 1] && score.logprob() == -(i + 1),
          "P7 independence",
          "score %d of sequence %d",
          i,
          request.key());
    }
  }
}
