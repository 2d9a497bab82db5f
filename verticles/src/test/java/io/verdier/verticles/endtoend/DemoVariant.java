package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The demo model's directory with other text in its small files. */
final class DemoVariant {
  private static final Path DEMO = Path.of("../engine/src/main/resources/demo-model");
  private static final List<String> FILES =
      List.of(
          "config.json",
          "generation_config.json",
          "model.safetensors",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json");

  private DemoVariant() {}

  /**
   * @param changes patterns and what stands in their place, in all files but the weights
   */
  static Path in(Path directory, Map<String, String> changes) {
    try {
      for (String name : FILES) {
        if (name.endsWith(".safetensors")) {
          Files.copy(DEMO.resolve(name), directory.resolve(name));
          continue;
        }
        String text = Files.readString(DEMO.resolve(name));
        for (Map.Entry<String, String> change : changes.entrySet()) {
          text = text.replaceAll(change.getKey(), change.getValue());
        }
        Files.writeString(directory.resolve(name), text);
      }
      return directory;
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Takes what is in front of the names of the weights away, as a decoder alone is saved. */
  static void strip(Path directory, String prefix) {
    Path file = directory.resolve("model.safetensors");
    try {
      ByteBuffer old = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      byte[] header = new byte[(int) old.getLong()];
      old.get(header);
      ObjectNode tensors = Client.JSON.createObjectNode();
      for (Map.Entry<String, JsonNode> tensor : Client.JSON.readTree(header).properties()) {
        String name = tensor.getKey();
        boolean isInside = name.startsWith(prefix);
        tensors.set(isInside ? name.substring(prefix.length()) : name, tensor.getValue());
      }
      write(file, tensors, old);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private static void write(Path file, ObjectNode tensors, ByteBuffer data) throws IOException {
    StringBuilder text = new StringBuilder(Client.JSON.writeValueAsString(tensors));
    while (text.length() % 8 != 0) {
      text.append(' ');
    }
    ByteBuffer all =
        ByteBuffer.allocate(8 + text.length() + data.remaining()).order(ByteOrder.LITTLE_ENDIAN);
    all.putLong(text.length()).put(text.toString().getBytes(StandardCharsets.UTF_8)).put(data);
    Files.write(file, all.array());
  }

  /**
   * Appends the head of a classifier to the weights: length of the header, header, bytes.
   *
   * @param head {@code [classes, hidden]}
   */
  static void addHead(Path directory, float[] head, int classes) {
    Path file = directory.resolve("model.safetensors");
    try {
      ByteBuffer old = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      byte[] header = new byte[(int) old.getLong()];
      old.get(header);
      ObjectNode tensors = (ObjectNode) Client.JSON.readTree(header);
      int from = old.remaining();
      ObjectNode score = tensors.putObject("score.weight").put("dtype", "F32");
      score.putArray("shape").add(classes).add(head.length / classes);
      score.putArray("data_offsets").add(from).add(from + Float.BYTES * head.length);
      ByteBuffer all =
          ByteBuffer.allocate(from + Float.BYTES * head.length).order(ByteOrder.LITTLE_ENDIAN);
      all.put(old);
      for (float value : head) {
        all.putFloat(value);
      }
      write(file, tensors, all.flip());
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }
}
