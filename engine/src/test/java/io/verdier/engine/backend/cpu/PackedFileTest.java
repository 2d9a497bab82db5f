package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Stage;
import io.verdier.engine.backend.cpu.PackedFileWriter.Piece;
import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.engine.weights.Checkpoint.StoredFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a packed file gives back, what it refuses, and what becomes of its directory. */
class PackedFileTest {
  private static final long SEED = Long.getLong("seed", 3);
  private static final Shape FIRST = new Shape("a.weight", 70, 64, "PLAIN");
  private static final Shape SECOND = new Shape("b.weight+\"c\"\n.weight", 9, 9, "GATED");
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final int SECOND_BYTES = PackedFile.CHUNK_BYTES + 777;

  private final Arena arena = Arena.ofShared();
  private final Random random = new Random(SEED);
  private final ComputePool pool = new ComputePool(2);
  @TempDir Path directory;
  private Path packed;
  private PackedKey key;
  private List<Piece> pieces = List.of();

  @BeforeEach
  void fill() throws IOException {
    packed = directory.resolve("packed");
    Path weights = Files.writeString(directory.resolve("model.safetensors"), "weights");
    key = key(weights, 1);
    pieces = List.of(new Piece(FIRST, noise(1000)), new Piece(SECOND, noise(SECOND_BYTES)));
  }

