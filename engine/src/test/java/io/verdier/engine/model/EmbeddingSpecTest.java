package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.run.TestConfig;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.weights.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What flags and the files beside a model make of it. */
class EmbeddingSpecTest {
  private static final String[] TYPES = {
    "sentence_transformers.models.Transformer",
    "sentence_transformers.models.Pooling",
    "sentence_transformers.models.Normalize"
  };
  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"pooling_mode_lasttoken\": true, \"pooling_mode_mean_tokens\": false} | LAST",
        "{\"pooling_mode_mean_tokens\": true, \"include_prompt\": true} | MEAN",
        "{\"pooling_mode_cls_token\": true, \"word_embedding_dimension\": 24} | FIRST",
        "{\"embedding_dimension\": 24, \"pooling_mode\": \"lasttoken\"} | LAST",
        "{\"pooling_mode\": \"mean\", \"include_prompt\": true} | MEAN",
        "{\"pooling_mode\": \"cls\"} | FIRST"
      })
  void describe_poolingFile_saysWhoseStatesAreTaken(String json, Pooling expected)
      throws IOException {
    write("LlamaForCausalLM", json, TYPES);
    assertThat(embedding()).map(EmbeddingSpec::pooling).hasValue(expected);
    assertThat(embedding("--pooler-config={\"pooling_type\":\"ALL\"}"))
        .map(EmbeddingSpec::pooling)
        .hasValue(Pooling.EVERY);
    assertThat(embedding("--runner=generate")).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"pooling_mode_lasttoken\": true, \"pooling_mode_mean_tokens\": true}"
            + " | its pooling mode is lasttoken and mean; available are cls, mean or lasttoken",
        "{\"pooling_mode_max_tokens\": true} | its pooling mode is max;",
        "{\"pooling_mode\": \"weightedmean\"} | its pooling mode is weightedmean;",
        "{} | its pooling mode is missing;"
      })
  void describe_otherPooling_isRefusedUnlessAFlagSays(String json, String reason)
      throws IOException {
    write("LlamaForCausalLM", json, TYPES);
    assertThatThrownBy(this::embedding)
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(reason)
        .hasMessageContaining("--pooler-config");
    assertThat(embedding("--pooler-config={\"pooling_type\":\"MEAN\"}"))
        .map(EmbeddingSpec::pooling)
        .hasValue(Pooling.MEAN);
  }

  @Test
  void describe_modules_normalizeOrNot() throws IOException {
    write("LlamaForCausalLM", "{\"pooling_mode\": \"mean\"}", TYPES);
    assertThat(embedding()).map(EmbeddingSpec::normalized).hasValue(true);
    write("LlamaForCausalLM", "{\"pooling_mode\": \"mean\"}", TYPES[0], TYPES[1]);
    assertThat(embedding()).map(EmbeddingSpec::normalized).hasValue(false);
    write("LlamaForCausalLM", "{\"pooling_mode\": \"mean\"}", "a.Transformer", "b.c.Normalize");
    assertThat(embedding()).map(EmbeddingSpec::normalized).hasValue(true);
  }

  @ParameterizedTest
  @CsvSource({
    "sentence_transformers.models.Dense,type is sentence_transformers.models.Dense",
    "my.NotNormalize,type is my.NotNormalize",
    "'',type is ;"
  })
  void describe_moduleOfAnotherType_isRefusedByName(String type, String reason) throws IOException {
    write("LlamaForCausalLM", "{\"pooling_mode\": \"mean\"}", TYPES[0], TYPES[1], type);
    assertThatThrownBy(this::embedding)
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(reason)
        .hasMessageContaining("must be Transformer, Pooling or Normalize");
    assertThat(embedding("--runner=generate")).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "{},it must hold a JSON array",
    "'[1]',a list of objects",
    "[,not a valid JSON array"
  })
  void describe_modulesThatAreNoList_areRefused(String json, String reason) throws IOException {
    write("LlamaForCausalLM", "{\"pooling_mode\": \"mean\"}", TYPES);
    Files.writeString(directory.resolve("modules.json"), json);
    assertThatThrownBy(this::embedding)
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("modules.json: ")
        .hasMessageContaining(reason);
  }

  @Test
  void describe_noOutputMatrix_embedsAndCannotGenerate() throws IOException {
    write("Qwen3Model");
    assertThat(embedding()).map(EmbeddingSpec::pooling).hasValue(Pooling.LAST);
    assertThat(embedding()).map(EmbeddingSpec::normalized).hasValue(true);
    assertThatThrownBy(() -> embedding("--runner=generate"))
        .isInstanceOf(ModelException.class)
        .hasMessage(
            "--runner generate: the model was saved as Qwen3Model, without an output matrix; it can"
                + " only embed.");
    write("Qwen3ForCausalLM");
    assertThat(embedding()).isEmpty();
  }

  private Optional<EmbeddingSpec> embedding(String... flags) {
    return ModelLoader.describe(directory, TestConfig.of(flags)).embedding();
  }

  private void write(String architecture) throws IOException {
    String overrides = "{\"architectures\": [\"%s\"]}".formatted(architecture);
    TinyCheckpoint tiny = new TinyCheckpoint(overrides, "", DType.F32, 1, 1);
    tiny.write(directory, tiny.config);
  }

  private void write(String architecture, String pooling, String... types) throws IOException {
    write(architecture);
    String modules =
        Arrays.stream(types)
            .map("{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": \"%s\"}"::formatted)
            .collect(Collectors.joining(", ", "[", "]"));
    Files.writeString(directory.resolve("modules.json"), modules);
    Files.createDirectories(directory.resolve("1_Pooling"));
    Files.writeString(directory.resolve("1_Pooling/config.json"), pooling);
  }
}
