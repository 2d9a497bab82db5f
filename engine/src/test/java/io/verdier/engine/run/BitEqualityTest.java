package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The promise of equal answers, to the bit: tokens and log probabilities of every golden prompt,
 * greedy and sampled, must not change with anything but the request itself.
 */
class BitEqualityTest {
  private static final int ALL_AT_ONCE = 1024;
  private static List<Golden.Case> cases = List.of();
  private static List<String> expected = List.of();

  @BeforeAll
  static void runEachAlone() {
    List<Golden.Case> sixteen = new ArrayList<>(Golden.cases("logits.json"));
    sixteen.add(sixteen.get(2)); // the same prompt again, sampled this time
    cases = sixteen;
    try (Driver driver = Driver.load(Golden.MODEL, 1, KernelForm.VECTOR, 1)) {
      List<String> traces = new ArrayList<>();
      for (int i = 0; i < cases.size(); i++) {
        Driver.Sequence sequence = driver.add(cases.get(i).ids(), params(i));
        driver.finish(List.of(sequence), ALL_AT_ONCE);
        traces.add(trace(sequence));
      }
      expected = traces;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1,VECTOR,2,1024",
    "2,VECTOR,3,1024",
    "3,VECTOR,4,1024",
    "2,VECTOR,5,7",
    "2,VECTOR,6,16",
    "3,VECTOR,7,100",
    "2,SCALAR,8,64",
    "2,WARMING,9,33",
  })
  void run_batchOfAllPrompts_givesSameBitsAsAlone(
      int threads, KernelForm form, long blockSeed, int chunk) {
    try (Driver driver = Driver.load(Golden.MODEL, threads, form, blockSeed)) {
      List<Driver.Sequence> batch = addAll(driver);
      driver.finish(batch, chunk);
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(expected);
    }
  }

  @Test
  void run_joiningOneByOne_givesSameBitsAsAlone() {
    try (Driver driver = Driver.load(Golden.MODEL, 2, KernelForm.VECTOR, 11)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < cases.size(); i++) {
        batch.add(driver.add(cases.get(i).ids(), params(i)));
        driver.step(batch, 50);
        driver.step(batch, 50);
      }
      driver.finish(batch, 50);
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(expected);
    }
  }

  @Test
  void run_preemptedAndRecomputed_givesSameBitsAsAlone() {
    try (Driver driver = Driver.load(Golden.MODEL, 2, KernelForm.VECTOR, 12)) {
      List<Driver.Sequence> batch = addAll(driver);
      for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
        driver.step(batch, 90);
        Driver.Sequence victim = batch.get(step % batch.size());
        if (step % 3 == 2 && !victim.done()) {
          driver.preempt(victim);
        }
      }
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(expected);
    }
  }

  private static List<Driver.Sequence> addAll(Driver driver) {
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < cases.size(); i++) {
      batch.add(driver.add(cases.get(i).ids(), params(i)));
    }
    return batch;
  }

  /** Even cases greedy, odd ones sampled. */
  static SamplingParams params(int i) {
    return new SamplingParams(
        i % 2 == 0 ? 0f : 0.8f,
        0.95f,
        50,
        0f,
        0f,
        0f,
        1f,
        1000 + i,
        24,
        0,
        false,
        new int[0],
        new int[0],
        new float[0],
        new int[0],
        new int[0][],
        3,
        1);
  }

  /** Everything a client could see, floats as bits. */
  static String trace(Driver.Sequence sequence) {
    StringBuilder text = new StringBuilder(sequence.failure).append(sequence.tokens);
    sequence.logprobs.forEach(l -> append(text, l));
    boolean isScored = sequence.failure.isEmpty() && sequence.params.promptLogprobs() >= 0;
    for (int position = 1; isScored && position < sequence.promptTokens; position++) {
      append(text, Objects.requireNonNull(sequence.promptScores.get(position), "prompt score"));
    }
    return text.toString();
  }

  static void append(StringBuilder text, TokenLogprobs logprobs) {
    text.append('\n').append(logprobs.token()).append(' ').append(logprobs.rank());
    text.append(' ').append(Float.floatToRawIntBits(logprobs.logprob()));
    for (int i = 0; i < logprobs.topIds().length; i++) {
      text.append(' ').append(logprobs.topIds()[i]);
      text.append(':').append(Float.floatToRawIntBits(logprobs.topLogprobs()[i]));
    }
  }
}
