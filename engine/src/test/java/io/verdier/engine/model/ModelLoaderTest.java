package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.WeightsException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelLoaderTest {
  private static final Path DEMO = Path.of("src/main/resources/demo-model");
  private static final ServerConfig CONFIG =
      TestConfig.of(64, 4, OptionalInt.empty(), OptionalInt.empty());
  private static final long DEMO_TOKEN_BYTES = 6L * 4 * 32 * 2 * 4;
  @TempDir Path directory;

  @Test
  void describe_demoModel_readsNumbersAndDefaults() throws IOException {
    ModelLoader.Description demo = ModelLoader.describe(DEMO, CONFIG);
    assertThat(demo.lengthMax()).isEqualTo(2048);
    assertThat(demo.spec().headDim()).isEqualTo(32);
    assertThat(demo.generation().temperature()).hasValue(0.3);
    assertThat(demo.generation().topP()).hasValue(0.9);
    assertThat(demo.generation().topK()).isEmpty();
    assertThat(demo.generation().endTokenIds()).containsExactly(4065, 4072, 4073);
    double[] frequencies = demo.spec().rope().inverseFrequencies();
    try (InputStream in = getClass().getResourceAsStream("/golden/logits.json")) {
      JsonNode golden = new ObjectMapper().readTree(in).get("rope_inverse_frequencies");
      for (int i = 0; i < 16; i++) {
        assertThat(frequencies[i]).isCloseTo(golden.get(i).asDouble(), within(1e-12));
      }
    }
  }

  /** Wherever the id is written down, and whoever's tokenizer it is. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {"eos_token": "</s>", "added_tokens_decoder": {"7": {"content": "</s>"}}} | {} | 3 7
          {"eos_token": {"content": "</s>"}} | {"added_tokens": [{"id": 8, "content": "</s>"}]} | 3 8
          {"eos_token": "</s>"} | {"added_tokens": [], "model": {"vocab": {"a": 0, "</s>": 9}}} | 3 9
          {"eos_token": "</s>"} | {"added_tokens": [], "model": {"vocab": {"a": 0}}} | 3
          {"eos_token": "</s>"} | {"added_tokens": [{"id": 70, "content": "</s>"}], "model": {"vocab": {}}} | 3
          {"eos_token": null} | {"added_tokens": [{"id": 8, "content": "</s>"}]} | 3
          {"tokenizer_class": "LlamaTokenizer"} | {"added_tokens": [{"id": 8, "content": "</s>"}]} | 3 8
          {} | {"added_tokens": [{"id": 8, "content": "</s>"}]} | 3
          """)
  void describe_tokenizersEnd_endsSequencesToo(String config, String tokenizer, String expected)
      throws IOException {
    TinyCheckpoint tiny =
        new TinyCheckpoint(
            "{\"architectures\": [\"LlamaForCausalLM\"], \"eos_token_id\": 3}",
            "model.",
            DType.F32,
            1,
            1);
    tiny.write(directory, tiny.config);
    CheckpointFiles files = CheckpointFiles.in(directory);
    assertThat(ModelLoader.describe(files, CONFIG).generation().endTokenIds()).containsExactly(3);
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    int[] ids = Arrays.stream(expected.split(" ")).mapToInt(Integer::parseInt).toArray();
    for (Path place : List.of(elsewhere, directory)) {
      Files.writeString(place.resolve("tokenizer_config.json"), config);
      Files.writeString(place.resolve("tokenizer.json"), tokenizer);
      assertThat(
              ModelLoader.describe(files.withTokenizer(place), CONFIG).generation().endTokenIds())
          .containsExactly(ids);
    }
    assertThat(ModelLoader.describe(directory, CONFIG).generation().endTokenIds())
        .containsExactly(ids);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {"hidden_size": 0}                | hidden_size is 0; it must be a whole number from 2
          {"hidden_size": "24"}             | hidden_size is 24; it must be a whole number
          {"hidden_size": 2.5}              | hidden_size is 2.5
          {"hidden_size": null}             | hidden_size is missing
          {"hidden_size": 1e30}             | hidden_size is 1.0E30
          {"num_hidden_layers": 100000}     | num_hidden_layers is 100000
          {"num_attention_heads": 5}        | hidden_size is 24; it must be a multiple of num_attention_heads, 5
          {"num_key_value_heads": 4}        | num_key_value_heads is 4; it must be a divisor of num_attention_heads, 6
          {"head_dim": 7}                   | head_dim is 7; it must be an even number
          {"vocab_size": -1}                | vocab_size is -1
          {"rms_norm_eps": "x"}             | rms_norm_eps is x
          {"attention_bias": 1}             | attention_bias is 1; it must be true or false
          {"hidden_act": "gelu"}            | hidden_act is gelu; it must be silu
          {"architectures": ["GPT2LMHeadModel"]} | architectures is [GPT2LMHeadModel]; it must be one of LlamaForCausalLM, MistralForCausalLM
          {"architectures": "Llama"}        | architectures is Llama; it must be an array of strings
          {"architectures": null}           | model_type is missing
          {"quantization_config": {}}       | quantized checkpoints cannot be served yet
          {"rope_scaling": {"type": "longrope", "factor": 2}} | type is longrope; it must be one of default, linear, dynamic, llama3, yarn
          {"rope_scaling": {"type": "linear"}} | factor is missing
          {"rope_scaling": {"type": "linear", "factor": 0.5}} | factor is 0.5
          {"rope_scaling": 3}               | rope_scaling is 3; it must be an object
          {"partial_rotary_factor": 0.5}    | partial_rotary_factor is 0.5
          {"rope_theta": -1}                | rope_theta is -1
          {"is_causal": false}              | is_causal is false; it must be true
          """)
  void describe_brokenValue_isRefusedByName(String overrides, String reason) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    TinyCheckpoint tiny =
        new TinyCheckpoint(
            "{\"architectures\": [\"LlamaForCausalLM\"]}", "model.", DType.F32, 1, 1);
    tiny.config.setAll((com.fasterxml.jackson.databind.node.ObjectNode) mapper.readTree(overrides));
    tiny.write(directory, tiny.config);
    assertThatThrownBy(() -> ModelLoader.describe(directory, CONFIG))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(reason);
  }

  @ParameterizedTest
  @CsvSource({
    "{,not a valid JSON object",
    "[],not a valid JSON object",
    "'{\"a\":1,\"a\":2}',Duplicate"
  })
  void describe_brokenJson_isRefused(String json, String reason) throws IOException {
    Files.writeString(directory.resolve("config.json"), json);
    assertThatThrownBy(() -> ModelLoader.describe(directory, CONFIG))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(reason);
  }

  /** As {@code --dtype auto} says: what the checkpoint has, not what nobody wrote. */
  @ParameterizedTest
  @CsvSource({"BF16,1", "BF16,3", "F16,1", "F32,1"})
  void describe_noTypeInConfig_isTheCheckpoints(DType type, int shards) throws IOException {
    TinyCheckpoint tiny =
        new TinyCheckpoint(
            "{\"architectures\": [\"LlamaForCausalLM\"]}", "model.", type, shards, 1);
    tiny.tensors(4, false, false, false, false);
    tiny.write(directory, tiny.config);
    assertThat(ModelLoader.describe(directory, CONFIG).weightType()).isEqualTo(type);
    assertThat(ModelLoader.describe(directory, TestConfig.of("--dtype=half")).weightType())
        .isEqualTo(DType.F16);
    ServerConfig madeUp = TestConfig.of("--load-format=dummy");
    assertThat(ModelLoader.describe(directory, madeUp).weightType()).isEqualTo(DType.F32);
  }

  @Test
  void describe_lengthBeyondModel_isRefused() {
    ServerConfig config = TestConfig.of(64, 4, OptionalInt.of(4096), OptionalInt.empty());
    assertThatThrownBy(() -> ModelLoader.describe(DEMO, config))
        .hasMessageContaining("User-specified max_model_len (4096) is greater than the derived")
        .hasMessageContaining("Lower --max-model-len to 2048");
  }

  @Test
  void load_checkpointAgainstConfig_isRefused() throws IOException {
    assertUnusable(
        "{'attention_bias': true}", false, "no tensor model.layers.0.self_attn.q_proj.bias");
    assertUnusable("{}", true, "does not use, such as [model.layers.0.self_attn.");
    assertUnusable(
        "{'intermediate_size': 44}", false, "has shape [40, 24]; config.json asks for [44, 24]");
    assertUnusable("{'num_hidden_layers': 2}", false, "does not use, such as [model.layers.2.");
  }

  private void assertUnusable(String change, boolean extraBias, String reason) throws IOException {
    TinyCheckpoint tiny =
        new TinyCheckpoint(
            "{\"architectures\": [\"LlamaForCausalLM\"]}", "model.", DType.F32, 1, 1);
    tiny.tensors(4, extraBias, false, false, false);
    tiny.config.setAll(
        (com.fasterxml.jackson.databind.node.ObjectNode)
            new ObjectMapper().readTree(change.replace('\'', '"')));
    tiny.write(directory, tiny.config);
    CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR);
    assertThatThrownBy(() -> ModelLoader.load(directory, CONFIG, backend, (done, total) -> {}))
        .isInstanceOfAny(ModelException.class, WeightsException.class)
        .hasMessageContaining(reason);
  }

  @Test
  void load_blockSizeThatCpuCannotUse_isRefused() {
    ServerConfig.Cache cache =
        new ServerConfig.Cache(
            8,
            true,
            OptionalLong.empty(),
            OptionalInt.of(1000),
            Path.of("unused"),
            ServerConfig.PackedWeights.OFF,
            ServerConfig.PrefixTiers.NONE);
    ServerConfig config = TestConfig.of(64, 4, OptionalInt.empty(), cache);
    CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR);
    assertThatThrownBy(() -> ModelLoader.load(DEMO, config, backend, (done, total) -> {}))
        .isInstanceOf(ModelException.class)
        .hasMessage("--block-size: block size is 8; on the CPU it must be a multiple of 16.");
  }

  @Test
  void load_demoModel_reportsProgress() {
    List<Integer> layers = new ArrayList<>();
    CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR);
    try (LoadedModel model =
        ModelLoader.load(DEMO, CONFIG, backend, (done, total) -> layers.add(done))) {
      assertThat(model.lengthMax()).isEqualTo(2048);
    }
    assertThat(layers).containsExactly(1, 2, 3, 4, 5, 6);
  }

  @Test
  void kvPlan_sources_areHonouredInOrder() {
    ModelLoader.Description demo = ModelLoader.describe(DEMO, CONFIG);
    long blockBytes = 16 * DEMO_TOKEN_BYTES;
    // 4 sequences of 2048 tokens in blocks of 16 need no more than 512 blocks.
    assertThat(ModelLoader.kvPlan(demo, CONFIG, DEMO_TOKEN_BYTES, 4L << 30).blocks())
        .isEqualTo(512);
    assertThat(ModelLoader.kvPlan(demo, CONFIG, DEMO_TOKEN_BYTES, 200 * blockBytes).blocks())
        .isEqualTo(200);
    assertThat(plan(demo, OptionalLong.of(300 * blockBytes), OptionalInt.empty()).bytes())
        .isEqualTo(300 * blockBytes);
    assertThat(plan(demo, OptionalLong.of(1), OptionalInt.of(700)).blocks()).isEqualTo(700);
  }

  @Test
  void load_kvCache_hasTheSizeThatTheBackendSays() {
    CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR);
    long offered = backend.kvBytesMax(0);
    assertThat(offered).isBetween(1L << 20, Backend.KV_HOST_BYTES_MAX);
    assertThat(backend.kvBytesMax(Long.MAX_VALUE / 2)).isZero();
    try (LoadedModel model = ModelLoader.load(DEMO, CONFIG, backend, (done, total) -> {})) {
      long tokens = (long) model.kvPlan().blocks() * model.kvPlan().blockTokens();
      assertThat(model.kvPlan().bytes()).isEqualTo(tokens * backend.kvTokenBytes(6, 4, 32));
    }
  }

  @Test
  void kvPlan_oneSequenceDoesNotFit_isRefusedWithRemedy() {
    ModelLoader.Description demo = ModelLoader.describe(DEMO, CONFIG);
    assertThatThrownBy(() -> plan(demo, OptionalLong.empty(), OptionalInt.of(100)))
        .isInstanceOf(ModelException.class)
        .hasMessage(
            "The model's max seq len (2048) is larger than the maximum number of tokens that can be"
                + " stored in KV cache (1600). Set --max-model-len to at most 1600, or raise"
                + " --num-gpu-blocks-override to at least 128.");
    assertThatThrownBy(() -> plan(demo, OptionalLong.of(1000), OptionalInt.empty()))
        .hasMessageContaining("stored in KV cache (0). Give --kv-cache-memory-bytes at least");
  }

  private static KvPlan plan(ModelLoader.Description demo, OptionalLong bytes, OptionalInt blocks) {
    ServerConfig.Cache cache =
        new ServerConfig.Cache(
            16,
            true,
            bytes,
            blocks,
            Path.of("unused"),
            ServerConfig.PackedWeights.OFF,
            ServerConfig.PrefixTiers.NONE);
    ServerConfig config = TestConfig.of(64, 4, OptionalInt.empty(), cache);
    return ModelLoader.kvPlan(demo, config, DEMO_TOKEN_BYTES, 4L << 30);
  }
}
