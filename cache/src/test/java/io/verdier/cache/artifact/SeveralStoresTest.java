package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Models of one process, each with a store of its own over the same directories. */
@Timeout(60)
class SeveralStoresTest {
  @TempDir Path directory;
  private RemoteFixture fixture;

  @BeforeEach
  void start() throws Exception {
    fixture = new RemoteFixture(directory);
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put("adapter_config.json", "{\"r\": 8}".getBytes(StandardCharsets.UTF_8));
    files.put("adapter_model.safetensors", RemoteFixture.bytes(5, 70_000));
    fixture.cloud.files.put("a.zip", ArchiveTest.zip(files));
    fixture.cloud.files.put("b.zip", ArchiveTest.zip(files));
  }

  @AfterEach
  void stop() {
    fixture.close();
  }

  private ArtifactUri archive(String name) {
    String address = "http://" + fixture.cloud.cdnAuthority() + "/file/" + name;
    return ArtifactUri.parse(address, Optional.empty());
  }

  /** What one uses the other neither trips over nor unlocks, when it looks for what may go. */
  @Test
  void open_whileAnotherModelUsesItsFiles_leavesThoseLocked() throws Exception {
    try (Artifact model = fixture.store().open(GCS, FileChoice.MODEL)) {
      try (Artifact adapter = fixture.store().open(archive("a.zip"), FileChoice.ADAPTER)) {
        assertThat(adapter.directory().resolve("adapter_config.json")).exists();
      }
      Path entry = PartialFile.parent(model.directory());
      Path lock = directory.resolve("downloads/artifacts-locks/" + entry.getFileName() + ".lock");
      assertThat(EntryLocksTest.isTakenElsewhere(lock)).as("after another entry came").isTrue();
      Path link = Files.createSymbolicLink(directory.resolve("link"), directory);
      String sameByLink = "--download-dir=" + link.resolve("downloads");
      try (Artifact same = fixture.store(sameByLink).open(GCS, FileChoice.MODEL)) {
        assertThat(same.directory().toRealPath()).isEqualTo(model.directory().toRealPath());
      }
      assertThat(EntryLocksTest.isTakenElsewhere(lock)).as("after it was used twice").isTrue();
    }
  }

  /** What comes for one model is counted by the other. */
  @Test
  void makeRoom_ofAnotherStore_countsWhatIsOnItsWay() throws Exception {
    Path entries = directory.resolve("entries");
    EntryLocks locks = EntryLocks.of(directory.resolve("locks"));
    OptionalLong max = OptionalLong.of(1000);
    DiskQuota one = new DiskQuota(entries, max, locks);
    DiskQuota other = new DiskQuota(entries, max, EntryLocks.of(directory.resolve("locks")));
    try (DiskQuota.Reservation _ = one.makeRoom("x", "coming", 600, 0)) {
      assertThatThrownBy(() -> other.makeRoom("y", "fresh", 500, 0))
          .hasMessageContaining("do not fit");
    }
    other.makeRoom("y", "fresh", 500, 0).close();
  }
}
