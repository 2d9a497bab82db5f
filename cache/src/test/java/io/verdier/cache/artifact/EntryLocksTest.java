package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class EntryLocksTest {
  private static final String NAME = "entry";
  @TempDir Path directory;

  /** One who keeps what two wanted to fetch must not hold up the other for good. */
  @Test
  void changeSoon_usedForGood_isEmptyAndOthersMayUseIt() throws IOException {
    EntryLocks locks = EntryLocks.of(directory);
    try (EntryLocks.Held pin = locks.use(NAME)) {
      assertThat(locks.changeSoon(NAME)).isEmpty();
      try (EntryLocks.Held other = locks.use(NAME)) {
        assertThat(other).isNotSameAs(pin);
      }
    }
    try (EntryLocks.Held change = locks.changeSoon(NAME).orElseThrow()) {
      assertThat(locks.tryChange(NAME)).as("%s is alone", change).isEmpty();
    }
    assertThat(locks.tryChange(NAME)).isPresent();
  }

  @Test
  void changeSoon_anotherProcessUsesIt_isEmptyUntilThatEnds() throws Exception {
    EntryLocks locks = EntryLocks.of(directory);
    Process other = user(directory.resolve(NAME + ".lock"));
    try {
      assertThat(other.getInputStream().read()).isEqualTo('.');
      assertThat(locks.changeSoon(NAME)).isEmpty();
      locks.use(NAME).close();
    } finally {
      other.destroyForcibly().waitFor(20, TimeUnit.SECONDS);
    }
    Optional<EntryLocks.Held> change = locks.changeSoon(NAME);
    assertThat(change).isPresent();
    change.get().close();
  }

  private static Process user(Path file) throws IOException {
    return start(file, "keep");
  }

  /** Whether another process finds that a lock is held, as this one should. */
  static boolean isTakenElsewhere(Path file) throws Exception {
    Process other = start(file, "try");
    int said = other.getInputStream().read();
    assertThat(other.waitFor()).isZero();
    return said == '-';
  }

  private static Process start(Path file, String what) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            EntryLocksTest.class.getName(),
            file.toString(),
            what)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  /**
   * Locks a file as one who uses its entry does, says so, and keeps it; or says whether it may be
   * changed.
   */
  public static void main(String[] arguments) throws Exception {
    Path file = Path.of(arguments[0]);
    if (arguments[1].equals("try")) {
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        System.out.print(channel.tryLock() == null ? '-' : '+');
      }
      return;
    }
    Files.createDirectories(file.toAbsolutePath().getParent());
    try (FileChannel channel =
            FileChannel.open(
                file,
                StandardOpenOption.CREATE,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE);
        FileLock lock = channel.lock(0, Long.MAX_VALUE, true)) {
      System.out.print(lock.isShared() ? '.' : '!');
      System.out.flush();
      Thread.currentThread().join();
    }
  }
}
