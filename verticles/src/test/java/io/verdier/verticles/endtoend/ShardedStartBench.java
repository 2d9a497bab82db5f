package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.engine.model.PublishedConfigs;
import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * What it is worth that weights are packed while later shards still come: how long a server is not
 * ready behind the last byte of its model, beside the time that packing takes where all files are
 * there. A program, not a test: {@code java -Dverdier.home=... -cp ...
 * io.verdier.verticles.endtoend.ShardedStartBench llama-3.2-1b 16 200 3}, with the model whose
 * layers it has, their number, which is that of the shards, the MB/s at which they come and the
 * rounds.
 */
final class ShardedStartBench {
  private static final int STREAMS = 4;
  private static final int PIECE_BYTES = 64 << 10;

  private ShardedStartBench() {}

  /** Seconds. */
  private record Times(double total, double behindLastByte, String packing) {}

  public static void main(String[] args) throws Exception {
    int layers = Integer.parseInt(args[1]);
    double bytesPerSecond = Integer.parseInt(args[2]) * 1e6;
    try (ModelCloud cloud = new ModelCloud(files(args[0], layers))) {
      cloud.pauseNanos = (long) (1e9 * STREAMS * PIECE_BYTES / bytesPerSecond);
      System.out.printf("%d MB in %d shards%n", cloud.bytes() / 1_000_000, layers);
      for (int round = 0; round < Integer.parseInt(args[3]); round++) {
        Path directory = Files.createTempDirectory("sharded-start");
        Times coming = start(cloud, directory);
        Times there = start(cloud, directory);
        System.out.printf(
            Locale.ROOT,
            "while it comes: ready after %.2f s, %.2f s behind the last byte; all there: after %.2f"
                + " s, %s s of them for packing%n",
            coming.total,
            coming.behindLastByte,
            there.total,
            there.packing);
      }
    }
  }

  private static List<String> flags(ModelCloud cloud, Path directory) {
    return List.of(
        "--storage-emulator-host=" + cloud.endpoint(),
        "--download-streams=" + STREAMS,
        "--cache-dir=" + directory,
        "--download-dir=" + directory.resolve("downloads"));
  }

  private static Times start(ModelCloud cloud, Path directory) {
    List<String> flags = new ArrayList<>(flags(cloud, directory));
    flags.addAll(
        List.of(
            "--model=gs://bucket/models/demo",
            "--backend=cpu",
            "--packed-weights=off",
            "--max-model-len=512",
            "--num-gpu-blocks-override=64"));
    long begin = System.nanoTime();
    try (ServerProcess server =
        ServerProcess.serveAsShipped(flags.toArray(String[]::new)).awaitReady()) {
      long ready = System.nanoTime();
      String packing = server.output().replaceFirst("(?s).* packed in ([0-9.]+) s.*", "$1");
      return new Times((ready - begin) / 1e9, (ready - cloud.lastSentNanos) / 1e9, packing);
    }
  }

  private static Map<String, byte[]> files(String name, int layers) throws IOException {
    Path directory = Files.createTempDirectory("sharded-model");
    PublishedConfigs.write(name, directory);
    ObjectNode config =
        (ObjectNode) Client.JSON.readTree(directory.resolve("config.json").toFile());
    ObjectNode demo = (ObjectNode) Client.JSON.readTree(ModelCloud.read("config.json"));
    config.put("num_hidden_layers", layers);
    for (String field : List.of("vocab_size", "bos_token_id", "eos_token_id")) {
      config.set(field, demo.get(field)); // the demo model's tokenizer
    }
    Map<String, byte[]> files = new TreeMap<>();
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      files.put(file, ModelCloud.read(file));
    }
    files.put("config.json", config.toString().getBytes(StandardCharsets.UTF_8));
    ObjectNode index = Client.JSON.createObjectNode();
    ObjectNode places = index.putObject("weight_map");
    for (int layer = 0; layer < layers; layer++) {
      String shard = "model-%05d-of-%05d.safetensors".formatted(layer + 1, layers);
      Map<String, int[]> shapes = shapes(config, layer);
      shapes.keySet().forEach(tensor -> places.put(tensor, shard));
      files.put(shard, shard(shapes, layer));
    }
    files.put("model.safetensors.index.json", index.toString().getBytes(StandardCharsets.UTF_8));
    return files;
  }

  /** Of a layer; the first shard has the embedding besides, the last the norm. */
  private static Map<String, int[]> shapes(ObjectNode config, int layer) {
    int hidden = config.get("hidden_size").asInt();
    int inner = config.get("intermediate_size").asInt();
    int head = config.get("head_dim").asInt();
    int queries = config.get("num_attention_heads").asInt() * head;
    int keys = config.get("num_key_value_heads").asInt() * head;
    String at = "model.layers." + layer + ".";
    Map<String, int[]> shapes = new TreeMap<>();
    shapes.put(at + "self_attn.q_proj.weight", new int[] {queries, hidden});
    shapes.put(at + "self_attn.k_proj.weight", new int[] {keys, hidden});
    shapes.put(at + "self_attn.v_proj.weight", new int[] {keys, hidden});
    shapes.put(at + "self_attn.o_proj.weight", new int[] {hidden, queries});
    shapes.put(at + "mlp.gate_proj.weight", new int[] {inner, hidden});
    shapes.put(at + "mlp.up_proj.weight", new int[] {inner, hidden});
    shapes.put(at + "mlp.down_proj.weight", new int[] {hidden, inner});
    shapes.put(at + "input_layernorm.weight", new int[] {hidden});
    shapes.put(at + "post_attention_layernorm.weight", new int[] {hidden});
    if (layer == 0) {
      shapes.put("model.embed_tokens.weight", new int[] {config.get("vocab_size").asInt(), hidden});
    }
    if (layer == config.get("num_hidden_layers").asInt() - 1) {
      shapes.put("model.norm.weight", new int[] {hidden});
    }
    return shapes;
  }

  private static byte[] shard(Map<String, int[]> shapes, int seed) {
    ObjectNode header = Client.JSON.createObjectNode();
    int end = 0;
    for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
      int from = end;
      int count = 1;
      ObjectNode entry = header.putObject(tensor.getKey()).put("dtype", "BF16");
      ArrayNode shape = entry.putArray("shape");
      for (int length : tensor.getValue()) {
        count *= length;
        shape.add(length);
      }
      end += count * Short.BYTES;
      entry.putArray("data_offsets").add(from).add(end);
    }
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(Long.BYTES + json.length + end)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length)
            .put(json);
    Random random = new Random(seed);
    short[] some = new short[4096]; // bfloat16
    for (int i = 0; i < some.length; i++) {
      some[i] =
          (short) (Float.floatToRawIntBits((float) random.nextGaussian() * 0.02f) >>> Short.SIZE);
    }
    for (int i = 0; bytes.hasRemaining(); i++) {
      bytes.putShort(some[i % some.length]);
    }
    return bytes.array();
  }
}
