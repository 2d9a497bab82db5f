package io.verdier.verticles.bench.offline;

import io.verdier.engine.backend.Probe.Rates;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.model.ModelSpec;
import io.verdier.verticles.bench.Distribution;
import io.verdier.verticles.bench.offline.OfflineEngine.Run;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;

/**
 * What was measured. Immutable.
 *
 * @param subject what it was measured on
 * @param before limits of the device, measured before the runs
 * @param after the same after them
 * @param runs every one that counts
 * @param hash of the tokens, the same in every run
 */
record OfflineResult(
    OfflineOptions options,
    Subject subject,
    Rates before,
    Rates after,
    List<Run> runs,
    String hash) {

  /**
   * A model on a backend.
   *
   * @param threads compute threads on the host, 0 where it does not compute
   * @param weightBytes that a step reads, whatever its number of tokens
   */
  record Subject(
      ModelSpec spec,
      String weightType,
      String backend,
      int threads,
      KvPlan kvPlan,
      long weightBytes,
      double loadSeconds) {

    long kvTokenBytes() {
      return kvPlan.bytes() / ((long) kvPlan.blocks() * kvPlan.blockTokens());
    }
  }

  OfflineResult {
    runs = List.copyOf(runs);
  }

  /** Of what the device could read: between before and after. */
  double readGbPerS() {
    return (before.readGbPerS() + after.readGbPerS()) / 2;
  }

  double dotGops() {
    return (before.dotGops() + after.dotGops()) / 2;
  }

  /** Empty where nothing was prefilled. */
  OptionalDouble prefillTokensPerSecond() {
    return options.inputTokens() == 0
        ? OptionalDouble.empty()
        : OptionalDouble.of(prefill().median());
  }

  Distribution prefill() {
    return rates(run -> run.prefill().tokensPerSecond());
  }

  Distribution decode() {
    return rates(run -> run.decode().tokensPerSecond());
  }

  double decodeTokensPerSecond() {
    return decode().median();
  }

  /** Milliseconds of every decoding step of every run. */
  Distribution decodeStepMs() {
    return Distribution.of(
        runs.stream().flatMapToDouble(run -> DoubleStream.of(run.decode().stepMs())).toArray());
  }

  double hostMsPerStep() {
    return rates(run -> run.decode().hostMsPerStep()).median();
  }

  double deviceMsPerStep() {
    return rates(run -> run.decode().deviceMsPerStep()).median();
  }

  double idleMsPerStep() {
    return rates(run -> run.decode().idleMsPerStep()).median();
  }

  /** Operations of matrix products that the prefill did in a second; only last rows have logits. */
  OptionalDouble prefillGops() {
    ModelSpec spec = subject.spec;
    long head = (long) spec.vocabSize() * spec.hidden();
    double perToken = spec.matmulParameters() - head + (double) head / options.inputTokens();
    OptionalDouble rate = prefillTokensPerSecond();
    return rate.isEmpty() ? rate : OptionalDouble.of(2 * perToken * rate.getAsDouble() / 1e9);
  }

  /** What a decoding step of the full batch reads: all weights once, and each one's cache. */
  double decodeStepBytes() {
    double tokens = options.contextTokens() + options.outputTokens() / 2.0;
    return subject.weightBytes + options.batch() * tokens * subject.kvTokenBytes();
  }

  double decodeGbPerS() {
    return decodeStepBytes() * decodeTokensPerSecond() / options.batch() / 1e9;
  }

  /** How many tokens differ: a model that repeats one makes a hash that says little. */
  long distinctTokens() {
    return Arrays.stream(runs.getFirst().tokens()).flatMapToInt(Arrays::stream).distinct().count();
  }

  private Distribution rates(ToDoubleFunction<Run> rate) {
    return Distribution.of(runs.stream().mapToDouble(rate).toArray());
  }
}
