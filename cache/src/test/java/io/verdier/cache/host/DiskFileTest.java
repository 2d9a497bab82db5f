package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.host.DiskFile.Found;
import io.verdier.cache.host.DiskFile.Identity;
import io.verdier.cache.kv.BlockHash;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskFileTest {
  static final int BLOCK_BYTES = 5000; // no multiple of a page
  private static final long BYTES_MAX = 10 * 8192;
  @TempDir Path root;

  @Test
  void read_afterRestart_givesTheSameBytes() throws IOException {
    try (DiskFile file = open(1)) {
      assertThat(file.slots()).isEqualTo(10);
      for (int slot = 0; slot < 5; slot++) {
        assertThat(file.write(slot, TierSlotsTest.name(slot), block(slot))).isTrue();
      }
      file.erase(3);
      assertThat(isRead(file, 0)).isTrue(); // the latest use
    }
    try (DiskFile file = open(1)) {
      assertThat(file.found()).extracting(Found::slot).containsExactly(1, 2, 4, 0);
      for (Found found : file.found()) {
        assertThat(isRead(file, found.slot())).isTrue();
      }
      assertThat(isRead(file, 3)).isFalse();
      assertThat(isRead(file, 9)).as("never written").isFalse();
    }
  }

  @Test
  void read_anotherNameThanWritten_isRefused() throws IOException {
    try (DiskFile file = open(1)) {
      BlockHash name = new BlockHash(1, 2, 3, 4);
      file.write(0, name, block(0));
      MemorySegment to = Arena.ofAuto().allocate(BLOCK_BYTES);
      assertThat(file.read(0, name, to)).isTrue();
      assertThat(file.read(0, new BlockHash(1, 2, 3, 5), to)).isFalse();
      assertThat(file.read(0, new BlockHash(0, 2, 3, 4), to)).isFalse();
      assertThat(file.read(1, name, to)).isFalse();
    }
  }

  /** Every byte of a block and of its entry, one after another. */
  @Test
  void read_oneByteChanged_isRefused() throws IOException {
    try (DiskFile file = open(1)) {
      file.write(0, TierSlotsTest.name(0), block(0));
    }
    Path own = own();
    for (int at = 0; at < BLOCK_BYTES; at += 97) {
      flip(own.resolve(DiskFile.BLOCKS), at);
      try (DiskFile file = open(1)) {
        assertThat(isRead(file, 0)).as("byte %d", at).isFalse();
      }
      flip(own.resolve(DiskFile.BLOCKS), at);
    }
    for (int at = 0; at < DiskFile.ENTRY_BYTES; at++) {
      flip(own.resolve(DiskFile.INDEX), DiskFile.ENTRY_BYTES + at);
      try (DiskFile file = open(1)) {
        assertThat(file.found()).as("byte %d of the entry", at).isEmpty();
      }
      flip(own.resolve(DiskFile.INDEX), DiskFile.ENTRY_BYTES + at);
    }
    try (DiskFile file = open(1)) {
      assertThat(isRead(file, 0)).as("unchanged").isTrue();
    }
  }

  @Test
  void open_headOfAnotherForm_startsAnew() throws IOException {
    for (int at = 0; at < DiskFile.ENTRY_BYTES; at++) {
      try (DiskFile file = open(1)) {
        file.write(0, TierSlotsTest.name(0), block(0));
      }
      flip(own().resolve(DiskFile.INDEX), at);
      try (DiskFile file = open(1)) {
        assertThat(file.found()).as("byte %d of the head", at).isEmpty();
        assertThat(isRead(file, 0)).isFalse();
      }
    }
  }

  @Test
  void open_cutShort_keepsWhatIsWhole() throws IOException {
    try (DiskFile file = open(1)) {
      file.write(0, TierSlotsTest.name(0), block(0));
      file.write(1, TierSlotsTest.name(1), block(1));
    }
    try (FileChannel blocks =
        FileChannel.open(own().resolve(DiskFile.BLOCKS), StandardOpenOption.WRITE)) {
      blocks.truncate(8192 + 100);
    }
    try (DiskFile file = open(1)) {
      assertThat(isRead(file, 0)).isTrue();
      assertThat(isRead(file, 1)).isFalse();
    }
  }

  @Test
  void open_twice_isRefusedTheSecondTime() throws IOException {
    try (DiskFile file = open(1)) {
      assertThat(file.slots()).isPositive();
      assertThat(DiskDirectory.open(root, identity(1), DiskDirectory.Engine.ALONE, BYTES_MAX))
          .isEmpty();
    }
    open(1).close();
  }

  @Test
  void open_lowerBound_dropsWhatIsBehindIt() throws IOException {
    try (DiskFile file = open(1)) {
      for (int slot = 0; slot < 10; slot++) {
        file.write(slot, TierSlotsTest.name(slot), block(slot));
      }
    }
    Optional<DiskFile> smaller =
        DiskDirectory.open(root, identity(1), DiskDirectory.Engine.ALONE, 3 * 8192);
    try (DiskFile file = smaller.orElseThrow()) {
      assertThat(file.slots()).isEqualTo(3);
      assertThat(file.found()).hasSize(3);
      assertThat(Files.size(own().resolve(DiskFile.BLOCKS))).isLessThanOrEqualTo(3 * 8192);
    }
  }

  @Test
  void open_foreignFiles_removesThoseInItsOwnDirectoryOnly() throws IOException {
    open(1).close();
    Path own = own();
    Files.writeString(own.resolve("blocks.tmp"), "rubbish");
    Files.writeString(root.resolve("notes.txt"), "the operator's");
    open(1).close();

    assertThat(own.resolve("blocks.tmp")).doesNotExist();
    assertThat(root.resolve("notes.txt")).exists();
  }

  /** Of three models the longest unused goes, and together they keep the bound. */
  @Test
  void open_manyIdentities_keepTheBoundTogether() throws IOException {
    for (int model = 1; model <= 3; model++) {
      try (DiskFile file = open(model)) {
        for (int slot = 0; slot < file.slots(); slot++) {
          file.write(slot, TierSlotsTest.name(slot), block(slot));
        }
        assertThat(bytes()).as("after model %d", model).isLessThanOrEqualTo(BYTES_MAX + 4096);
      }
    }
    try (DiskFile file = open(3)) {
      assertThat(file.found()).isNotEmpty();
    }
  }

  /** Each of two models has its half from the first start on, and keeps it over a restart. */
  @Test
  void open_severalModelsOfAProcess_divideTheBoundAndKeepTheirBlocks() throws IOException {
    DiskDirectory.Engine one = new DiskDirectory.Engine(0, 1, 3);
    for (int start = 0; start < 2; start++) {
      List<DiskFile> files = new ArrayList<>();
      for (int model = 1; model <= 3; model++) {
        files.add(open(model, one));
      }
      for (int model = 1; model <= 3; model++) {
        DiskFile file = files.get(model - 1);
        assertThat(file.slots()).isEqualTo(3);
        assertThat(file.found()).as("model %d, start %d", model, start).hasSize(3 * start);
        for (int slot = 0; slot < 3; slot++) {
          file.write(slot, TierSlotsTest.name(slot), block(slot));
        }
      }
      assertThat(bytes()).isLessThanOrEqualTo(BYTES_MAX + 3 * 4096);
      files.forEach(DiskFile::close);
    }
  }

  /** A bound is a bound, also while those that share it are empty. */
  @Test
  void open_whileAnotherMayHaveAll_getsWhatItLeaves() throws IOException {
    try (DiskFile all = open(1)) {
      assertThat(all.slots()).isEqualTo(10);
      try (DiskFile other = open(2)) {
        assertThat(other.slots()).isZero();
      }
      try (DiskFile larger =
          DiskDirectory.open(root, identity(2), DiskDirectory.Engine.ALONE, 14 * 8192)
              .orElseThrow()) {
        assertThat(larger.slots()).isEqualTo(4);
      }
    }
    try (DiskFile other = open(2)) {
      assertThat(other.slots()).as("nobody uses the first any more").isEqualTo(9);
    }
  }

  /** The system drops a process's lock when any descriptor of the file is closed. */
  @Test
  void open_besideOneInUse_leavesItLocked() throws Exception {
    try (DiskFile used = open(1)) {
      assertThat(used.slots()).isPositive();
      assertThat(DiskDirectory.open(root, identity(1), DiskDirectory.Engine.ALONE, BYTES_MAX))
          .isEmpty();
      open(2).close(); // counts it, and looks whether it may go
      assertThat(isTakenElsewhere(1)).isTrue();
    }
    assertThat(isTakenElsewhere(1)).isFalse();
  }

  private boolean isTakenElsewhere(int model) throws Exception {
    Process other =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                DiskFileTest.class.getName(),
                root.toString(),
                Integer.toString(model))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String said = new String(other.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(other.waitFor()).as(said).isZero();
    return said.endsWith(TAKEN); // after what is logged
  }

  private static final String TAKEN = "taken";

  /** Tries to open a model's blocks, and says whether somebody has them. */
  public static void main(String[] arguments) throws IOException {
    Optional<DiskFile> file =
        DiskDirectory.open(
            Path.of(arguments[0]),
            identity(Integer.parseInt(arguments[1])),
            DiskDirectory.Engine.ALONE,
            BYTES_MAX);
    System.out.print(file.isPresent() ? "" : TAKEN);
  }

  /** Each has blocks of its own, half of the bytes, and finds them again; none drops another's. */
  @Test
  void open_severalEngines_shareTheBoundAndKeepTheirBlocks() throws IOException {
    for (int engine = 0; engine < 2; engine++) {
      try (DiskFile file = open(new DiskDirectory.Engine(engine, 2, 1))) {
        assertThat(file.found()).isEmpty();
        assertThat(file.slots()).isEqualTo((int) (BYTES_MAX / 2 / 8192));
        for (int slot = 0; slot < file.slots(); slot++) {
          file.write(slot, TierSlotsTest.name(100 * engine + slot), block(slot));
        }
      }
    }
    assertThat(bytes()).isLessThanOrEqualTo(BYTES_MAX + 2 * 4096);
    try (DiskFile second = open(new DiskDirectory.Engine(1, 2, 1));
        DiskFile first = open(new DiskDirectory.Engine(0, 2, 1))) {
      assertThat(first.found()).hasSize(first.slots());
      assertThat(second.found()).hasSize(second.slots());
      assertThat(second.read(0, TierSlotsTest.name(100), block(0))).isTrue();
      assertThat(second.read(0, TierSlotsTest.name(0), block(0))).isFalse();
    }
    try (DiskFile alone = open(1)) {
      assertThat(alone.found()).as("what the first engine had").isNotEmpty();
    }
  }

  /** As ranks have it: two pieces, one behind the other. */
  @Test
  void write_pieces_areOneBlock() throws IOException {
    try (DiskFile file = open(1)) {
      MemorySegment block = block(3);
      long cut = block.byteSize() / 3;
      assertThat(file.write(3, TierSlotsTest.name(3), block.asSlice(0, cut), block.asSlice(cut)))
          .isTrue();
      assertThat(isRead(file, 3)).isTrue();
      MemorySegment to = MemorySegment.ofArray(new byte[(int) block.byteSize()]);
      assertThat(file.read(3, TierSlotsTest.name(3), to.asSlice(0, 5), to.asSlice(5))).isTrue();
      assertThat(to.mismatch(block)).isEqualTo(-1);
      assertThatThrownBy(() -> file.write(3, TierSlotsTest.name(3), block, block.asSlice(0, 1)))
          .isInstanceOf(IllegalStateException.class);
    }
    flip(own().resolve(DiskFile.BLOCKS), 3 * 8192L + block(3).byteSize() - 1);
    try (DiskFile file = open(1)) {
      assertThat(isRead(file, 3)).as("the last piece has another bit").isFalse();
    }
  }

  private DiskFile open(DiskDirectory.Engine engine) throws IOException {
    return DiskDirectory.open(root, identity(1), engine, BYTES_MAX).orElseThrow();
  }

  private long bytes() throws IOException {
    try (var files = Files.walk(root)) {
      return files.filter(Files::isRegularFile).mapToLong(it -> it.toFile().length()).sum();
    }
  }

  private DiskFile open(int model) throws IOException {
    return open(model, DiskDirectory.Engine.ALONE);
  }

  private DiskFile open(int model, DiskDirectory.Engine engine) throws IOException {
    return DiskDirectory.open(root, identity(model), engine, BYTES_MAX).orElseThrow();
  }

  static Identity identity(int model) {
    byte[] digest = new byte[32];
    digest[0] = (byte) model;
    return new Identity(digest, BLOCK_BYTES);
  }

  private Path own() throws IOException {
    try (var all = Files.list(root)) {
      List<Path> directories = all.filter(Files::isDirectory).toList();
      assertThat(directories).hasSize(1);
      return directories.getFirst();
    }
  }

  private static void flip(Path path, long at) throws IOException {
    try (FileChannel file =
        FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      file.read(one, at);
      file.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 0x40)}), at);
    }
  }

  /** Contents that tell which slot they were written for, and when. */
  static MemorySegment block(long number) {
    MemorySegment block = Arena.ofAuto().allocate(BLOCK_BYTES);
    for (int i = 0; i < BLOCK_BYTES / 8; i++) {
      block.setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i, number * 1_000_003 + i);
    }
    return block;
  }

  private static boolean isRead(DiskFile file, int slot) {
    MemorySegment to = Arena.ofAuto().allocate(BLOCK_BYTES);
    return file.read(slot, TierSlotsTest.name(slot), to) && to.mismatch(block(slot)) == -1;
  }
}
