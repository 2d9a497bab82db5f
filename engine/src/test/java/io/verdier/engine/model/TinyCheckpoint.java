package io.verdier.engine.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;

/** A checkpoint of a tiny random model in any family's shape, and its weights for the oracle. */
final class TinyCheckpoint {
  static final int VOCAB = 70;
  static final int LAYERS = 3;
  private static final String BASE =
      """
      {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
       "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 70,
       "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1000.0,
       "tie_word_embeddings": false}
      """;

  final ObjectNode config;
  final Map<String, double[]> weights = new HashMap<>();
  private final String prefix;
  private final DType type;
  private final Random random;
  private final SafetensorsWriter[] shards;
  private final Map<String, String> places = new HashMap<>();

  /**
   * @param overrides keys that replace or extend a small Llama's configuration
   * @param prefix in front of the decoder's tensor names
   */
  TinyCheckpoint(String overrides, String prefix, DType type, int shardCount, long seed)
      throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    config = (ObjectNode) mapper.readTree(BASE);
    config.setAll((ObjectNode) mapper.readTree(overrides));
    this.prefix = prefix;
    this.type = type;
    random = new Random(seed);
    shards = new SafetensorsWriter[shardCount];
    java.util.Arrays.setAll(shards, i -> new SafetensorsWriter());
  }

  void tensors(int headDim, boolean qkvBias, boolean outputBias, boolean mlpBias, boolean qkNorm) {
    int hidden = config.get("hidden_size").asInt();
    int inner = config.get("intermediate_size").asInt();
    int queries = config.get("num_attention_heads").asInt() * headDim;
    int keys = config.get("num_key_value_heads").asInt() * headDim;
    tensor("embed_tokens.weight", 1, VOCAB, hidden);
    for (int i = 0; i < LAYERS; i++) {
      String layer = "layers." + i + ".";
      gain(layer + "input_layernorm.weight", hidden);
      linear(layer + "self_attn.q_proj", queries, hidden, qkvBias);
      linear(layer + "self_attn.k_proj", keys, hidden, qkvBias);
      linear(layer + "self_attn.v_proj", keys, hidden, qkvBias);
      linear(layer + "self_attn.o_proj", hidden, queries, outputBias);
      if (qkNorm) {
        gain(layer + "self_attn.q_norm.weight", headDim);
        gain(layer + "self_attn.k_norm.weight", headDim);
      }
      gain(layer + "post_attention_layernorm.weight", hidden);
      linear(layer + "mlp.gate_proj", inner, hidden, mlpBias);
      linear(layer + "mlp.up_proj", inner, hidden, mlpBias);
      linear(layer + "mlp.down_proj", hidden, inner, mlpBias);
    }
    gain("norm.weight", hidden);
    if (!config.path("tie_word_embeddings").asBoolean()) {
      tensor("lm_head.weight", 0.4, VOCAB, hidden);
    }
  }

  void write(Path directory, JsonNode configFile) throws IOException {
    Files.writeString(directory.resolve("config.json"), configFile.toString());
    if (shards.length == 1) {
      Files.write(directory.resolve("model.safetensors"), shards[0].bytes());
      return;
    }
    for (int i = 0; i < shards.length; i++) {
      Files.write(directory.resolve(shardName(i)), shards[i].bytes());
    }
    String index = new ObjectMapper().writeValueAsString(Map.of("weight_map", places));
    Files.writeString(directory.resolve("model.safetensors.index.json"), index);
  }

  private static String shardName(int i) {
    return "model-0000" + (i + 1) + ".safetensors";
  }

  private void linear(String name, int rows, int columns, boolean bias) {
    tensor(name + ".weight", 1.5 / Math.sqrt(columns), rows, columns);
    if (bias) {
      tensor(name + ".bias", 0.5, rows);
    }
  }

  private void gain(String name, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) (1 + 0.3 * random.nextGaussian());
    }
    put(name, values, size);
  }

  private void tensor(String name, double scale, int... shape) {
    float[] values = new float[shape.length == 1 ? shape[0] : shape[0] * shape[1]];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (scale * random.nextGaussian());
    }
    put(name, values, java.util.Arrays.stream(shape).asLongStream().toArray());
  }

  private void put(String name, float[] values, long... shape) {
    double[] exact = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      exact[i] =
          switch (type) {
            case BF16 -> Float.intBitsToFloat(Float.floatToRawIntBits(values[i]) & 0xffff0000);
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(values[i]));
            default -> values[i];
          };
    }
    weights.put(name, exact);
    boolean head = name.startsWith("lm_head");
    String outer = prefix.equals("language_model.model.") ? "language_model." : "";
    String stored = (head ? outer : prefix) + name;
    int shard = random.nextInt(shards.length);
    shards[shard].add(stored, type, values, shape);
    places.put(stored, shardName(shard));
  }
}
