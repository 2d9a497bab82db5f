package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.StageBackends;
import io.verdier.engine.run.pipeline.PipelineFailure;
import io.verdier.engine.sample.SamplingParams;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The demo model, whose six layers are in several stages: to the bit the answers of one that has
 * all of them, whatever parts a step comes in.
 */
@Timeout(60)
class PipelineGoldenTest {
  private static List<Golden.Case> cases = List.of();
  private static List<String> expected = List.of();

  @BeforeAll
  static void runEachAloneInOnePiece() {
    cases = Golden.cases("logits.json");
    expected = alone(Driver.load(Golden.MODEL, floats(), 1), cases);
  }

  private static List<String> alone(Driver whole, List<Golden.Case> prompts) {
    List<String> traces = new ArrayList<>();
    try (whole) {
      for (int i = 0; i < prompts.size(); i++) {
        Driver.Sequence sequence = whole.add(prompts.get(i).ids(), BitEqualityTest.params(i));
        whole.finish(List.of(sequence), 1024);
        traces.add(BitEqualityTest.trace(sequence));
      }
    }
    return traces;
  }

  @ParameterizedTest
  @CsvSource({"2,1024,32,2", "2,7,1,3", "4,50,5,4", "6,33,1,5"})
  void run_stagesBatchedChunkedPreempted_givesBitsOfOnePiece(
      int stages, int chunk, int partRowsMin, long blockSeed) {
    StageBackends backends = index -> floats();
    try (Driver driver = load(stages, backends, blockSeed, partRowsMin)) {
      assertThat(together(driver, cases, chunk)).isEqualTo(expected);
    }
    assertThat(stageThreads()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"3,BF16,33", "2,INT4,100"})
  void run_nativeStages_giveBitsOfOnePiece(int stages, WeightFormat format, int chunk) {
    Supplier<Backend> backend =
        () -> NativeLevels.backend(NativeLevels.available().getFirst(), format, 1);
    List<String> alone = alone(Driver.load(Golden.MODEL, backend.get(), 1), cases);
    try (Driver driver = load(stages, index -> backend.get(), 7, 8)) {
      assertThat(together(driver, cases, chunk)).isEqualTo(alone);
    }
  }

  @Test
  void run_stagesOnDevices_giveBitsOfOnePiece() {
    List<Golden.Case> few = cases.subList(0, 2); // emulation takes time, and so two layers must do
    List<String> alone = alone(Driver.load(Golden.DRAFT, device(), 1), few);
    try (Driver driver =
        Driver.loadStages(Golden.DRAFT, index -> device(), 9, 4, "--pipeline-parallel-size=2")) {
      assertThat(together(driver, few, 20)).isEqualTo(alone);
    }
  }

  private static Backend device() {
    return TestCuda.backend(Options.defaults());
  }

  /** All at once, and now and then one is preempted. */
  private static List<String> together(Driver driver, List<Golden.Case> prompts, int chunk) {
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      batch.add(driver.add(prompts.get(i).ids(), BitEqualityTest.params(i)));
    }
    for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
      driver.step(batch, chunk);
      Driver.Sequence victim = batch.get(step % batch.size());
      if (step % 9 == 4 && !victim.done()) {
        driver.preempt(victim);
      }
    }
    return batch.stream().map(BitEqualityTest::trace).toList();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2})
  void run_stageThrowsInAStep_engineIsLostAndSaysSo(int failing) {
    AtomicInteger products = new AtomicInteger();
    AtomicInteger closed = new AtomicInteger();
    CompletableFuture<String> heard = new CompletableFuture<>();
    StageBackends backends =
        index -> watched(closed, index == failing ? products : new AtomicInteger());
    try (Driver driver = load(3, backends, 1, 1)) {
      driver.runner.onLost(heard::complete);
      Driver.Sequence good = driver.add(new int[] {1, 2, 3}, SamplingParams.greedy(4));
      driver.step(List.of(good), 16);
      products.set(3);
      assertThatThrownBy(() -> driver.step(List.of(good), 16)).isInstanceOf(RuntimeException.class);
      if (failing > 0) { // a first stage that throws fails one step, as one piece does
        Driver.Sequence later = driver.add(new int[] {4, 5}, SamplingParams.greedy(4));
        assertThatThrownBy(() -> driver.step(List.of(later), 16))
            .isInstanceOfSatisfying(
                PipelineFailure.class,
                lost -> assertThat(lost.aftermath()).isEqualTo(DeviceException.Aftermath.LOST))
            .hasMessageContaining("verdier-stage-" + failing)
            .hasMessageContaining("the test's stage fails");
        assertThat(heard)
            .succeedsWithin(Duration.ofSeconds(20))
            .asString()
            .contains("verdier-stage-" + failing);
      } else {
        Driver.Sequence later = driver.add(new int[] {4, 5}, SamplingParams.greedy(4));
        driver.finish(List.of(later), 16);
        assertThat(later.generated()).isNotEmpty();
      }
    }
    assertThat(closed).hasValue(3);
    assertThat(stageThreads()).isEmpty();
  }

  @Test
  void load_moreStagesThanLayers_saysHowManyArePossible() {
    assertThatThrownBy(() -> load(7, index -> floats(), 1, 1))
        .isInstanceOf(ModelException.class)
        .hasMessage(
            "--pipeline-parallel-size is 7; the model has 6 layers, and every stage needs one."
                + " Lower it to 6 or less.");
  }

  @Test
  void load_stageCannotOpen_closesTheOthers() {
    AtomicInteger closed = new AtomicInteger();
    StageBackends backends =
        index -> {
          if (index == 1) {
            throw new ModelException("there is no device for it");
          }
          return watched(closed, new AtomicInteger());
        };
    assertThatThrownBy(() -> load(2, backends, 1, 1)).hasMessage("there is no device for it");
    assertThat(closed).hasValue(1);
  }

  private static Driver load(int stages, StageBackends backends, long seed, int partRowsMin) {
    return Driver.loadStages(
        Golden.MODEL, backends, seed, partRowsMin, "--pipeline-parallel-size=" + stages);
  }

  private static Backend floats() {
    return new CpuBackend(OptionalInt.of(1), KernelForm.VECTOR);
  }

  private static List<String> stageThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(Thread::isAlive)
        .map(Thread::getName)
        .filter(name -> name.startsWith("verdier-stage-"))
        .toList();
  }

  /** Counts when it is closed; fails after so many products, 0: never. */
  private static Backend watched(AtomicInteger closed, AtomicInteger products) {
    Backend backend = new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR);
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("close")) {
                closed.incrementAndGet();
              }
              if (method.getName().startsWith("matmul")
                  && products.get() > 0
                  && products.decrementAndGet() == 0) {
                throw new IllegalStateException("the test's stage fails");
              }
              try {
                return method.invoke(backend, arguments);
              } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
              }
            });
  }
}
