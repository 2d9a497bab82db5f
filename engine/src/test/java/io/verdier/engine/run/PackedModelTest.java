package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.model.RankBackends;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The demo model from packed files, good and bad ones: nobody can tell by its answers. */
class PackedModelTest {
  private static final int PROMPTS = 4;
  @TempDir Path cache;

  @ParameterizedTest
  @CsvSource({
    "AMX,BF16",
    "AMX,INT8",
    "AMX,INT4",
    "AVX512,BF16",
    "AVX512,INT8",
    "AVX2,BF16",
    "AVX2,INT4",
    "NEON,BF16",
    "NEON,INT8"
  })
  void run_fromPackedFile_givesSameBitsAsPacking(KernelLevel level, WeightFormat format)
      throws IOException {
    List<String> expected = traces(NativeLevels.backend(level, format, 1), false);

    assertThat(traces(NativeLevels.keepingBackend(level, format, 2), false)).isEqualTo(expected);
    Path file = onlyFile();
    assertThat(traces(NativeLevels.keepingBackend(level, format, 2), true)).isEqualTo(expected);
    assertThat(onlyFile()).isEqualTo(file);

    byte[] good = Files.readAllBytes(file);
    byte[] bad = good.clone();
    bad[good.length / 2] ^= 4;
    Files.write(file, bad);
    assertThat(traces(NativeLevels.keepingBackend(level, format, 2), false)).isEqualTo(expected);
    assertThat(file).hasBinaryContent(good); // packed again, and kept again
  }

  @Test
  void run_weightsGivenUpAndHadAgain_givesTheSameBits() {
    List<String> expected = traces(keeping(), false);
    Backend backend = keeping();
    try (Driver driver = Driver.load(Golden.MODEL, config(), backend, 1)) {
      assertThat(NativeLevels.isFromFile(backend)).isTrue();
      for (int round = 0; round < 2; round++) {
        assertThat(traces(driver)).isEqualTo(expected);
        driver.runner.vacate();
        driver.runner.recall();
      }
      driver.runner.recall(); // nothing was given up: nothing happens
      assertThat(traces(driver)).isEqualTo(expected);
    }
    Backend packing = NativeLevels.backend(first(), WeightFormat.BF16, 2);
    try (Driver driver = Driver.load(Golden.MODEL, config(), packing, 1)) {
      driver.runner.vacate(); // no file has them: they stay
      assertThat(traces(driver)).isEqualTo(expected);
    }
  }

  @Test
  void run_cacheDirectoryIsAFile_servesAnyway() throws IOException {
    Files.writeString(cache.resolve("packed"), "in the way");

    assertThat(traces(keeping(), false)).hasSize(PROMPTS);
    assertThat(traces(keeping(), false)).hasSize(PROMPTS);
  }

  @Test
  void load_packedWeightsOff_keepsNothing() {
    traces(keeping(), false, "--packed-weights=off");

    assertThat(cache).isEmptyDirectory();
  }

  @Test
  void load_dummyWeights_keepsNothing() {
    traces(keeping(), false, "--load-format=dummy");

    assertThat(cache).isEmptyDirectory();
  }

  @Test
  void load_smallModel_keepsNothing() {
    traces(NativeLevels.backend(first(), WeightFormat.BF16, 2), false);

    assertThat(cache).isEmptyDirectory();
  }

  @Test
  void run_twoRanks_keepAFileEach() throws IOException {
    List<String> packed = rankTraces(false);
    assertThat(rankTraces(true)).isEqualTo(packed);
    try (Stream<Path> files = Files.list(cache.resolve("packed"))) {
      assertThat(files).hasSize(2);
    }
    traces(keeping(), false); // a single rank finds none of its own
    assertThat(rankTraces(true)).isEqualTo(packed);
  }

  private List<String> rankTraces(boolean fromFile) {
    List<Backend> backends = Collections.synchronizedList(new ArrayList<>());
    RankBackends opener =
        rank -> {
          Backend backend = NativeLevels.keepingBackend(first(), WeightFormat.BF16, 1);
          backends.add(backend);
          return backend;
        };
    try (Driver driver = Driver.load(Golden.MODEL, 2, opener, 1, "--cache-dir=" + cache)) {
      Golden.Case golden = Golden.cases("logits.json").getFirst();
      Driver.Sequence sequence = driver.add(golden.ids(), BitEqualityTest.params(1));
      driver.finish(List.of(sequence), 1024);
      for (Backend backend : backends) {
        assertThat(NativeLevels.isFromFile(backend)).isEqualTo(fromFile);
        NativeLevels.awaitFile(backend);
      }
      return List.of(BitEqualityTest.trace(sequence));
    }
  }

  private static KernelLevel first() {
    return NativeLevels.available().stream().findFirst().orElse(KernelLevel.AVX2);
  }

  private static Backend keeping() {
    return NativeLevels.keepingBackend(first(), WeightFormat.BF16, 2);
  }

  private List<String> traces(Backend backend, boolean fromFile, String... flags) {
    try (Driver driver = Driver.load(Golden.MODEL, config(flags), backend, 1)) {
      assertThat(NativeLevels.isFromFile(backend)).isEqualTo(fromFile);
      List<String> traces = traces(driver);
      NativeLevels.awaitFile(backend);
      return traces;
    }
  }

  private ServerConfig config(String... flags) {
    List<String> argv = new ArrayList<>(List.of(flags));
    argv.addAll(
        List.of(
            "--max-num-batched-tokens=2048",
            "--max-num-seqs=64",
            "--max-model-len=1024",
            "--num-gpu-blocks-override=512",
            "--cache-dir=" + cache));
    return TestConfig.of(argv.toArray(String[]::new));
  }

  private static List<String> traces(Driver driver) {
    List<Golden.Case> cases = Golden.cases("logits.json").subList(0, PROMPTS);
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < cases.size(); i++) {
      batch.add(driver.add(cases.get(i).ids(), BitEqualityTest.params(i)));
    }
    driver.finish(batch, 1024);
    return batch.stream().map(BitEqualityTest::trace).toList();
  }

  private Path onlyFile() throws IOException {
    try (Stream<Path> files = Files.list(cache.resolve("packed"))) {
      List<Path> found = files.toList();
      assertThat(found).hasSize(1);
      return found.getFirst();
    }
  }
}
