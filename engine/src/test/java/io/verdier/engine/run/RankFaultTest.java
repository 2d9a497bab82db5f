package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.RankFailure;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.sample.SamplingParams;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The demo model on two devices, each of which works by itself, and one of which fails: when the
 * ranks have queued a step and none of them but the first waits for anything.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@DisabledIfSystemProperty(
    named = "verdier.gpu",
    matches = "true") // no GPU fails when it is told to
class RankFaultTest {
  private static final int RANKS = 2;

  private final CudaBackend[] devices = new CudaBackend[RANKS]; // each set by its rank's thread
  private final int[] prompt = Golden.cases("logits.json").getFirst().ids();

  @BeforeAll
  static void compileKernels() { // which may take longer than a test
    TestCuda.besideBackend(Options.defaults()).close();
  }

  private Driver load() {
    return Driver.load(Golden.MODEL, RANKS, this::open, 1);
  }

  private CudaBackend open(Rank rank) {
    Options usual = Options.defaults();
    Options options = new Options(true, usual.weights(), usual.cache(), 0.9);
    CudaBackend device = TestCuda.besideBackend(options);
    devices[rank.index()] = device;
    return device;
  }

  @Test
  void step_devicesThatWorkBesideTheirRanks_givesReferenceContinuation() {
    try (Driver driver = load()) {
      Driver.Sequence sequence = driver.add(prompt, SamplingParams.greedy(4));
      driver.finish(List.of(sequence), 1024);

      assertThat(sequence.generated())
          .containsExactly(Arrays.copyOf(Golden.cases("logits.json").getFirst().greedy(), 4));
    }
  }

  /** In the first layer, somewhere in the middle, and behind the layers. */
  @ParameterizedTest
  @ValueSource(ints = {0, 20, 45})
  void step_anotherRanksDeviceFails_endsWithoutTokens(int launches) {
    try (Driver driver = load()) {
      Driver.Sequence sequence = driver.add(prompt, SamplingParams.greedy(8));
      driver.step(List.of(sequence), 1024);
      int before = sequence.tokens.size();
      TestCuda.failAfter(devices[1], launches);

      assertThatThrownBy(() -> driver.step(List.of(sequence), 1024))
          .isInstanceOf(RankFailure.class)
          .hasMessageContaining("emulated fault");
      assertThat(sequence.tokens).hasSize(before);
    }
  }

  /** A step that wants no tokens is not waited for by any rank. */
  @Test
  void step_anotherRanksDeviceFailsInAStepThatNobodyWaitsFor_endsInTheNext() {
    try (Driver driver = load()) {
      Driver.Sequence sequence = driver.add(prompt, SamplingParams.greedy(8));
      TestCuda.failAfter(devices[1], 10);

      assertThatThrownBy(
              () -> {
                driver.step(List.of(sequence), 1);
                driver.step(List.of(sequence), 1024);
              })
          .isInstanceOf(RankFailure.class);
      assertThat(sequence.generated()).isEmpty();
    }
  }

  /** Page-locked memory of the tiers is closed first, on the thread of each rank. */
  @Test
  void close_afterAFailureWithHostMemory_closesEveryDevice() {
    LoadedModel model = Driver.model(Golden.MODEL, RANKS, this::open);
    HostTier tier = new HostTier(model.cache().hostBlocks(4), null, null);
    try (Driver driver = new Driver(new ModelRunner(model, 2048, 64, tier), 1)) {
      Driver.Sequence sequence = driver.add(prompt, SamplingParams.greedy(8));
      TestCuda.failAfter(devices[1], 20);
      assertThatThrownBy(() -> driver.step(List.of(sequence), 1024))
          .isInstanceOf(RankFailure.class);
    }
    assertThat(devices).allMatch(TestCuda::isClosed);
  }

  /** The others then wait for what it would have sent, and end when it is closed. */
  @Test
  void step_firstRanksDeviceFails_endsAndCanBeClosed() {
    try (Driver driver = load()) {
      Driver.Sequence sequence = driver.add(prompt, SamplingParams.greedy(8));
      TestCuda.failAfter(devices[0], 20);

      assertThatThrownBy(() -> driver.step(List.of(sequence), 1024))
          .hasMessageContaining("emulated fault");
      assertThat(sequence.generated()).isEmpty();
    }
  }
}
