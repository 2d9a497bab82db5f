package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Stage;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.WeightMap;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every family and variant on a tiny random checkpoint, against an oracle in float64. Hidden states
 * and logits are of order 1; float32 sums of some dozen terms over three layers differ from float64
 * by some 1e-6, and a wrong head, frequency, mask or bias by more than 1e-2.
 */
class FamilyTest {
  private static final long SEED = Long.getLong("seed", 7);
  private static final double TOLERANCE = 1e-4;
  private static final int TOKENS = 45;
  private static final String FULL = "0 0 0";
  @TempDir Path directory;

  /** A variant: what config.json says, and what that must mean. */
  enum Variant {
    LLAMA_GROUPED("{}", 4, FULL),
    LLAMA_TIED("{'tie_word_embeddings': true}", 4, FULL),
    LLAMA_MULTI_HEAD("{'num_key_value_heads': 6}", 4, FULL),
    LLAMA_MULTI_QUERY("{'num_key_value_heads': 1}", 4, FULL),
    LLAMA_HEAD_DIM("{'head_dim': 10}", 10, FULL),
    LLAMA_WIDE_HEADS("{'head_dim': 48, 'num_attention_heads': 4}", 48, FULL),
    LLAMA_ATTENTION_BIAS("{'attention_bias': true}", 4, FULL),
    LLAMA_MLP_BIAS("{'mlp_bias': true}", 4, FULL),
    ROPE_LINEAR("{'rope_scaling': {'type': 'linear', 'factor': 3.0}}", 4, FULL),
    ROPE_DYNAMIC("{'head_dim': 8, 'rope_scaling': {'type': 'dynamic', 'factor': 2.5}}", 8, FULL),
    ROPE_LLAMA3(
        "{'head_dim': 16, 'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0,"
            + " 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
            + " 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_YARN(
        "{'head_dim': 16, 'rope_scaling': {'rope_type': 'yarn', 'factor': 4.0,"
            + " 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_YARN_TUNED(
        "{'head_dim': 16, 'rope_scaling': {'type': 'yarn', 'factor': 4.0, 'beta_fast': 8,"
            + " 'beta_slow': 0.5, 'attention_factor': 1.2,"
            + " 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_YARN_LOWERED(
        "{'head_dim': 16, 'rope_scaling': {'rope_type': 'yarn', 'factor': 4.0, 'attn_factor': 0.6,"
            + " 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_YARN_LOWERED_IN_VAIN(
        "{'head_dim': 16, 'rope_scaling': {'rope_type': 'yarn', 'factor': 4.0, 'attn_factor': 0.6,"
            + " 'attention_factor': 1.2, 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_PARAMETERS(
        "{'head_dim': 16, 'rope_theta': null, 'rope_parameters': {'rope_type': 'yarn',"
            + " 'factor': 2.0, 'rope_theta': 500.0, 'original_max_position_embeddings': 64}}",
        16,
        FULL),
    ROPE_PARAMETERS_DEFAULT(
        "{'rope_parameters': {'rope_type': 'default', 'rope_theta': 77.0}}", 4, FULL),
    MISTRAL_WINDOW("{'architectures': ['MistralForCausalLM'], 'sliding_window': 5}", 4, "5 5 5"),
    MISTRAL_WIDE_WINDOW(
        "{'architectures': ['MistralForCausalLM'], 'sliding_window': 20}", 4, "20 20 20"),
    MISTRAL_NULL_WINDOW(
        "{'architectures': ['MistralForCausalLM'], 'sliding_window': null}", 4, FULL),
    MISTRAL_DEFAULTS(
        "{'architectures': ['MistralForCausalLM'], 'num_key_value_heads': null,"
            + " 'num_attention_heads': 8}",
        3 * 2,
        "4096 4096 4096"),
    QWEN2("{'architectures': ['Qwen2ForCausalLM'], 'sliding_window': 3}", 4, FULL),
    QWEN2_UPPER_WINDOW(
        "{'architectures': ['Qwen2ForCausalLM'], 'sliding_window': 6,"
            + " 'use_sliding_window': true, 'max_window_layers': 2}",
        4,
        "0 0 6"),
    QWEN3("{'architectures': ['Qwen3ForCausalLM'], 'head_dim': 8}", 8, FULL),
    QWEN3_BIAS(
        "{'architectures': ['Qwen3ForCausalLM'], 'head_dim': 8, 'attention_bias': true}", 8, FULL),
    QWEN3_LAYER_TYPES(
        "{'architectures': ['Qwen3ForCausalLM'], 'head_dim': 8, 'sliding_window': 4,"
            + " 'use_sliding_window': true, 'layer_types': ['sliding_attention',"
            + " 'full_attention', 'sliding_attention']}",
        8,
        "4 0 4");

    final String overrides;
    final int headDim;
    final String windows;

    Variant(String overrides, int headDim, String windows) {
      this.overrides = overrides.replace('\'', '"');
      this.headDim = headDim;
      this.windows = windows;
    }
  }

