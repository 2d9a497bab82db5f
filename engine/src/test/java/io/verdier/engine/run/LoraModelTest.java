package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The demo model's adapters on every backend: the float64 reference's continuations, and the same
 * bits alone, in a batch of all of them and the base model, in chunks, preempted, and through a
 * single slot.
 *
 * <p>Factors are rounded to bfloat16, which moves a logit by less than bfloat16 activations do. The
 * golden data's README allows 0.3 for those; narrower choices of the reference are not compared.
 */
class LoraModelTest {
  private static final double TOLERANCE = 0.3;
  private static final List<String> ALL = List.of("", "pirate", "french");

  /** Where the model runs. */
  enum Device {
    JAVA,
    NATIVE,
    CUDA;

    Backend open(int threads) {
      return switch (this) {
        case JAVA -> new CpuBackend(OptionalInt.of(threads), KernelForm.VECTOR);
        case NATIVE -> NativeLevels.backend(KernelLevel.AVX512, WeightFormat.BF16, threads);
        case CUDA -> TestCuda.backend(Options.defaults());
      };
    }

    /** A part of the machine for each rank. */
    RankBackends ranks() {
      Options usual = Options.defaults();
      Options eager = new Options(true, usual.weights(), usual.cache(), 0.9);
      return rank -> this == CUDA ? TestCuda.backend(eager, rank) : open(1);
    }
  }

  @ParameterizedTest
  @EnumSource(Device.class)
  void run_goldenPromptsOfAllAdaptersInABatch_givesReferenceContinuations(Device device) {
    try (TestAdapters.Loaded loaded = TestAdapters.load(device.open(2), 2, 3)) {
      int count = device == Device.CUDA ? 5 : Golden.cases("logits.json").size(); // emulated
      for (int first = 0; first < count; first += 5) {
        List<Driver.Sequence> batch = new ArrayList<>();
        for (String name : ALL) {
          for (int i = first; i < first + 5; i++) {
            int[] prompt = Golden.cases("logits.json").get(i).ids();
            batch.add(loaded.add(prompt, SamplingParams.greedy(64), name));
          }
        }
        loaded.driver().finish(batch, 100);
        for (int i = 0; i < batch.size(); i++) {
          requireSure(batch.get(i), ALL.get(i / 5), first + i % 5, 64);
        }
      }
    }
  }

  /** Split over ranks: the reference's continuations, and the same bits in any batch. */
  @ParameterizedTest
  @CsvSource({"JAVA,2", "JAVA,4", "NATIVE,2", "CUDA,2"})
  void run_ranks_givesReferenceContinuationsAloneAndMixed(Device device, int ranks) {
    int count = device == Device.CUDA ? 1 : 6; // emulated
    int length = device == Device.CUDA ? 20 : 40;
    List<String> alone = new ArrayList<>();
    try (TestAdapters.Loaded loaded = loadRanks(device, ranks, 1, 1)) {
      for (int i = 0; i < count; i++) {
        for (String name : ALL) {
          int[] prompt = Golden.cases("logits.json").get(i).ids();
          Driver.Sequence one = loaded.add(prompt, SamplingParams.greedy(length), name);
          loaded.driver().finish(List.of(one), 1024);
          alone.add(BitEqualityTest.trace(one));
          requireSure(one, name, i, length);
        }
      }
    }
    try (TestAdapters.Loaded loaded = loadRanks(device, ranks, 2, 3)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        for (String name : ALL) {
          int[] prompt = Golden.cases("logits.json").get(i).ids();
          batch.add(loaded.add(prompt, SamplingParams.greedy(length), name));
        }
      }
      loaded.driver().finish(batch, 50);
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
    }
  }

  private static TestAdapters.Loaded loadRanks(Device device, int ranks, int slots, long seed) {
    return TestCuda.orSkip(() -> TestAdapters.load(device.ranks(), ranks, slots, seed));
  }

  private static void requireSure(Driver.Sequence sequence, String name, int index, int tokens) {
    String file = name.isEmpty() ? "logits.json" : "logits-lora-" + name + ".json";
    Golden.Case golden = Golden.cases(file).get(index);
    int sure = 0; // from the first narrow choice on, another one is legitimate
    while (sure < Math.min(tokens, golden.margins().length) && golden.margins()[sure] > TOLERANCE) {
      sure++;
    }
    assertThat(IntStream.of(sequence.generated()).limit(sure).toArray())
        .as(name + " " + golden.name())
        .isEqualTo(IntStream.of(golden.greedy()).limit(sure).toArray());
  }

  @ParameterizedTest
  @CsvSource({"JAVA,2,7", "JAVA,3,1024", "NATIVE,3,33", "NATIVE,1,1024", "CUDA,2,50"})
  void run_mixedPreemptedInChunks_givesSameBitsAsAlone(Device device, int threads, int chunk) {
    List<Integer> some = device == Device.CUDA ? List.of(1) : List.of(0, 1, 4, 7, 12);
    List<String> alone = new ArrayList<>();
    List<String> plain = new ArrayList<>();
    List<Golden.Case> cases = Golden.cases("logits.json");
    try (TestAdapters.Loaded loaded = TestAdapters.load(device.open(1), 1, 1)) {
      for (int i : some) {
        for (String name : ALL) {
          Driver.Sequence one = loaded.add(cases.get(i).ids(), BitEqualityTest.params(i), name);
          loaded.driver().finish(List.of(one), 1024);
          alone.add(BitEqualityTest.trace(one));
        }
      }
      assertThat(loaded.slots().loads()).isEqualTo(2L * some.size());
    }
    try (Driver without = Driver.load(Golden.MODEL, device.open(1), 2)) {
      for (int i : some) {
        Driver.Sequence one = without.add(cases.get(i).ids(), BitEqualityTest.params(i));
        without.finish(List.of(one), 1024);
        plain.add(BitEqualityTest.trace(one));
      }
    }
    for (int i = 0; i < plain.size(); i++) {
      assertThat(alone.get(i * ALL.size())).isEqualTo(plain.get(i));
      assertThat(alone.subList(i * ALL.size(), (i + 1) * ALL.size())).doesNotHaveDuplicates();
    }
    try (TestAdapters.Loaded loaded = TestAdapters.load(device.open(threads), 2, 5)) {
      loaded
          .driver()
          .runner
          .model()
          .transformer()
          .prepare(16, loaded.driver().runner.model().cache());
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i : some) {
        for (String name : ALL) {
          batch.add(loaded.add(cases.get(i).ids(), BitEqualityTest.params(i), name));
        }
      }
      for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
        loaded.driver().step(batch, chunk);
        Driver.Sequence victim = batch.get(step % batch.size());
        if (step % 9 == 8 && !victim.done()) {
          loaded.driver().preempt(victim);
        }
      }
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(alone);
    }
  }
}
