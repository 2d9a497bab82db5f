package io.verdier.verticles.endtoend;

import java.io.IOException;
import java.io.UncheckedIOException;
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
}
