package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code --load-format dummy}: a config.json and nothing else is a model. */
class DummyModelTest {
  private static final ServerConfig CONFIG =
      TestConfig.of("--load-format=dummy", "--max-num-seqs=1", "--num-gpu-blocks-override=4");

  @TempDir Path directory;

  static Stream<String> architectures() {
    return ModelFamily.TABLE.stream().map(ModelFamily::architecture);
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void load_configOfAnyFamily_runs(String architecture) throws IOException {
    write(architecture, "{'attention_bias': true, 'mlp_bias': true, 'torch_dtype': 'bfloat16'}");

    float[] logits = logits();

    assertThat(logits).doesNotContain(Float.NaN).doesNotHaveDuplicates();
    assertThat(logits()).isEqualTo(logits);
  }

  @Test
  void load_textOfLargerModel_runs() throws IOException {
    ObjectNode outer = new ObjectMapper().createObjectNode();
    outer.putArray("architectures").add("SomeVisionModel");
    outer.set("text_config", config("LlamaForCausalLM", "{}"));
    Files.writeString(directory.resolve("config.json"), outer.toString());

    assertThat(logits()).doesNotContain(Float.NaN).doesNotHaveDuplicates();
  }

  /** As LLaVA 1.5 is published: its text model says only what its class does not. */
  @ParameterizedTest
  @CsvSource({
    "llama,32064,32000,11008,32,128,4096",
    "mistral,32064,32000,14336,8,128,4096",
    "qwen2,151646,151936,22016,32,128,4096",
    "qwen3,151646,151936,22016,32,128,4096"
  })
  void describe_textConfigOfFewWords_isTheClassDefaults(
      String type, int vocabulary, int absent, int intermediate, int kvHeads, int headDim, int max)
      throws IOException {
    String known = ", \"vocab_size\": %d".formatted(vocabulary);
    for (String said : new String[] {known, ""}) {
      Files.writeString(
          directory.resolve("config.json"),
          """
          {"architectures": ["LlavaForConditionalGeneration"], "text_config":
            {"model_type": "%s", "max_position_embeddings": %d, "rms_norm_eps": 1e-5,
             "torch_dtype": "float16"%s}}"""
              .formatted(type, max, said));
      ModelSpec spec = ModelLoader.describe(directory, CONFIG).spec();
      assertThat(spec.vocabSize()).isEqualTo(said.isEmpty() ? absent : vocabulary);
      assertThat(spec.hidden()).isEqualTo(4096);
      assertThat(spec.intermediate()).isEqualTo(intermediate);
      assertThat(spec.layers()).isEqualTo(32);
      assertThat(spec.heads()).isEqualTo(32);
      assertThat(spec.kvHeads()).isEqualTo(kvHeads);
      assertThat(spec.headDim()).isEqualTo(headDim);
      assertThat(spec.maxPositions()).isEqualTo(max);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "{},auto,F32",
    "{'torch_dtype': 'bfloat16'},auto,BF16",
    "{'dtype': 'float16'},auto,F16",
    "{'torch_dtype': 'bfloat16'},half,F16",
    "{'torch_dtype': 'float16'},bfloat16,BF16"
  })
  void describe_type_isTheConfigsUnlessAsked(String overrides, String asked, DType expected)
      throws IOException {
    write("LlamaForCausalLM", overrides.replace('\'', '"'));

    ServerConfig config = TestConfig.of("--load-format=dummy", "--dtype", asked);

    assertThat(ModelLoader.describe(directory, config).weightType()).isEqualTo(expected);
  }

  @Test
  void parameters_ofTinyModel_countEveryMatrix() throws IOException {
    write("LlamaForCausalLM", "{}");
    ModelSpec spec = ModelLoader.describe(directory, CONFIG).spec();
    int layer = 24 * 24 * 2 + 8 * 24 * 2 + 3 * 24 * 40;

    assertThat(spec.matmulParameters()).isEqualTo(3 * layer + 70 * 24);
    assertThat(spec.parameters()).isEqualTo(3 * layer + 2 * 70 * 24);
  }

  @Test
  void load_withoutDummy_needsWeights() throws IOException {
    write("LlamaForCausalLM", "{}");

    assertThatThrownBy(() -> load(TestConfig.of("--num-gpu-blocks-override=4")))
        .hasMessageContaining("neither model.safetensors nor");
  }

  private float[] logits() {
    try (LoadedModel model = load(CONFIG)) {
      AttentionBatch batch = new AttentionBatch(8, 1);
      batch.add(position -> 60 - position, 0, 8, new int[] {2});
      model.transformer().forward(batch, model.cache());
      float[] logits = new float[TinyCheckpoint.VOCAB];
      model.transformer().logits(new int[] {7}, 0, 1, logits);
      return logits;
    }
  }

  private LoadedModel load(ServerConfig config) {
    CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR);
    return ModelLoader.load(directory, config, backend, (done, total) -> {});
  }

  private void write(String architecture, String overrides) throws IOException {
    String json = config(architecture, overrides.replace('\'', '"')).toString();
    Files.writeString(directory.resolve("config.json"), json);
  }

  private static ObjectNode config(String architecture, String overrides) throws IOException {
    ObjectNode config = new TinyCheckpoint(overrides, "model.", DType.F32, 1, 1).config;
    config.putArray("architectures").add(architecture);
    return config;
  }
}