  @ParameterizedTest
  @EnumSource
  void forward_variant_matchesOracle(Variant variant) throws IOException {
    TinyCheckpoint checkpoint = checkpoint(variant.overrides, variant.headDim, "model.", DType.F32);
    checkpoint.write(directory, checkpoint.config);
    requireEqual(checkpoint, variant.headDim, variant.windows);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void forward_everyTypeInShards_matchesOracle(DType type) throws IOException {
    TinyCheckpoint checkpoint =
        new TinyCheckpoint(withArchitecture("{\"attention_bias\":true}"), "model.", type, 3, SEED);
    checkpoint.tensors(4, true, true, false, false);
    checkpoint.write(directory, checkpoint.config);
    requireEqual(checkpoint, 4, FULL);
  }

  @ParameterizedTest
  @EnumSource(names = {"MISTRAL_WINDOW", "QWEN3", "LLAMA_TIED"})
  void forward_textOfLargerModel_matchesOracle(Variant variant) throws IOException {
    for (String prefix : new String[] {"language_model.model.", "model.language_model."}) {
      TinyCheckpoint checkpoint =
          checkpoint(variant.overrides, variant.headDim, prefix, DType.BF16);
      var outer = new ObjectMapper().createObjectNode();
      outer.putArray("architectures").add("SomeVisionModel");
      JsonNode inner = checkpoint.config.deepCopy();
      outer.set("text_config", inner);
      checkpoint.write(directory, outer);
      requireEqual(checkpoint, variant.headDim, variant.windows);
    }
  }

  /** Each rank has some heads; with six ranks three have the same key head. */
  @ParameterizedTest
  @CsvSource({"2,BF16", "2,F32", "6,F16"})
  void forward_severalRanks_matchOracle(int ranks, DType type) throws IOException {
    String overrides =
        """
        {"num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 42,
         "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": %s}\
        """
            .formatted(ranks == 6);
    TinyCheckpoint checkpoint =
        new TinyCheckpoint(withArchitecture(overrides), "model.", type, 2, SEED);
    checkpoint.tensors(4, true, true, true, false);
    checkpoint.write(directory, checkpoint.config);
    int[] tokens = new Random(SEED).ints(TOKENS, 0, TinyCheckpoint.VOCAB).toArray();
    double[][] expected =
        new NaiveDecoder(checkpoint.config, checkpoint.weights, 4, new int[3]).outputs(tokens);
    float[][] actual = outputs(tokens, TOKENS, CpuBackend.KernelForm.VECTOR, ranks);
    for (int t = 0; t < TOKENS; t++) {
      assertThat(actual[t]).hasSameSizeAs(expected[t]);
      for (int i = 0; i < actual[t].length; i++) {
        assertThat((double) actual[t][i])
            .as("position %d output %d, seed %d", t, i, SEED)
            .isCloseTo(expected[t][i], within(TOLERANCE));
      }
    }
    assertThat(outputs(tokens, 7, CpuBackend.KernelForm.SCALAR, ranks)).isEqualTo(actual);
  }

  /** As models that embed are published: no name in front, and none generates. */
  @ParameterizedTest
  @CsvSource({
    "Qwen3ForCausalLM,true,1,--runner=pooling",
    "Qwen3ForCausalLM,false,1,--runner=pooling",
    "Qwen3ForCausalLM,false,2,--runner=pooling",
    "Qwen3Model,false,1,--runner=auto",
    "MistralModel,false,2,--runner=auto",
    "LlamaModel,true,1,--runner=auto",
    "Qwen2Model,false,1,--runner=pooling"
  })
  void forward_savedWithoutOutputMatrix_matchesOracle(
      String architecture, boolean tied, int ranks, String runner) throws IOException {
    String overrides =
        "{\"architectures\": [\"%s\"], \"tie_word_embeddings\": true, \"sliding_window\": null}"
            .formatted(architecture);
    TinyCheckpoint checkpoint = checkpoint(overrides, 4, "", DType.F32);
    JsonNode oracle = checkpoint.config.deepCopy();
    checkpoint.config.put("tie_word_embeddings", tied).put("head_dim", 4);
    checkpoint.write(directory, checkpoint.config);
    int[] tokens = new Random(SEED).ints(TOKENS, 0, TinyCheckpoint.VOCAB).toArray();
    double[][] expected =
        new NaiveDecoder(oracle, checkpoint.weights, 4, new int[3]).outputs(tokens);
    float[][] actual = outputs(tokens, TOKENS, CpuBackend.KernelForm.VECTOR, ranks, runner);
    for (int t = 0; t < TOKENS; t++) {
      for (int i = 0; i < 24; i++) {
        assertThat((double) actual[t][i]).isCloseTo(expected[t][i], within(TOLERANCE));
      }
    }
  }

  /** Each stage knows what the others have, by whatever names. */
  @ParameterizedTest
  @CsvSource({"'',false", "'',true", "model.,false", "language_model.model.,false"})
  void load_stages_takeTheirOwnAndRefuseTheRest(String prefix, boolean tied) throws IOException {
    TinyCheckpoint checkpoint =
        checkpoint("{\"tie_word_embeddings\": %s}".formatted(tied), 4, prefix, DType.F32);
    checkpoint.write(directory, checkpoint.config);
    ModelSpec spec = ModelLoader.describe(directory, TestConfig.of()).spec();
    for (int stage = 0; stage < 3; stage++) {
      try (WeightMap weights = WeightMap.open(CheckpointFiles.in(directory));
          CpuBackend backend = new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR)) {
        Shard shard = Shard.of(spec, new Stage(stage, 3));
        DecoderWeights own = DecoderWeights.load(shard, weights, backend, (done, total) -> {});
        assertThat(own.layers()).hasSize(1);
        assertThat(own.embedding() != null).isEqualTo(stage == 0);
        assertThat(own.output() != null).isEqualTo(stage == 2);
      }
    }
  }

