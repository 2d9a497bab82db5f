package io.verdier.verticles.cluster;

import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.Repetition;
import io.verdier.engine.sample.SamplingParams;
import java.util.List;

/** {@link SamplingParams} on the wire. Stateless. */
public final class SamplingCodec {
  private SamplingCodec() {}

  public static void write(WireWriter out, SamplingParams params) {
    out.real(params.temperature()).real(params.topP()).number(params.topK()).real(params.minP());
    out.real(params.presencePenalty()).real(params.frequencyPenalty());
    out.real(params.repetitionPenalty()).fixed(params.seed());
    out.number(params.maxTokens()).number(params.minTokens()).flag(params.ignoreEos());
    out.ints(params.stopTokenIds()).ints(params.biasIds()).reals(params.biasValues());
    out.ints(params.allowedTokenIds()).list(List.of(params.badWords()), WireWriter::ints);
    out.number(params.logprobs()).number(params.promptLogprobs()).text(params.pooling().name());
    Repetition repetition = params.repetition();
    out.ints(params.scoredIds()).number(repetition.patternMin());
    out.number(repetition.patternMax()).number(repetition.count());
  }

  /**
   * @throws WireException if they are none
   */
  public static SamplingParams read(WireReader in) {
    return new SamplingParams(
        in.real(),
        in.real(),
        in.whole(),
        in.real(),
        in.real(),
        in.real(),
        in.real(),
        in.fixed(),
        in.whole(),
        in.whole(),
        in.flag(),
        in.ints(),
        in.ints(),
        in.reals(),
        in.ints(),
        in.list(WireReader::ints).toArray(int[][]::new),
        in.whole(),
        in.whole(),
        in.constant(Pooling.class),
        in.ints(),
        new Repetition(in.whole(), in.whole(), in.whole()));
  }
}
