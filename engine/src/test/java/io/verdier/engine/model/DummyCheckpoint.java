package io.verdier.engine.model;

import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.StoredTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes a checkpoint of a well-known model's size with made-up weights, to measure loading with. A
 * program, not a test: {@code java -cp ... io.verdier.engine.model.DummyCheckpoint llama-3.2-1b
 * DIRECTORY}.
 */
final class DummyCheckpoint {
  private static final int WRITE_BYTES = 64 << 20;

  private final List<StoredTensor> tensors = new ArrayList<>();
  private final DummyWeights weights = new DummyWeights(DType.BF16);

  private DummyCheckpoint() {}

  public static void main(String[] args) throws IOException {
    Path directory = Files.createDirectories(Path.of(args[1]));
    PublishedConfigs.write(args[0], directory);
    write(ModelLoader.describe(directory, TestConfig.of()).spec(), directory);
  }

  /** Of a Llama: no biases, no norms of heads. */
  static void write(ModelSpec spec, Path directory) throws IOException {
    DummyCheckpoint checkpoint = new DummyCheckpoint();
    try (checkpoint.weights) {
      checkpoint.decoder(spec);
      checkpoint.write(directory.resolve("model.safetensors"));
    }
  }

  private void decoder(ModelSpec spec) {
    int hidden = spec.hidden();
    int queries = spec.heads() * spec.headDim();
    int keys = spec.kvHeads() * spec.headDim();
    add("model.embed_tokens", spec.vocabSize(), hidden);
    for (int i = 0; i < spec.layers(); i++) {
      String layer = "model.layers." + i + ".";
      add(layer + "input_layernorm", hidden);
      add(layer + "self_attn.q_proj", queries, hidden);
      add(layer + "self_attn.k_proj", keys, hidden);
      add(layer + "self_attn.v_proj", keys, hidden);
      add(layer + "self_attn.o_proj", hidden, queries);
      add(layer + "post_attention_layernorm", hidden);
      add(layer + "mlp.gate_proj", spec.intermediate(), hidden);
      add(layer + "mlp.up_proj", spec.intermediate(), hidden);
      add(layer + "mlp.down_proj", hidden, spec.intermediate());
    }
    add("model.norm", hidden);
    if (!spec.tiedEmbeddings()) {
      add("lm_head", spec.vocabSize(), hidden);
    }
  }

  private void add(String name, long... shape) {
    tensors.add(weights.tensor(name + ".weight", shape));
  }

  private void write(Path file) throws IOException {
    byte[] header = header().getBytes(StandardCharsets.UTF_8);
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      channel.write(length.putLong(header.length).flip());
      channel.write(ByteBuffer.wrap(header));
      for (StoredTensor tensor : tensors) {
        for (long done = 0; done < tensor.data().byteSize(); ) {
          long count = Math.min(WRITE_BYTES, tensor.data().byteSize() - done);
          done += channel.write(tensor.data().asSlice(done, count).asByteBuffer());
        }
      }
    }
  }

  private String header() {
    StringBuilder header = new StringBuilder("{");
    long begin = 0;
    for (StoredTensor tensor : tensors) {
      long end = begin + tensor.data().byteSize();
      header.append(header.length() > 1 ? "," : "");
      header.append(
          "\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(tensor.name(), java.util.Arrays.toString(tensor.shape()), begin, end));
      begin = end;
    }
    return header.append('}').toString();
  }
}
