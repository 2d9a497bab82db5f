package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.RankFailure;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.sample.SamplingParams;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A rank that fails takes the engine with it, at once: nobody waits for it for ever. */
@Timeout(60)
class RankFailureTest {

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void run_rankThrowsInAStep_everyRankEndsAndTheEngineIsLost(int failing) {
    AtomicInteger products = new AtomicInteger();
    AtomicInteger closed = new AtomicInteger();
    RankBackends backends =
        rank -> {
          Backend backend = counting(closed);
          return rank.index() == failing ? failing(backend, products) : backend;
        };
    try (Driver driver = Driver.load(Golden.MODEL, 4, backends, 1)) {
      Driver.Sequence good = driver.add(new int[] {1, 2, 3}, SamplingParams.greedy(4));
      driver.step(List.of(good), 16);
      products.set(20);
      assertThatThrownBy(() -> driver.step(List.of(good), 16))
          .isInstanceOfSatisfying(
              RankFailure.class,
              failure -> assertThat(failure.aftermath()).isEqualTo(DeviceException.Aftermath.LOST))
          .hasRootCauseMessage("the test's rank fails");
      Driver.Sequence later = driver.add(new int[] {4, 5}, SamplingParams.greedy(4));
      assertThatThrownBy(() -> driver.step(List.of(later), 16)).isInstanceOf(RankFailure.class);
    }
    assertThat(closed).hasValue(4);
    assertThat(rankThreads()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void load_rankCannotOpen_saysWhyAndClosesTheOthers(int failing) {
    AtomicInteger closed = new AtomicInteger();
    RankBackends backends =
        rank -> {
          if (rank.index() == failing) {
            throw new ModelException("there is no device for " + rank);
          }
          return counting(closed);
        };

    assertThatThrownBy(() -> Driver.load(Golden.MODEL, 2, backends, 1))
        .isInstanceOf(ModelException.class)
        .hasMessage("there is no device for rank " + failing + " of 2");
    assertThat(closed).hasValue(1);
    assertThat(rankThreads()).isEmpty();
  }

  @Test
  void load_headsNotDivisible_saysWhatIsPossible() {
    ServerConfig config = TestConfig.of("--tensor-parallel-size=3");
    RankBackends none =
        rank -> {
          throw new AssertionError("nothing is opened");
        };

    assertThatThrownBy(() -> ModelLoader.load(Golden.MODEL, config, none, (done, total) -> {}))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("--tensor-parallel-size is 3; 8 attention heads,")
        .hasMessageEndingWith("Possible are 1, 2, 4, 8.");
  }

  @Test
  void load_severalRanks_countTheCacheOfAll() {
    try (LoadedModel one = load(1);
        LoadedModel two = load(2);
        LoadedModel eight = load(8)) { // of 4 key heads: each of them twice
      assertThat(two.kvPlan()).isEqualTo(one.kvPlan());
      assertThat(eight.kvPlan().bytes()).isEqualTo(2 * one.kvPlan().bytes());
      assertThat(two.spec()).usingRecursiveComparison().isEqualTo(one.spec());
    }
    assertThat(rankThreads()).isEmpty();
  }

  private static LoadedModel load(int ranks) {
    ServerConfig config =
        TestConfig.of(
            "--tensor-parallel-size=" + ranks,
            "--num-gpu-blocks-override=64",
            "--max-model-len=1024",
            "--max-num-batched-tokens=64",
            "--max-num-seqs=4");
    return ModelLoader.load(
        Golden.MODEL, config, rank -> counting(new AtomicInteger()), (done, total) -> {});
  }

  private static List<String> rankThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(Thread::isAlive)
        .map(Thread::getName)
        .filter(name -> name.startsWith("verdier-rank-"))
        .toList();
  }

  static Backend counting(AtomicInteger closed) {
    Backend backend = new CpuBackend(OptionalInt.of(1), KernelForm.SCALAR);
    return proxy(
        backend,
        name -> {
          if (name.equals("close")) {
            closed.incrementAndGet();
          }
        });
  }

  /** Fails when so many products have been computed as the counter says; 0: never. */
  private static Backend failing(Backend backend, AtomicInteger products) {
    return proxy(
        backend,
        name -> {
          if (name.startsWith("matmul") && products.get() > 0 && products.decrementAndGet() == 0) {
            throw new IllegalStateException("the test's rank fails");
          }
        });
  }

  private interface Before {
    void call(String name);
  }

  private static Backend proxy(Backend backend, Before before) {
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, arguments) -> {
              before.call(method.getName());
              try {
                return method.invoke(backend, arguments);
              } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
              }
            });
  }
}
