package io.verdier.cache.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What requests may name, and what they may not. */
class AdapterPolicyTest {
  private static final AdapterPolicy REMOTE =
      new AdapterPolicy(List.of("gs://", "hf://", "https://"));

  @ParameterizedTest
  @CsvSource({
    "gs://bucket/dir, gs://bucket/dir",
    "org/name, hf://org/name",
    "hf://org/name, hf://org/name",
    "org/name@v1.0, hf://org/name@v1.0",
    "https://h/a.zip?X-Goog-Signature=1, https://h/a.zip",
    "https://h/a.zip?X-Amz-Credential=a%2Fb%25, https://h/a.zip",
  })
  void source_remote_isAllowed(String words, String shown) {
    AdapterSource source = REMOTE.source(words);
    assertThat(source.shown()).isEqualTo(shown);
    assertThat(source.toString()).doesNotContain("Signature");
    assertThat(REMOTE.resolve(source).shown()).isEqualTo(shown.replace("hf://", ""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/etc",
        "file:///etc",
        "http://h/a.zip",
        "s3://b/x",
        "../x",
        "gs://b/../c",
        "gs://b/%2E%2e/c",
        "https://h/allowed/..%2f..%2Fsecret.zip",
        "https://h/allowed/..%5C..%5csecret.zip",
        "https://h/allowed/%252e%252e%252fsecret.zip",
        "https://h/allowed/..;x/secret.zip",
        "hf://a\\..\\b",
        "ftp://x",
        "data://x"
      })
  void source_elsewhere_isRefused(String words) {
    assertThatThrownBy(() -> REMOTE.source(words))
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("--allowed-lora-sources");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "  ", "a\nb", "a\u0000b", "gs://B", "word", "https://u@h/a.zip"})
  void source_noPlace_isRefused(String words) {
    assertThatThrownBy(() -> REMOTE.source(words)).isInstanceOf(ArtifactException.class);
  }

  /** A directory of the server with the name of a repository is not what a client means. */
  @Test
  void resolve_repository_isNeverADirectory() {
    assertThat(Path.of("src/main")).isDirectory();
    assertThat(REMOTE.resolve(REMOTE.source("src/main"))).isInstanceOf(ArtifactUri.Hub.class);
  }

  @Test
  void source_beginning_endsWhereANameDoes() {
    AdapterPolicy some = new AdapterPolicy(List.of("gs://bucket/a", "hf://org/", "https://h"));
    assertThat(some.source("gs://bucket/a").place()).isEqualTo("gs://bucket/a");
    assertThat(some.source("gs://bucket/a/x").place()).isEqualTo("gs://bucket/a/x");
    assertThat(some.source("org/x").place()).isEqualTo("hf://org/x");
    assertThat(some.source("https://h/x.zip").place()).isEqualTo("https://h/x.zip");
    for (String other :
        List.of("gs://bucket/ab", "gs://bucket", "organ/x", "https://h.evil/x", "https://h@e/x")) {
      assertThatThrownBy(() -> some.source(other)).as(other).hasMessageContaining("may not name");
    }
  }

  @Test
  void directory_ofAnAllowedOne_isWhatLinksReallyMean(@TempDir Path temp) throws IOException {
    Path root = Files.createDirectory(temp.resolve("adapters"));
    Files.createDirectory(root.resolve("good"));
    Files.createDirectory(temp.resolve("secret"));
    Files.createSymbolicLink(root.resolve("inside"), root.resolve("good"));
    Files.createSymbolicLink(root.resolve("outside"), temp.resolve("secret"));
    AdapterPolicy local = new AdapterPolicy(List.of(root.toString()));

    for (String name : List.of("good", "inside")) {
      AdapterSource source = local.source(root.resolve(name).toString());
      assertThat(local.resolve(source))
          .isEqualTo(new ArtifactUri.Directory(root.resolve("good").toRealPath()));
    }
    AdapterSource outside = local.source("file://" + root.resolve("outside"));
    assertThatThrownBy(() -> local.resolve(outside)).hasMessageContaining("may not name");
    AdapterSource absent = local.source(root.resolve("absent").toString());
    assertThatThrownBy(() -> local.resolve(absent)).hasMessageContaining("no such directory");
    assertThatThrownBy(() -> local.source("org/name")).hasMessageContaining("may not name");
  }
}
