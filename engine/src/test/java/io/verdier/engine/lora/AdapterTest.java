package io.verdier.engine.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is read of an adapter's files, and every way in which they can be bad. */
class AdapterTest {
  /** One layer: hidden 6, queries 4, keys 2, intermediate 8; 10 tokens. */
  private static final LoraShape SHAPE =
      new LoraShape(
          1,
          4,
          List.of(
              new Product(6, List.of(4, 2, 2)),
              new Product(4, List.of(6)),
              new Product(6, List.of(8, 8)),
              new Product(8, List.of(6)),
              new Product(Input.TOKENS, 10, List.of(6)),
              new Product(6, List.of(10))));

  private static final String PLAIN =
      "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":3,\"target_modules\":\"all-linear\"%s}";
  private static final String LAYER = "base_model.model.model.layers.0.";

  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void read_allProjections_areFoundWithTheirParts(DType type) throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    add(file, type, LAYER + "self_attn.q_proj", 2, 6, 4);
    add(file, type, LAYER + "self_attn.v_proj", 2, 6, 2);
    add(file, type, LAYER + "self_attn.o_proj", 2, 4, 6);
    add(file, type, LAYER + "mlp.up_proj", 2, 6, 8);
    add(file, type, LAYER + "mlp.down_proj", 2, 8, 6);
    write(PLAIN.formatted(""), file);

