package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.sample.SamplingParams;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The demo model on several ranks. Sums over ranks have another order than those of one rank, so
 * logits differ by some 1e-5 in float32; all but one of the golden margins are above 0.3, and every
 * greedy choice is the golden one.
 *
 * <p>For a given number of ranks the promise of equal bits holds as it does for one: the same
 * request, the same tokens and log probabilities, alone, batched, chunked, preempted.
 */
class RankGoldenTest {
  private static final double NATIVE_TOLERANCE = 0.3; // as in NativeModelTest

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8})
  void run_floatRanks_givesReferenceContinuations(int ranks) {
    try (Driver driver = Driver.load(Golden.MODEL, ranks, floats(), 1)) {
      for (Golden.Case golden : Golden.cases("logits.json")) {
        Driver.Sequence sequence = driver.add(golden.ids(), SamplingParams.greedy(64));
        driver.finish(List.of(sequence), 1024);
        assertThat(sequence.generated()).as(golden.name()).isEqualTo(golden.greedy());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(KernelLevel.class)
  void run_nativeRanks_givesReferenceContinuations(KernelLevel level) {
    try (Driver driver = Driver.load(Golden.MODEL, 2, natives(level, WeightFormat.BF16), 1)) {
      for (Golden.Case golden : Golden.cases("logits.json")) {
        Driver.Sequence sequence = driver.add(golden.ids(), SamplingParams.greedy(64));
        driver.finish(List.of(sequence), 1024);
        int sure = 0; // from the first narrow choice on, another one is legitimate
        while (sure < golden.margins().length && golden.margins()[sure] > NATIVE_TOLERANCE) {
          sure++;
        }
        assertThat(IntStream.of(sequence.generated()).limit(sure).toArray())
            .as(golden.name())
            .isEqualTo(IntStream.of(golden.greedy()).limit(sure).toArray());
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"2,1024,2", "2,7,3", "4,50,4"})
  void run_floatRanksBatched_givesSameBitsAsAlone(int ranks, int chunk, long blockSeed) {
    requireSameBits(ranks, floats(), chunk, blockSeed);
  }

  @ParameterizedTest
  @CsvSource({"2,BF16,33,5", "4,BF16,7,6", "2,INT8,100,7", "2,INT4,33,8"})
  void run_nativeRanksBatched_givesSameBitsAsAlone(
      int ranks, WeightFormat format, int chunk, long blockSeed) {
    KernelLevel level = NativeLevels.available().getFirst();
    requireSameBits(ranks, natives(level, format), chunk, blockSeed);
  }

  /** Together, in chunks, and with sequences preempted on the way: everything a client can see. */
  private static void requireSameBits(int ranks, RankBackends backends, int chunk, long blockSeed) {
    List<Golden.Case> cases = Golden.cases("logits.json");
    List<String> alone = new ArrayList<>();
    try (Driver driver = Driver.load(Golden.MODEL, ranks, backends, 1)) {
      for (int i = 0; i < cases.size(); i++) {
        Driver.Sequence sequence = driver.add(cases.get(i).ids(), BitEqualityTest.params(i));
        driver.finish(List.of(sequence), 1024);
        alone.add(BitEqualityTest.trace(sequence));
      }
    }
    try (Driver driver = Driver.load(Golden.MODEL, ranks, backends, blockSeed)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < cases.size(); i++) {
        batch.add(driver.add(cases.get(i).ids(), BitEqualityTest.params(i)));
      }
      for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
        driver.step(batch, chunk);
        Driver.Sequence victim = batch.get(step % batch.size());
        if (step % 9 == 4 && !victim.done()) {
          driver.preempt(victim);
        }
      }
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
    }
  }

  @Test
  void run_devices_givesReferenceContinuationsAloneAndTogether() {
    List<Golden.Case> cases = Golden.cases("logits.json").subList(0, 3); // emulation takes time
    List<String> alone = new ArrayList<>();
    try (Driver driver = loadOnDevices(1)) {
      for (int i = 0; i < cases.size(); i++) {
        Driver.Sequence sequence = driver.add(cases.get(i).ids(), BitEqualityTest.params(i));
        driver.finish(List.of(sequence), 1024);
        alone.add(BitEqualityTest.trace(sequence));
        if (sequence.params.temperature() == 0) {
          int count = sequence.generated().length;
          assertThat(sequence.generated())
              .as(cases.get(i).name())
              .isEqualTo(IntStream.of(cases.get(i).greedy()).limit(count).toArray());
        }
      }
    }
    try (Driver driver = loadOnDevices(9)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < cases.size(); i++) {
        batch.add(driver.add(cases.get(i).ids(), BitEqualityTest.params(i)));
      }
      driver.step(batch, 20);
      driver.preempt(batch.get(2));
      driver.finish(batch, 20);
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
    }
  }

  /** Emulated ones; with a GPU real ones, if there are two, and NCCL to talk through. */
  private static Driver loadOnDevices(long blockSeed) {
    Options usual = Options.defaults();
    Options options = new Options(true, usual.weights(), usual.cache(), 0.9);
    RankBackends backends = rank -> TestCuda.backend(options, rank);
    return TestCuda.orSkip(() -> Driver.load(Golden.MODEL, 2, backends, blockSeed));
  }

  private static RankBackends floats() {
    return rank -> new CpuBackend(OptionalInt.of(1), KernelForm.VECTOR);
  }

  private static RankBackends natives(KernelLevel level, WeightFormat format) {
    return rank -> NativeLevels.backend(level, format, 1);
  }
}
