package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ArtifactStoreTest {
  @TempDir Path directory;

  private static final Map<String, String> FILES =
      Map.of(
          "demo-model/files.txt", "aa 2 config.json\nbb 5 draft/config.json\n",
          "demo-model/config.json", "{}",
          "demo-model/draft/config.json", "[1,2]");

  private ArtifactStore store(Map<String, String> files) {
    return new ArtifactStore(directory, new InMemory(files));
  }

  @Test
  void resolve_noSource_unpacksEmbeddedModelOnce() throws IOException {
    Path model = store(FILES).resolve(Optional.empty());
    assertThat(model.resolve("draft/config.json")).hasContent("[1,2]");
    var before = Files.getLastModifiedTime(model.resolve("config.json"));
    assertThat(store(FILES).resolve(Optional.empty())).isEqualTo(model);
    assertThat(Files.getLastModifiedTime(model.resolve("config.json"))).isEqualTo(before);
    try (var left = Files.list(directory.resolve("models"))) {
      assertThat(left).containsExactly(model);
    }
  }

  @Test
  void resolve_unpackedModelDamaged_isRepaired() throws IOException {
    Path model = store(FILES).resolve(Optional.empty());
    Files.writeString(model.resolve("draft/config.json"), "[");
    store(FILES).resolve(Optional.empty());
    assertThat(model.resolve("draft/config.json")).hasContent("[1,2]");
  }

  @Test
  void resolve_cacheDirectoryIsAFile_saysWhatToSet() throws IOException {
    Files.writeString(directory.resolve("models"), "not a directory");
    assertThatThrownBy(() -> store(FILES).resolve(Optional.empty()))
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("VERDIER_CACHE_DIR");
  }

  @Test
  void resolve_localDirectory_mustHoldConfig() throws IOException {
    assertThatThrownBy(() -> store(FILES).resolve(Optional.of(directory.toString())))
        .hasMessageContaining("no config.json");
    Files.writeString(directory.resolve("config.json"), "{}");
    assertThat(store(FILES).resolve(Optional.of(directory.toString())))
        .isEqualTo(directory.toAbsolutePath());
  }

  @Test
  void resolve_remoteOrUnknown_saysSo() {
    assertThatThrownBy(() -> store(FILES).resolve(Optional.of("gs://bucket/model")))
        .hasMessageContaining("remote sources");
    assertThatThrownBy(() -> store(FILES).resolve(Optional.of("meta-llama/Llama-3.2-1B")))
        .hasMessageContaining("no such directory");
  }

  /** Resources from a map. */
  private static final class InMemory extends ClassLoader {
    private final Map<String, String> files;

    InMemory(Map<String, String> files) {
      super(null);
      this.files = files;
    }

    @Override
    public @Nullable InputStream getResourceAsStream(String name) {
      String text = files.get(name);
      return text == null ? null : new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
    }
  }
}