    try (Adapter adapter = Adapter.read(directory, SHAPE)) {
      assertThat(adapter.factors().stream().map(AdapterTest::place).collect(Collectors.toSet()))
          .containsExactlyInAnyOrder("0.0", "0.2", "1.0", "2.1", "3.0");
      assertThat(adapter.factors()).allMatch(it -> it.scale() == 1.5f && it.rank() == 2);
      assertThat(adapter.rank()).isEqualTo(2);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "base_model.model.model.embed_tokens,base_model.model.lm_head",
    "model.embed_tokens,lm_head",
    "embed_tokens,lm_head",
    "model.language_model.embed_tokens,language_model.lm_head",
    "language_model.model.embed_tokens,model.language_model.lm_head",
  })
  void read_embeddingAndHead_areFound(String embedding, String head) throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    addEmbedding(file, embedding, 3, 10, 6);
    file.add(embedding + ".base_layer.weight", DType.F32, new float[60], 10, 6);
    add(file, DType.F32, head, 2, 6, 10);
    file.add(head + ".base_layer.weight", DType.F32, new float[60], 10, 6);
    write(
        PLAIN.formatted(
            ",\"use_rslora\":true,\"rank_pattern\":{\"embed_tokens\":3},\"alpha_pattern\":{\"lm_head\":7}"),
        file);

    try (Adapter adapter = Adapter.read(directory, SHAPE)) {
      assertThat(
              adapter.factors().stream().map(it -> place(it) + " " + it.rank() + " " + it.scale()))
          .containsExactlyInAnyOrder(
              "4.0 3 " + (float) (3 / Math.sqrt(3)), "5.0 2 " + (float) (7 / Math.sqrt(2)));
      assertThat(adapter.rank()).isEqualTo(3);
    }
  }

  /** What PEFT writes of a tied model: the output matrix has the embedding's, transposed. */
  @Test
  void read_tiedFactors_areServedForBothAndNeverForOne() throws IOException {
    String tied = PLAIN.formatted(",\"ensure_weight_tying\":true");
    SafetensorsWriter file = new SafetensorsWriter();
    addEmbedding(file, "model.embed_tokens", 2, 10, 6);
    write(tied, file);
    refused("ensure_weight_tying is true, and the file has factors of embed_tokens but none");

    add(file, DType.F32, "lm_head", 2, 6, 10);
    write(tied, file);
    try (Adapter adapter = Adapter.read(directory, SHAPE)) {
      assertThat(adapter.factors().stream().map(AdapterTest::place))
          .containsExactlyInAnyOrder("4.0", "5.0");
    }
  }

  @Test
  void read_otherVocabulary_isRefusedWithBothNumbers() throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    addEmbedding(file, "model.embed_tokens", 2, 12, 6);
    write(PLAIN.formatted(""), file);
    refused(
        "model.embed_tokens.lora_embedding_A is for a vocabulary of 12 tokens; the model has 10."
            + " Tokens that an adapter adds are not served.");

    file = new SafetensorsWriter();
    add(file, DType.F32, "lm_head", 2, 6, 9);
    write(PLAIN.formatted(""), file);
    refused("lm_head.lora_B.weight is for a vocabulary of 9 tokens; the model has 10.");

    write(PLAIN.formatted(""), queries(1));
    Files.write(directory.resolve("new_embeddings.safetensors"), new byte[3]);
    refused("new_embeddings.safetensors: tokens that an adapter adds to the vocabulary");
  }

  @Test
  void read_embeddingOrHeadThatDoesNotFit_isRefusedByName() throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    addEmbedding(file, "model.embed_tokens", 2, 10, 5);
    write(PLAIN.formatted(""), file);
    refused("lora_embedding_B has shape [5, 2]; the model and the adapter's rank ask for [6, 2]");

    file = new SafetensorsWriter();
    add(file, DType.F32, "lm_head", 2, 7, 10);
    write(PLAIN.formatted(""), file);
    refused("lm_head.lora_A.weight has shape [2, 7]; the model and the adapter's rank ask for");

    file = new SafetensorsWriter();
    addEmbedding(file, "model.embed_tokens", 5, 10, 6);
    write(PLAIN.formatted(",\"rank_pattern\":{\"embed_tokens\":5}"), file);
    refused("LoRA rank 5 is greater than max_lora_rank 4. Start with --max-lora-rank 5");

    file = new SafetensorsWriter();
    file.add("model.embed_tokens.lora_embedding_A", DType.F32, new float[20], 2, 10);
    write(PLAIN.formatted(""), file);
    refused("module model.embed_tokens has lora_A but no lora_B");

    file = new SafetensorsWriter();
    addEmbedding(file, "lm_head", 2, 10, 6);
    write(PLAIN.formatted(""), file);
    refused("factors of module lm_head must be named lora_A.weight and lora_B.weight");

    file = new SafetensorsWriter();
    add(file, DType.F32, "model.embed_tokens", 2, 10, 6);
    write(PLAIN.formatted(""), file);
    refused(
        "factors of module model.embed_tokens must be named lora_embedding_A and"
            + " lora_embedding_B");

    addEmbedding(file, "model.embed_tokens", 2, 10, 6);
    write(PLAIN.formatted(""), file);
    refused("module model.embed_tokens has factors of two kinds");
  }

  private static void addEmbedding(
      SafetensorsWriter file, String path, int rank, int tokens, int hidden) {
    file.add(path + ".lora_embedding_A", DType.F32, new float[rank * tokens], rank, tokens);
    file.add(path + ".lora_embedding_B", DType.F32, new float[hidden * rank], hidden, rank);
  }

  private static String place(LoraFactors factors) {
    return factors.product() + "." + factors.part();
  }

  @Test
  void read_patterns_giveRanksAndScales() throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    add(file, DType.F32, "model.layers.0.self_attn.q_proj", 4, 6, 4);
    add(file, DType.F32, "model.layers.0.self_attn.k_proj", 2, 6, 2);
    write(
        PLAIN.formatted(
            ",\"use_rslora\":true,\"rank_pattern\":{\"layers.0.self_attn.q_proj\":4},\"alpha_pattern\":{\".*k_proj\":7}"),
        file);

    try (Adapter adapter = Adapter.read(directory, SHAPE)) {
      assertThat(
              adapter.factors().stream().map(it -> place(it) + " " + it.rank() + " " + it.scale()))
          .containsExactlyInAnyOrder("0.0 4 1.5", "0.1 2 " + (float) (7 / Math.sqrt(2)));
    }
  }

  @Test
  void identity_sameFiles_isTheSameAndOthersAnother() throws IOException {
    write(PLAIN.formatted(""), queries(1));
    String first = identity();
    String again = identity();
    write(PLAIN.formatted(""), queries(2));
    String otherWeights = identity();
    write(PLAIN.formatted(",\"use_rslora\":true"), queries(2));

    assertThat(again).isEqualTo(first).matches("[0-9a-f]{64}");
    assertThat(List.of(first, otherWeights, identity())).doesNotHaveDuplicates();
  }

  private String identity() {
    try (Adapter adapter = Adapter.read(directory, SHAPE)) {
      return adapter.identity();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"r\":2,\"lora_alpha\":3} | Missing required configuration fields: target_modules",
        "{} | Missing required configuration fields: r, lora_alpha, target_modules",
        "[] | it must hold a JSON object",
        "{\"r\":2 | adapter_config.json: ",
        "{\"peft_type\":\"IA3\"} | peft_type is IA3; only LORA",
        "{\"bias\":\"all\"} | bias is all",
        "{\"use_dora\":true} | use_dora is true; it must be unset: DoRA",
        "{\"modules_to_save\":[\"lm_head\"]} | modules_to_save is [lm_head]",
        "{\"fan_in_fan_out\":true} | fan_in_fan_out",
        "{\"layer_replication\":[[0,2]]} | layer_replication",
        "{\"trainable_token_indices\":[1]} | trainable_token_indices",
        "{\"lora_bias\":true} | lora_bias",
        "{\"alora_invocation_tokens\":[1]} | alora_invocation_tokens",
        "{\"r\":0,\"lora_alpha\":3,\"target_modules\":[]} | r is 0; a rank is a whole number from"
            + " 1",
        "{\"r\":2,\"lora_alpha\":\"x\",\"target_modules\":[]} | lora_alpha is x, not a number",
        "{\"r\":2,\"lora_alpha\":1e99,\"target_modules\":[]} | lora_alpha",
        "{\"r\":2,\"lora_alpha\":3,\"target_modules\":[1]} | target_modules must be a list",
        "{\"r\":9,\"lora_alpha\":3,\"target_modules\":[]} | LoRA rank 9 is greater than"
            + " max_lora_rank 4. Start with --max-lora-rank 9",
        "{\"r\":2,\"lora_alpha\":3,\"target_modules\":[],\"rank_pattern\":{\"q_proj\":5}} | LoRA"
            + " rank 5 is greater",
        "{\"r\":2,\"lora_alpha\":3,\"target_modules\":[],\"rank_pattern\":{\"(\":2}} | is no"
            + " regular expression",
        "{\"r\":2,\"lora_alpha\":3,\"target_modules\":[],\"rank_pattern\":7} | rank_pattern must be"
            + " an object",
      })
  void read_badConfig_isRefusedByName(String config, String text) throws IOException {
    write(config, queries(1));
    refused(text);
  }

  /** Java's expressions backtrack: this one tries every way to cut a path into eight. */
  @Test
  @Timeout(10)
  void read_expressionThatBacktracks_isRefused() throws IOException {
    write(PLAIN.formatted(",\"rank_pattern\":{\".*.*.*.*.*.*.*.*!\":2}"), queries(1));
    refused("takes too long");
  }

  @ParameterizedTest
  @CsvSource({
    "self_attn.q_proj.lora_A.weight,2,6,has lora_A but no lora_B",
    "self_attn.q_proj.lora_magnitude_vector,1,4,DoRA",
    "self_attn.q_proj.lora_B.bias,1,4,a bias beside the factors",
    "self_attn.q_proj.lora_C.weight,2,6,is unsupported LoRA weight",
    "self_attn.qkv_proj.lora_A.weight,2,6,'is not in the model. Expected are q_proj, k_proj,"
        + " v_proj'",
    "mlp.q_proj.lora_A.weight,2,6,is not in the model",
    "mlp.experts.0.up_proj.lora_A.weight,2,6,is not in the model",
    "input_layernorm.modules_to_save.weight,1,6,whole modules",
    "self_attn.k_proj.lora_embedding_A,2,4,'factors of module model.layers.0.self_attn.k_proj must"
        + " be named lora_A.weight'",
  })
  void read_badTensor_isRefusedByName(String name, int rows, int columns, String text)
      throws IOException {
    SafetensorsWriter file = queries(1);
    if (name.contains("q_proj.lora_A") && name.startsWith("self")) {
      file = new SafetensorsWriter();
    }
    write(
        PLAIN.formatted(""),
        file.add(LAYER + name, DType.F32, new float[rows * columns], rows, columns));
    refused(text);
  }

  @ParameterizedTest
  @CsvSource({
    "base_model.model.model.layers.1.self_attn.q_proj,'which has 1 layers'",
    "base_model.model.score,'Expected are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj,"
        + " down_proj of its layers, embed_tokens and lm_head.'",
    "base_model.model.model.layers.0.lm_head,is not in the model",
  })
  void read_otherModules_areRefusedByName(String path, String text) throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    add(file, DType.F32, path, 2, 6, 4);
    write(PLAIN.formatted(""), file);
    refused(text);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "base_model.model.lm_head.weight",
        "base_model.model.model.embed_tokens.weight",
        "base_model.model.lm_head.modules_to_save.weight",
        "base_model.model.model.embed_tokens.modules_to_save.default.weight",
      })
  void read_wholeEmbeddingOrHead_isRefusedByName(String name) throws IOException {
    write(PLAIN.formatted(""), queries(1).add(name, DType.F32, new float[60], 10, 6));
    refused("it has " + name + "; whole modules of an adapter are not served.");
  }

  @Test
  void read_badShapesAndNumbers_areRefused() throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    add(file, DType.F32, LAYER + "self_attn.q_proj", 3, 6, 4);
    write(PLAIN.formatted(""), file);
    refused("has shape [3, 6]; the model and the adapter's rank ask for [2, 6]");

    write(PLAIN.formatted(""), queries(Float.NaN));
    refused("holds NaN or infinity");

    SafetensorsWriter other = new SafetensorsWriter();
    add(other, DType.F32, "layers.0.self_attn.q_proj", 2, 6, 4);
    add(other, DType.F32, "model.layers.0.self_attn.q_proj", 2, 6, 4);
    write(PLAIN.formatted(""), other);
    refused("of a module that it has already");
  }

  @Test
  void read_filesMissingOrDamaged_isRefused() throws IOException {
    refused("There is no readable adapter_config.json");
    Files.writeString(directory.resolve("adapter_config.json"), PLAIN.formatted(""));
    refused("There is no adapter_model.safetensors");
    Files.write(directory.resolve("adapter_model.bin"), new byte[3]);
    refused("only a pickled adapter_model.bin");
    Files.write(directory.resolve(Adapter.WEIGHTS_FILE), new byte[3]);
    refused("truncated");
    write(PLAIN.formatted(""), new SafetensorsWriter());
    refused("it doesn't contain tensors");
  }

  private void refused(String text) {
    assertThatThrownBy(() -> Adapter.read(directory, SHAPE))
        .isInstanceOf(AdapterException.class)
        .hasMessageContaining(text)
        .satisfies(it -> assertThat(it.getMessage()).doesNotContain("\n", directory.toString()));
  }

  private static SafetensorsWriter queries(float value) {
    SafetensorsWriter file = new SafetensorsWriter();
    float[] a = new float[12];
    Arrays.fill(a, value);
    file.add(LAYER + "self_attn.q_proj.lora_A.weight", DType.F32, a, 2, 6);
    return file.add(LAYER + "self_attn.q_proj.lora_B.weight", DType.F32, new float[8], 4, 2);
  }

  private static void add(
      SafetensorsWriter file, DType type, String path, int rank, int columns, int rows) {
    file.add(path + ".lora_A.weight", type, new float[rank * columns], rank, columns);
    file.add(path + ".lora_B.weight", type, new float[rank * rows], rows, rank);
  }

  private void write(String config, SafetensorsWriter file) throws IOException {
    Files.writeString(directory.resolve("adapter_config.json"), config);
    Files.write(directory.resolve(Adapter.WEIGHTS_FILE), file.bytes());
  }
}
