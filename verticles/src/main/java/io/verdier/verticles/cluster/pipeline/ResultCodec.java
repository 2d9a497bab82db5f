package io.verdier.verticles.cluster.pipeline;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageResult.Choice;
import io.verdier.engine.run.pipeline.StageResult.Choices;
import io.verdier.engine.run.pipeline.StageResult.Confirmed;
import io.verdier.engine.run.pipeline.StageResult.Fault;
import io.verdier.engine.run.pipeline.StageResult.Score;
import io.verdier.engine.run.pipeline.StageResult.States;
import io.verdier.engine.run.pipeline.StageResult.Token;
import io.verdier.engine.run.pipeline.StageResult.Vacated;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.WireReader;
import io.verdier.verticles.cluster.WireWriter;

/** {@link StageResult} on the wire. Stateless. */
final class ResultCodec {
  private static final int CHOICES = 1;
  private static final int STATES = 2;
  private static final int VACATED = 3;
  private static final int CONFIRMED = 4;

  private static final int TOKEN = 1;
  private static final int SCORE = 2;
  private static final int FAULT = 3;

  private ResultCodec() {}

  static void write(WireWriter out, StageResult result) {
    switch (result) {
      case Choices choices -> out.octet(CHOICES).list(choices.choices(), ResultCodec::writeChoice);
      case States states -> out.octet(STATES).reals(states.values());
      case Vacated ignored -> out.octet(VACATED);
      case Confirmed ignored -> out.octet(CONFIRMED);
    }
  }

  /**
   * @throws WireException if it is none
   */
  static StageResult read(WireReader in) {
    return switch (in.octet()) {
      case CHOICES -> new Choices(in.list(ResultCodec::readChoice));
      case STATES -> new States(in.reals());
      case VACATED -> new Vacated();
      case CONFIRMED -> new Confirmed();
      default -> throw new WireException("no such result");
    };
  }

  private static void writeChoice(WireWriter out, Choice choice) {
    switch (choice) {
      case Token token -> {
        TokenLogprobs logprobs = token.sampled().logprobs();
        out.octet(TOKEN).number(token.sampled().token()).flag(logprobs != null);
        if (logprobs != null) {
          writeLogprobs(out, logprobs);
        }
      }
      case Score score -> writeLogprobs(out.octet(SCORE), score.logprobs());
      case Fault fault -> out.octet(FAULT).text(fault.code().name()).text(fault.text());
    }
  }

  private static Choice readChoice(WireReader in) {
    return switch (in.octet()) {
      case TOKEN -> new Token(new Sampled(in.whole(), in.flag() ? readLogprobs(in) : null));
      case SCORE -> new Score(readLogprobs(in));
      case FAULT -> new Fault(in.constant(ErrorCode.class), in.text());
      default -> throw new WireException("no such choice");
    };
  }

  private static void writeLogprobs(WireWriter out, TokenLogprobs logprobs) {
    out.number(logprobs.token()).real(logprobs.logprob()).number(logprobs.rank());
    out.ints(logprobs.topIds()).reals(logprobs.topLogprobs());
  }

  private static TokenLogprobs readLogprobs(WireReader in) {
    TokenLogprobs logprobs =
        new TokenLogprobs(in.whole(), in.real(), in.whole(), in.ints(), in.reals());
    if (logprobs.topIds().length != logprobs.topLogprobs().length) {
      throw new WireException("tokens without log probabilities");
    }
    return logprobs;
  }
}
