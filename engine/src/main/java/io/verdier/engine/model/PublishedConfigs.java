package io.verdier.engine.model;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code config.json} of well-known models, so that their sizes can be measured with made-up
 * weights and nothing else at hand. Stateless.
 */
public final class PublishedConfigs {
  /** A file of this name, with {@code .json} behind it, lies beside this class for each. */
  public static final List<String> NAMES = List.of("llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b");

  private PublishedConfigs() {}

  /**
   * Writes a model's {@code config.json} into a directory.
   *
   * @param name one of {@link #NAMES}
   */
  public static void write(String name, Path directory) {
    try (InputStream in = PublishedConfigs.class.getResourceAsStream(name + ".json")) {
      if (in == null) {
        throw new IllegalArgumentException("no configuration named " + name);
      }
      Files.copy(in, directory.resolve(ModelLoader.CONFIG_FILE));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
