package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sources on this host: the embedded model, and directories. */
class ArtifactStoreTest {
  @TempDir Path directory;

  private static final Map<String, String> FILES =
      Map.of(
          "demo-model/files.txt", "aa 2 config.json\nbb 5 draft/config.json\n",
          "demo-model/config.json", "{}",
          "demo-model/draft/config.json", "[1,2]");

  private ArtifactStore store() {
    List<String> argv = List.of("--cache-dir=" + directory);
    ServerConfig config = ((LoadResult.Loaded) ConfigLoader.load(argv, Map.of())).config();
    return new ArtifactStore(config, new InMemory(FILES), DownloadProgress.SILENT);
  }

  private Path open(String source) {
    ArtifactUri uri = ArtifactUri.parse(source, Optional.empty());
    return store().open(uri, FileChoice.MODEL).directory();
  }

  @Test
  void demo_twice_unpacksEmbeddedModelOnce() throws IOException {
    Path model = store().demo().directory();
    assertThat(model.resolve("draft/config.json")).hasContent("[1,2]");
    var before = Files.getLastModifiedTime(model.resolve("config.json"));
    assertThat(store().demo().directory()).isEqualTo(model);
    assertThat(Files.getLastModifiedTime(model.resolve("config.json"))).isEqualTo(before);
    try (var left = Files.list(directory.resolve("models"))) {
      assertThat(left).containsExactly(model);
    }
  }

  @Test
  void demo_unpackedModelDamaged_isRepaired() throws IOException {
    Path model = store().demo().directory();
    Files.writeString(model.resolve("draft/config.json"), "[");
    store().demo();
    assertThat(model.resolve("draft/config.json")).hasContent("[1,2]");
  }

  @Test
  void demo_cacheDirectoryIsAFile_saysWhatToSet() throws IOException {
    Files.writeString(directory.resolve("models"), "not a directory");
    assertThatThrownBy(() -> store().demo())
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("VERDIER_CACHE_DIR");
  }

  @Test
  void open_localDirectory_mustHoldConfig() throws IOException {
    assertThatThrownBy(() -> open(directory.toString())).hasMessageContaining("no config.json");
    Files.writeString(directory.resolve("config.json"), "{}");
    assertThat(open(directory.toString())).isEqualTo(directory.toAbsolutePath());
  }

  @Test
  void parse_addresses_areTold() {
    assertThat(parse("gs://bucket/a/b/")).isEqualTo(new ArtifactUri.Gcs("bucket", "a/b"));
    assertThat(parse("gs://bucket")).isEqualTo(new ArtifactUri.Gcs("bucket", ""));
    assertThat(parse("meta-llama/Llama-3.2-1B"))
        .isEqualTo(new ArtifactUri.Hub("meta-llama/Llama-3.2-1B", "main"));
    assertThat(parse("hf://org/name")).isEqualTo(new ArtifactUri.Hub("org/name", "main"));
    assertThat(parse(directory.toString())).isEqualTo(new ArtifactUri.Directory(directory));
    ArtifactUri signed = parse("https://storage.googleapis.com/b/o.zip?X-Goog-Signature=s3cr3t");
    assertThat(signed.shown()).isEqualTo("https://storage.googleapis.com/b/o.zip");
    assertThat(signed.toString()).doesNotContain("s3cr3t");
  }

  @Test
  void parse_repositoryWithItsRevision_meansThat() {
    ArtifactUri tagged = new ArtifactUri.Hub("org/name", "refs/pr/1");
    assertThat(parse("org/name@refs/pr/1")).isEqualTo(tagged);
    assertThat(parse("hf://org/name@refs/pr/1")).isEqualTo(tagged);
    assertThat(ArtifactUri.parse("org/name@v1", Optional.of("v1")))
        .isEqualTo(ArtifactUri.parse("org/name", Optional.of("v1")));
    assertThat(parse("org/name@main")).isEqualTo(parse("org/name"));
    assertThat(tagged.identity()).isNotEqualTo(parse("org/name").identity());
  }

  @Test
  void parse_others_sayWhatIsKnown() {
    assertThatThrownBy(() -> parse("s3://bucket/m")).hasMessageContaining("gs:// and https://");
    assertThatThrownBy(() -> parse("/no/such/directory")).hasMessageContaining("no such directory");
    assertThatThrownBy(() -> parse("gs://UPPER/x")).hasMessageContaining("gs://bucket/dir");
    assertThatThrownBy(() -> parse("https://user:pw@host/x.zip?sig=s3cr3t"))
        .hasMessage("the https address of the model is malformed");
    assertThatThrownBy(() -> ArtifactUri.parse("org/name", Optional.of("../../x")))
        .hasMessageContaining("--revision");
    assertThatThrownBy(() -> parse("org/name@../../x")).hasMessageContaining("org/name@: not the");
    assertThatThrownBy(() -> parse("org/name@")).hasMessageContaining("org/name@: not the name");
    assertThatThrownBy(() -> parse("org@v1/x")).hasMessageContaining("no such directory");
    assertThatThrownBy(() -> ArtifactUri.parse("org/name@v1", Optional.of("v2")))
        .hasMessageContaining("--revision v2 names another revision");
    assertThatThrownBy(() -> parse("org/..")).hasMessageContaining("no such directory");
  }

  private static ArtifactUri parse(String text) {
    return ArtifactUri.parse(text, Optional.empty());
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
