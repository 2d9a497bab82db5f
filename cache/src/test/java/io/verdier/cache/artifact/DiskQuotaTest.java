package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which downloads go when room is needed. */
class DiskQuotaTest {
  @TempDir Path directory;
  private Path entries;
  private EntryLocks locks;
  private DiskQuota quota;

  @BeforeEach
  void start() throws Exception {
    entries = Files.createDirectories(directory.resolve("entries"));
    locks = EntryLocks.of(directory.resolve("locks"));
    quota = new DiskQuota(entries, OptionalLong.of(1000), locks);
    add("old", 300, 1);
    add("older", 300, 0);
    add("new", 300, 2);
  }

  private void add(String name, int bytes, long second) throws Exception {
    Path files = Files.createDirectories(entries.resolve(name).resolve("files"));
    Files.write(files.resolve("x"), new byte[bytes]);
    DiskQuota.touch(entries.resolve(name), FileTime.from(Instant.ofEpochSecond(second)));
  }

  private String[] left() {
    String[] names = entries.toFile().list();
    return names == null ? new String[0] : names;
  }

  @Test
  void makeRoom_enough_deletesNothing() throws Exception {
    quota.makeRoom("x", "fresh", 100, 0);
    assertThat(left()).containsExactlyInAnyOrder("old", "older", "new");
  }

  @Test
  void makeRoom_full_deletesTheLongestUnused() throws Exception {
    quota.makeRoom("x", "fresh", 101, 0);
    assertThat(left()).containsExactlyInAnyOrder("old", "new");
    quota.makeRoom("x", "fresh", 500, 0);
    assertThat(left()).containsExactlyInAnyOrder("new");
  }

  /** Journals push others out, and are no reason to refuse. */
  @Test
  void makeRoom_journals_areCountedAsFarAsThereIsRoom() throws Exception {
    quota.makeRoom("x", "fresh", 100, 1).close();
    assertThat(left()).containsExactlyInAnyOrder("old", "new");
    try (EntryLocks.Held _ = locks.use("old");
        EntryLocks.Held _ = locks.use("new")) {
      try (DiskQuota.Reservation _ = quota.makeRoom("x", "fresh", 350, 50)) {
        assertThatThrownBy(() -> quota.makeRoom("y", "other", 1, 0))
            .hasMessageContaining("y: its 1 bytes do not fit");
      }
      quota.makeRoom("x", "fresh", 400, 50).close();
    }
    assertThat(left()).containsExactlyInAnyOrder("old", "new");
  }

  @Test
  void makeRoom_oldestInUse_deletesTheNext() throws Exception {
    try (EntryLocks.Held _ = locks.use("older")) {
      quota.makeRoom("x", "fresh", 101, 0);
      assertThat(left()).containsExactlyInAnyOrder("older", "new");
      assertThatThrownBy(() -> quota.makeRoom("x", "fresh", 800, 0))
          .hasMessageContaining("x: its 800 bytes do not fit")
          .hasMessageContaining("beside what is in use");
      assertThat(left()).containsExactlyInAnyOrder("older");
    }
    quota.makeRoom("x", "fresh", 800, 0);
    assertThat(left()).isEmpty();
  }

  @Test
  void makeRoom_whileOthersAreOnTheirWay_countsThemInFull() throws Exception {
    try (DiskQuota.Reservation _ = quota.makeRoom("x", "fresh", 400, 0)) {
      assertThat(left()).containsExactlyInAnyOrder("old", "new");
      quota.makeRoom("y", "other", 100, 0).close();
      assertThat(left()).as("nothing of fresh is there yet").containsExactlyInAnyOrder("new");
      try (EntryLocks.Held _ = locks.change("fresh")) {
        add("fresh", 10, 3);
        assertThatThrownBy(() -> quota.makeRoom("y", "other", 601, 0))
            .hasMessageContaining("beside what is in use");
      }
    }
    quota.makeRoom("y", "other", 990, 0).close();
    assertThat(left()).containsExactlyInAnyOrder("fresh");
  }

  @Test
  void makeRoom_forWhatIsPartlyThere_keepsIt() throws Exception {
    quota.makeRoom("x", "older", 700, 0);
    assertThat(left()).containsExactlyInAnyOrder("older", "new");
  }

  /** Without a quota a tenth of the room for downloads stays free. */
  @Test
  void makeRoom_noQuota_leavesATenthOfWhatIsFreeOrTheirs() throws Exception {
    quota = new DiskQuota(entries, OptionalLong.empty(), locks, directory -> 1100); // 2000 with all
    quota.makeRoom("x", "fresh", 900, 0).close();
    assertThat(left()).containsExactlyInAnyOrder("old", "older", "new");
    quota.makeRoom("x", "fresh", 900, 1).close();
    assertThat(left()).containsExactlyInAnyOrder("old", "new");
  }

  @Test
  void makeRoom_noQuotaOthersInUse_countsThemAsNobodysRoom() throws Exception {
    quota = new DiskQuota(entries, OptionalLong.empty(), locks, directory -> 100);
    try (EntryLocks.Held _ = locks.use("older");
        EntryLocks.Held _ = locks.use("new")) {
      quota.makeRoom("x", "fresh", 60, 0).close(); // of 400, 300 are taken
      assertThat(left()).containsExactlyInAnyOrder("old", "older", "new");
      quota.makeRoom("x", "fresh", 61, 0).close();
      assertThat(left()).containsExactlyInAnyOrder("older", "new");
      quota.makeRoom("x", "fresh", 5000, 0).close(); // refused by whoever looks for free space
    }
    assertThat(left()).containsExactlyInAnyOrder("older", "new");
  }

  @Test
  void makeRoom_noQuotaAndOthersOnTheirWay_countsThemInFull() throws Exception {
    quota = new DiskQuota(entries, OptionalLong.empty(), locks, directory -> 1100);
    try (DiskQuota.Reservation _ = quota.makeRoom("x", "coming", 500, 0)) {
      quota.makeRoom("y", "fresh", 450, 0).close(); // of 1500, 900 are taken
      assertThat(left()).containsExactlyInAnyOrder("old", "older", "new");
      quota.makeRoom("y", "fresh", 451, 0).close();
      assertThat(left()).containsExactlyInAnyOrder("old", "new");
    }
    add("fresh", 200, 3); // a part of it has come
    quota.makeRoom("y", "fresh", 1100, 0).close(); // 1900 with it, of which 600 are taken
    assertThat(left()).containsExactlyInAnyOrder("old", "new", "fresh");
    quota.makeRoom("y", "fresh", 1111, 0).close();
    assertThat(left()).containsExactlyInAnyOrder("new", "fresh");
  }

  @Test
  void list_interruptedDeletion_isFinished() throws Exception {
    add("trash-1", 10, 5);
    quota.makeRoom("x", "fresh", 1, 0);
    assertThat(left()).doesNotContain("trash-1");
  }
}
