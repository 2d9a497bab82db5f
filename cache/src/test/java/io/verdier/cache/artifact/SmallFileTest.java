package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A single file, of this host or of a bucket. */
class SmallFileTest {
  @TempDir Path directory;

  private RemoteFixture fixture;

  @BeforeEach
  void start() {
    fixture = new RemoteFixture(directory);
  }

  @AfterEach
  void stop() {
    fixture.close();
  }

  private String text(String place) {
    return fixture.store().text(place, 40);
  }

  @Test
  void text_ofAnObject_isFetched() {
    assertThat(text("gs://bucket/models/demo/config.json"))
        .isEqualTo("{\"model_type\": \"llama\"}");
  }

  @Test
  void text_ofAFile_isRead() throws IOException {
    Path file = Files.writeString(directory.resolve("x.yaml"), "- Args: []");
    assertThat(text(file.toString())).isEqualTo("- Args: []");
  }

  @Test
  void text_thatIsNotThereOrTooLarge_isRefused() {
    for (String place :
        new String[] {
          "gs://bucket/models/demo/absent.yaml",
          "gs://bucket",
          directory.resolve("absent").toString(),
          "no\0path"
        }) {
      assertThatThrownBy(() -> text(place)).as(place).isInstanceOf(ArtifactException.class);
    }
    assertThatThrownBy(() -> text("gs://bucket/models/demo/model.safetensors.index.json"))
        .hasMessageContaining("larger than 40 bytes");
  }
}
