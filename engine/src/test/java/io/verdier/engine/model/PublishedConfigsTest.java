package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.DType;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PublishedConfigsTest {
  @TempDir Path directory;

  /** The numbers of parameters, norms included, are those of the published checkpoints. */
  @ParameterizedTest
  @CsvSource({
    "llama-3.2-1b, 1235814400, 64, 16, true",
    "llama-3.2-3b, 3212749824, 128, 28, true",
    "llama-3.1-8b, 8030261248, 128, 32, false",
  })
  void write_anyName_hasThePublishedSize(
      String name, long parameters, int headDim, int layers, boolean tied) {
    PublishedConfigs.write(name, directory);

    ModelLoader.Description model = ModelLoader.describe(directory, TestConfig.of());

    ModelSpec spec = model.spec();
    assertThat(PublishedConfigs.NAMES).hasSize(3).contains(name);
    long norms = (2L * layers + 1) * spec.hidden();
    assertThat(spec.parameters() + norms).isEqualTo(parameters);
    assertThat(spec.headDim()).isEqualTo(headDim);
    assertThat(spec.layers()).isEqualTo(layers);
    assertThat(spec.tiedEmbeddings()).isEqualTo(tied);
    assertThat(spec.rope().inverseFrequencies()[0]).isCloseTo(1, within(1e-12));
    assertThat(spec.rope().lengthFactor()).isEqualTo(1);
    assertThat(model.lengthMax()).isEqualTo(131_072);
    assertThat(model.weightType()).isEqualTo(DType.BF16);
  }

  @Test
  void write_unknownName_isRefused() {
    assertThatThrownBy(() -> PublishedConfigs.write("llama-9", directory))
        .hasMessageContaining("llama-9");
  }
}