  private static String withArchitecture(String overrides) {
    return overrides.contains("architectures")
        ? overrides
        : "{\"architectures\":[\"LlamaForCausalLM\"]"
            + (overrides.equals("{}") ? "}" : "," + overrides.substring(1));
  }

  private static TinyCheckpoint checkpoint(String overrides, int headDim, String prefix, DType type)
      throws IOException {
    TinyCheckpoint checkpoint =
        new TinyCheckpoint(withArchitecture(overrides), prefix, type, 1, SEED);
    JsonNode config = checkpoint.config;
    boolean absent = config.get("num_key_value_heads").isNull();
    if (absent) {
      checkpoint.config.put("num_key_value_heads", 8); // the family's default
    }
    if (headDim == 6) {
      checkpoint.config.put("hidden_size", 48);
    }
    String architecture = config.get("architectures").get(0).asText();
    boolean bias = config.path("attention_bias").asBoolean();
    checkpoint.tensors(
        headDim,
        bias || architecture.startsWith("Qwen2"),
        bias,
        config.path("mlp_bias").asBoolean(),
        architecture.startsWith("Qwen3"));
    if (absent) {
      checkpoint.config.remove("num_key_value_heads");
    }
    return checkpoint;
  }

  private void requireEqual(TinyCheckpoint checkpoint, int headDim, String windows) {
    int[] tokens = new Random(SEED).ints(TOKENS, 0, TinyCheckpoint.VOCAB).toArray();
    double[][] expected =
        new NaiveDecoder(
                checkpoint.config,
                checkpoint.weights,
                headDim,
                Arrays.stream(windows.split(" ")).mapToInt(Integer::parseInt).toArray())
            .outputs(tokens);
    float[][] actual = outputs(tokens, TOKENS, CpuBackend.KernelForm.VECTOR, 1);
    for (int t = 0; t < TOKENS; t++) {
      assertThat(actual[t]).hasSameSizeAs(expected[t]);
      for (int i = 0; i < actual[t].length; i++) {
        assertThat((double) actual[t][i])
            .as("position %d output %d, seed %d", t, i, SEED)
            .isCloseTo(expected[t][i], within(TOLERANCE));
      }
    }
    float[][] chunked = outputs(tokens, 7, CpuBackend.KernelForm.SCALAR, 1);
    assertThat(chunked).as("chunks of 7, scalar").isEqualTo(actual);
  }

  private float[][] outputs(int[] tokens, int chunk, CpuBackend.KernelForm form, int ranks) {
    return outputs(tokens, chunk, form, ranks, "--runner=auto");
  }

  /** Hidden states and logits, {@code [tokens][hidden + vocab]}. */
  private float[][] outputs(
      int[] tokens, int chunk, CpuBackend.KernelForm form, int ranks, String runner) {
    ServerConfig config =
        TestConfig.of(
            "--max-num-batched-tokens=64",
            "--max-num-seqs=1",
            "--max-model-len=64",
            "--num-gpu-blocks-override=4",
            "--tensor-parallel-size=" + ranks,
            runner);
    RankBackends backends = rank -> new CpuBackend(OptionalInt.of(2), form);
    try (LoadedModel model = ModelLoader.load(directory, config, backends, (done, total) -> {})) {
      float[][] outputs = new float[tokens.length][];
      float[] states = new float[model.spec().hidden()];
      float[] logits = new float[TinyCheckpoint.VOCAB];
      AttentionBatch batch = new AttentionBatch(64, 1);
      for (int from = 0; from < tokens.length; from += chunk) {
        int count = Math.min(chunk, tokens.length - from);
        batch.clear();
        batch.add(i -> tokens[i], from, count, new int[] {2, 0, 3, 1});
        model.transformer().forward(batch, model.cache());
        for (int i = 0; i < count; i++) {
          model.transformer().hiddenStates(new int[] {i}, 0, 1, states);
          model.transformer().logits(new int[] {i}, 0, 1, logits);
          outputs[from + i] = Arrays.copyOf(states, states.length + logits.length);
          System.arraycopy(logits, 0, outputs[from + i], states.length, logits.length);
        }
      }
      return outputs;
    }
  }
}
