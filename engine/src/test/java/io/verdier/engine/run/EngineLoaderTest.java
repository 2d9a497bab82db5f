package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.CpuBackends;
import io.verdier.engine.model.EngineBackends;
import io.verdier.engine.model.EngineLoader;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Several engines over one copy of the weights: each gives the bits that one alone gives. */
class EngineLoaderTest {
  private static final String[] FLAGS = {
    "--max-num-batched-tokens=2048",
    "--max-num-seqs=64",
    "--max-model-len=1024",
    "--num-gpu-blocks-override=512"
  };

  private static ServerConfig config(int engines, int ranks) {
    List<String> argv = new ArrayList<>(List.of(FLAGS));
    argv.add("--data-parallel-size=" + engines);
    argv.add("--tensor-parallel-size=" + ranks);
    argv.add("--threads=3");
    argv.add("--packed-weights=off");
    return TestConfig.of(argv.toArray(String[]::new));
  }

  private static List<LoadedModel> load(
      int engines, int ranks, EngineBackends backends, AtomicInteger layers) {
    return EngineLoader.load(
        CheckpointFiles.in(Golden.MODEL),
        config(engines, ranks),
        4,
        backends,
        (done, total) -> layers.incrementAndGet());
  }

  /** The kernels that a server would take, and Java's. */
  enum Kernels {
    BEST,
    JAVA;

    EngineBackends backends() {
      return this == JAVA
          ? (own, rank) -> new CpuBackend(own.threads(), KernelForm.VECTOR)
          : (own, rank) -> CpuBackends.open(own, DType.BF16, KernelForm.VECTOR, rank);
    }
  }

  private static List<String> traces(Driver driver) {
    List<Golden.Case> cases = Golden.cases("logits.json").subList(0, 4);
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < cases.size(); i++) {
      batch.add(driver.add(cases.get(i).ids(), BitEqualityTest.params(i)));
    }
    driver.finish(batch, 1024);
    return batch.stream().map(BitEqualityTest::trace).toList();
  }

  private static Driver driver(LoadedModel model, long seed) {
    return new Driver(new ModelRunner(model, 2048, 64), seed);
  }

  @ParameterizedTest
  @EnumSource(Kernels.class)
  void run_enginesAtTheSameTime_givesTheBitsOfOne(Kernels kernels) throws Exception {
    AtomicInteger layers = new AtomicInteger();
    List<String> alone;
    int once;
    try (Driver driver = driver(load(1, 1, kernels.backends(), layers).getFirst(), 1)) {
      alone = traces(driver);
      once = layers.getAndSet(0);
    }
    List<LoadedModel> models = load(3, 1, kernels.backends(), layers);
    assertThat(layers).as("weights are read once").hasValue(once);
    assertThat(models.stream().map(model -> model.backend().threads())).containsExactly(1, 1, 1);
    Driver owner = driver(models.get(0), 2);
    Driver second = driver(models.get(1), 3);
    Driver third = driver(models.get(2), 4);
    try (ExecutorService threads = Executors.newFixedThreadPool(3)) {
      List<Future<List<String>>> all = new ArrayList<>();
      for (Driver driver : List.of(owner, second, third)) {
        all.add(threads.submit(() -> traces(driver)));
      }
      for (Future<List<String>> one : all) {
        assertThat(one.get()).isEqualTo(alone);
      }
    }
    owner.close(); // others go on with its weights
    assertThat(traces(second)).isEqualTo(alone);
    second.close();
    assertThat(traces(third)).isEqualTo(alone);
    third.close();
  }

  @Test
  void load_ofRanks_givesEachEngineItsOwn() {
    AtomicInteger layers = new AtomicInteger();
    List<LoadedModel> models = load(2, 2, Kernels.JAVA.backends(), layers);
    List<String> traces = new ArrayList<>();
    for (int i = 0; i < models.size(); i++) {
      try (Driver driver = driver(models.get(i), i)) {
        traces.add(String.join("\n", traces(driver)));
      }
    }
    assertThat(traces.get(0)).isEqualTo(traces.get(1));
  }

  @Test
  void load_backendOfTheLastCannotBeOpened_closesTheOthers() {
    List<Integer> opened = new ArrayList<>();
    AtomicInteger closed = new AtomicInteger();
    EngineBackends backends =
        (own, rank) -> {
          if (opened.size() == 2) {
            throw new ModelException("there is no device " + own.gpu().devices());
          }
          opened.add(own.gpu().devices().getFirst());
          return RankFailureTest.counting(closed);
        };
    assertThatThrownBy(() -> load(3, 1, backends, new AtomicInteger()))
        .isInstanceOf(ModelException.class)
        .hasMessage("there is no device [2]");
    assertThat(opened).containsExactly(0, 1);
    assertThat(closed).hasValue(2);
  }

  @ParameterizedTest
  @CsvSource({"2,5,'3 2'", "3,2,'1 1 1'", "1,4,'4'"})
  void threads_ofTheMachine_areDivided(int engines, int cores, String shares) {
    List<String> threads = new ArrayList<>();
    List<String> argv = new ArrayList<>(List.of(FLAGS));
    argv.add("--data-parallel-size=" + engines);
    EngineBackends backends =
        (own, rank) -> {
          threads.add(String.valueOf(own.threads().orElse(cores)));
          return new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR);
        };
    EngineLoader.load(
            CheckpointFiles.in(Golden.MODEL),
            TestConfig.of(argv.toArray(String[]::new)),
            cores,
            backends,
            (done, total) -> {})
        .forEach(LoadedModel::close);
    assertThat(String.join(" ", threads)).isEqualTo(shares);
  }
}
