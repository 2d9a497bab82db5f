package io.verdier.engine.run;

import io.verdier.engine.lora.Adapter;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.SafetensorsWriter;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.TensorFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * Random factors of a model's embedding and output matrix, as PEFT saves them, and the checkpoint
 * into which they are merged. Immutable.
 *
 * @param base directory of the model, whose matrices are tied
 * @param embeddingA {@code [RANK, VOCAB]}, as all of them of numbers that bfloat16 keeps
 * @param embeddingB {@code [hidden, RANK]}
 * @param headA {@code [HEAD_RANK, hidden]}
 * @param headB {@code [VOCAB, HEAD_RANK]}
 */
record VocabularyAdapter(
    Path base, int hidden, float[] embeddingA, float[] embeddingB, float[] headA, float[] headB) {
  static final int VOCAB = 4096;
  private static final int RANK = 4;
  private static final int HEAD_RANK = 11;
  private static final double ALPHA = 8;
  private static final String TABLE = "model.embed_tokens.weight";
  private static final String CONFIG =
      "{\"peft_type\":\"LORA\",\"r\":%d,\"lora_alpha\":%s,\"rank_pattern\":{\"lm_head\":%d},\"target_modules\":[\"embed_tokens\",\"lm_head\"]}"
          .formatted(RANK, ALPHA, HEAD_RANK);

  /** What a file holds of it. */
  enum Part {
    EMBEDDING,
    HEAD,
    BOTH
  }

  /** Factors whose products are about half as large as what they add to. */
  static VocabularyAdapter random(Path base, long seed) {
    try (TensorFile file = new TensorFile(base.resolve("model.safetensors"))) {
      StoredTensor table = Objects.requireNonNull(file.tensors().get(TABLE), TABLE);
      double squares = 0;
      for (float number : floats(table)) {
        squares += (double) number * number;
      }
      int hidden = table.columns();
      double scale = Math.sqrt(squares / VOCAB / hidden);
      Random random = new Random(seed);
      return new VocabularyAdapter(
          base,
          hidden,
          numbers(random, RANK * VOCAB, 1),
          numbers(random, hidden * RANK, 0.125 * scale),
          numbers(random, HEAD_RANK * hidden, 1),
          numbers(random, VOCAB * HEAD_RANK, 0.2 * scale));
    }
  }

  private static float[] numbers(Random random, int count, double scale) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      int bits = Float.floatToRawIntBits((float) (random.nextGaussian() * scale));
      numbers[i] = Float.intBitsToFloat(bits & 0xffff0000);
    }
    return numbers;
  }

  private static float[] floats(StoredTensor matrix) {
    long[] all = {(long) matrix.rows() * matrix.columns()};
    return new StoredTensor(matrix.name(), matrix.dtype(), all, matrix.data()).floats();
  }

  /** Writes the files of an adapter. */
  Path write(Path directory, Part part) throws IOException {
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("adapter_config.json"), CONFIG);
    SafetensorsWriter file = new SafetensorsWriter();
    String path = "base_model.model.";
    if (part != Part.HEAD) {
      String embedding = path + "model.embed_tokens.lora_embedding_";
      file.add(embedding + "A", DType.F32, embeddingA, RANK, VOCAB);
      file.add(embedding + "B", DType.BF16, embeddingB, hidden, RANK);
    }
    if (part != Part.EMBEDDING) {
      file.add(path + "lm_head.lora_A.weight", DType.BF16, headA, HEAD_RANK, hidden);
      file.add(path + "lm_head.lora_B.weight", DType.F32, headB, VOCAB, HEAD_RANK);
    }
    Files.write(directory.resolve(Adapter.WEIGHTS_FILE), file.bytes());
    return directory;
  }

  /** Writes the model with both parts added to its matrices, which are two then, in float32. */
  Path writeMerged(Path directory) throws IOException {
    Files.createDirectories(directory);
    for (String name : List.of("generation_config.json", "tokenizer_config.json")) {
      Path file = base.resolve(name);
      if (Files.exists(file)) {
        Files.copy(file, directory.resolve(name));
      }
    }
    String config = Files.readString(base.resolve("config.json"));
    String tied = "\"tie_word_embeddings\": true";
    Files.writeString(
        directory.resolve("config.json"), config.replace(tied, tied.replace("true", "false")));
    SafetensorsWriter writer = new SafetensorsWriter();
    try (TensorFile file = new TensorFile(base.resolve("model.safetensors"))) {
      for (Map.Entry<String, StoredTensor> entry : file.tensors().entrySet()) {
        StoredTensor tensor = entry.getValue();
        float[] values = floats(tensor);
        if (entry.getKey().equals(TABLE)) {
          writer.add(TABLE, DType.F32, mergedEmbedding(values), tensor.shape());
          writer.add("lm_head.weight", DType.F32, mergedHead(values), tensor.shape());
        } else {
          writer.add(entry.getKey(), tensor.dtype(), values, tensor.shape());
        }
      }
    }
    Files.write(directory.resolve("model.safetensors"), writer.bytes());
    return directory;
  }

  /** PEFT's {@code weight + scale * (lora_embedding_B @ lora_embedding_A).T}. */
  private float[] mergedEmbedding(float[] table) {
    float[] merged = new float[table.length];
    for (int i = 0; i < table.length; i++) {
      double sum = 0;
      for (int r = 0; r < RANK; r++) {
        int token = i / hidden;
        sum += (double) embeddingB[i % hidden * RANK + r] * embeddingA[r * VOCAB + token];
      }
      merged[i] = (float) (table[i] + ALPHA / RANK * sum);
    }
    return merged;
  }

  /** PEFT's {@code weight + scale * lora_B @ lora_A}. */
  private float[] mergedHead(float[] table) {
    float[] merged = new float[table.length];
    for (int i = 0; i < table.length; i++) {
      double sum = 0;
      for (int r = 0; r < HEAD_RANK; r++) {
        int token = i / hidden;
        sum += (double) headB[token * HEAD_RANK + r] * headA[r * hidden + i % hidden];
      }
      merged[i] = (float) (table[i] + ALPHA / HEAD_RANK * sum);
    }
    return merged;
  }
}