  @AfterEach
  void free() {
    pool.close();
    arena.close();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void open_whatWasWritten_givesTheSameBytes(boolean mapped) throws IOException {
    write(key);

    try (PackedFile file = open(key, mapped)) {
      assertThat(file.isMapped()).isEqualTo(mapped);
      for (Piece piece : pieces) {
        MemorySegment found = file.matrix(piece.shape(), piece.data().byteSize()).orElseThrow();
        assertThat(found.mismatch(piece.data())).isEqualTo(-1);
        assertThat(found.address() % 64).isZero();
      }
      assertThat(file.matrix(FIRST, 999)).isEmpty();
      assertThat(file.matrix(new Shape("a.weight", 70, 64, "GATED"), 1000)).isEmpty();
    }
    assertThat(names()).containsExactly(key.fileName());
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path(key))))
        .isEqualTo("rw-------");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void release_memoryGoesBack_andRecallBringsTheSameBytes(boolean mapped) throws IOException {
    assumeThat(STATUS).exists();
    pieces = List.of(new Piece(FIRST, noise(1000)), new Piece(SECOND, noise(40 << 20)));
    write(key);
    try (PackedFile file = open(key, mapped)) {
      MemorySegment found = file.matrix(SECOND, 40 << 20).orElseThrow();
      long before = residentBytes();
      file.release();
      assertThat(file.isReleased()).isTrue();
      assertThat(before - residentBytes()).isGreaterThan(20L << 20);
      Files.delete(path(key)); // another process may replace it meanwhile
      file.recall(pool);
      assertThat(file.isReleased()).isFalse();
      assertThat(found.mismatch(pieces.getLast().data())).isEqualTo(-1);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void recall_fileDamagedMeanwhile_isRefused(boolean mapped) throws IOException {
    write(key);
    try (PackedFile file = open(key, mapped)) {
      file.release();
      byte[] bytes = Files.readAllBytes(path(key));
      bytes[4096] ^= 1;
      Files.write(path(key), bytes);
      assertThatThrownBy(() -> file.recall(pool)).hasMessageContaining("is damaged");
    }
  }

  private static long residentBytes() throws IOException {
    return Files.readAllLines(STATUS).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
        .findFirst()
        .orElseThrow();
  }

  /** Of a byte between matrices nothing depends; of any other something would. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void open_anyByteFlipped_isRefusedOrWithoutEffect(boolean mapped) throws IOException {
    write(key);
    byte[] good = Files.readAllBytes(path(key));
    for (int i = 0; i < 60; i++) {
      int at = i < 32 ? i : i < 40 ? good.length - 1 - i : random.nextInt(good.length);
      byte[] bad = good.clone();
      bad[at] ^= (byte) (1 << random.nextInt(8));
      Files.write(path(key), bad);
      boolean padding = (at >= 32 && at < 4096) || (at >= 5096 && at < 8192);
      try (PackedFile file = open(key, mapped)) {
        assertThat(padding || isBetween(at, good)).as("byte %d, seed %d", at, SEED).isTrue();
        assertThat(file.matrix(FIRST, 1000)).isPresent();
      } catch (IOException refused) {
        assertThat(padding).as("byte %d, seed %d", at, SEED).isFalse();
      }
    }
  }

  /** Behind the second matrix, before the table. */
  private static boolean isBetween(int at, byte[] file) {
    int end = 8192 + SECOND_BYTES;
    return at >= end && at < (end + 4095) / 4096 * 4096 && at < file.length;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 31, 32, 4096, 9000, -1, -100})
  void open_cutOff_isRefused(int length) throws IOException {
    write(key);
    byte[] good = Files.readAllBytes(path(key));
    int left = length < 0 ? good.length + length : length;
    Files.write(path(key), Arrays.copyOf(good, left));

    assertThatThrownBy(() -> open(key, true)).isInstanceOf(IOException.class);
  }

  @Test
  void open_otherVersion_isRefused() throws IOException {
    write(key);
    byte[] bytes = Files.readAllBytes(path(key));
    bytes[8]++;
    Files.write(path(key), bytes);

    assertThatThrownBy(() -> open(key, true)).hasMessage("it is not in version 1 of the format");
  }

  @Test
  void open_fileOfAnotherKey_isRefused() throws IOException {
    write(key);
    Checkpoint checkpoint = key.checkpoint();
    StoredFile stored = checkpoint.files().getFirst();
    StoredFile touched = new StoredFile(stored.path(), stored.bytes(), 5, stored.fingerprint());
    for (PackedKey other :
        List.of(
            new PackedKey(2, "avx2", "int8", checkpoint, Rank.ALONE, Stage.WHOLE),
            new PackedKey(1, "avx512", "int8", checkpoint, Rank.ALONE, Stage.WHOLE),
            new PackedKey(1, "avx2", "int4", checkpoint, Rank.ALONE, Stage.WHOLE),
            new PackedKey(1, "avx2", "int8", checkpoint, new Rank(1, 2), Stage.WHOLE),
            new PackedKey(1, "avx2", "int8", checkpoint, new Rank(0, 2), Stage.WHOLE),
            new PackedKey(1, "avx2", "int8", checkpoint, Rank.ALONE, new Stage(0, 2)),
            new PackedKey(1, "avx2", "int8", checkpoint, Rank.ALONE, new Stage(1, 2)),
            new PackedKey(
                1, "avx2", "int8", new Checkpoint(List.of(touched)), Rank.ALONE, Stage.WHOLE))) {
      assertThat(other.fileName()).isNotEqualTo(key.fileName());
      Files.copy(path(key), path(other));
      assertThatThrownBy(() -> open(other, true)).hasMessageContaining("another checkpoint");
    }
  }

  @Test
  void write_twoAtOnce_leavesOneGoodFile() throws IOException {
    PackedFileWriter first = writer(key);
    PackedFileWriter second = writer(key);
    first.start();
    second.start();
    first.join();
    second.join();

    assertThat(names()).containsExactly(key.fileName());
    open(key, false).close();
  }

  @Test
  void write_stopped_leavesNothing() throws IOException {
    List<Piece> many = Stream.generate(pieces::getFirst).limit(20_000).toList();
    PackedFileWriter writer = new PackedFileWriter(place(), key, many);
    writer.start();
    writer.stop();

    assertThat(Files.exists(packed) ? names() : List.of()).isEmpty();
  }

  @Test
  void write_directoryIsAFile_isGivenUp() throws IOException {
    Files.writeString(packed, "in the way");
    write(key);

    assertThat(packed).hasContent("in the way");
  }

  @Test
  void write_directoryOpenToOthers_isGivenUp() throws IOException {
    Files.createDirectory(packed);
    Files.setPosixFilePermissions(packed, PosixFilePermissions.fromString("rwxrwxrwx"));
    write(key);

    assertThat(names()).isEmpty();
  }

  @Test
  void begin_noRoom_saysHowMuch() {
    assertThatThrownBy(() -> place().begin(key, 1L << 60))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("take 1099511627776 MiB");
  }

  @Test
  void write_checkpointChanged_removesItsOldFile() throws IOException {
    write(key);
    Path weights = directory.resolve("model.safetensors");
    Files.setLastModifiedTime(weights, FileTime.from(Instant.ofEpochSecond(7)));
    PackedKey changed = key(weights, 1);
    write(changed);
    PackedKey resampled = key(weights, 2);
    write(resampled);

    assertThat(names()).containsExactly(resampled.fileName());
  }

  @Test
  void write_others_removesDamagedAndGoneOnly() throws IOException {
    Path second = Files.writeString(directory.resolve("second.safetensors"), "s");
    Path third = Files.writeString(directory.resolve("third.safetensors"), "t");
    write(key(second, 1));
    write(key(third, 1));
    Files.delete(third);
    Files.writeString(packed.resolve("damaged.verdier"), "damaged");
    Files.writeString(packed.resolve("notes.txt"), "not ours");
    write(key);

    assertThat(names())
        .containsExactlyInAnyOrder(key.fileName(), key(second, 1).fileName(), "notes.txt");
  }

  @Test
  void begin_unfinishedFiles_removesThoseOfAnHour() throws IOException {
    write(key);
    Path unfinished = Files.writeString(packed.resolve("weights1.part"), "");
    place().begin(key, 1);
    assertThat(unfinished).exists();

    Instant later = Instant.now().plus(Duration.ofMinutes(61));
    new PackedDirectory(packed, Clock.fixed(later, ZoneOffset.UTC)).begin(key, 1);
    assertThat(unfinished).doesNotExist();
  }

  private PackedFile open(PackedKey wanted, boolean mapped) throws IOException {
    return PackedFile.open(path(wanted), wanted, pool, ignored -> mapped);
  }

  private void write(PackedKey wanted) {
    PackedFileWriter writer = writer(wanted);
    writer.start();
    writer.join();
  }

  private PackedFileWriter writer(PackedKey wanted) {
    return new PackedFileWriter(place(), wanted, pieces);
  }

  private PackedDirectory place() {
    return new PackedDirectory(packed, Clock.systemUTC());
  }

  private Path path(PackedKey wanted) {
    return packed.resolve(wanted.fileName());
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(packed)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static PackedKey key(Path weights, long fingerprint) throws IOException {
    Path real = weights.toRealPath();
    long nanos = Files.getLastModifiedTime(real).to(TimeUnit.NANOSECONDS);
    StoredFile file = new StoredFile(real.toString(), Files.size(real), nanos, fingerprint);
    return new PackedKey(1, "avx2", "int8", new Checkpoint(List.of(file)), Rank.ALONE, Stage.WHOLE);
  }

  private MemorySegment noise(int bytes) {
    MemorySegment segment = arena.allocate(bytes);
    byte[] noise = new byte[bytes];
    random.nextBytes(noise);
    MemorySegment.copy(noise, 0, segment, ValueLayout.JAVA_BYTE, 0, bytes);
    return segment;
  }
}
