package io.verdier.engine.weights;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * One mapped safetensors file. Immutable; valid while its arena is open.
 *
 * <pre>
 *   0        8                 8 + n                       end of file
 *   +--------+-----------------+---------------------------+
 *   | n: u64 | header: JSON    | data: tensors, no holes   |
 *   +--------+-----------------+---------------------------+
 * </pre>
 *
 * <p>The format's rules are all enforced before a tensor can be had: the header lies in the file
 * and is at most 100 MiB, names are unique, every tensor's range has exactly the bytes that shape
 * and type need, and the ranges cover the data without overlap or gap. So a truncated, damaged or
 * hostile file is refused by arithmetic on numbers already read; nothing is allocated from them.
 */
public final class SafetensorsFile {
  static final long HEADER_BYTES_MAX = 100L << 20;
  private static final int LENGTH_BYTES = 8;
  private static final ValueLayout.OfLong LITTLE_LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Bytes of each tensor that go into a fingerprint: no more than a page. */
  private static final long SAMPLE_BYTES = 4096;

  private final Path path;
  private final String fileName;
  private final MemorySegment file;
  private final Map<String, StoredTensor> tensors;

  private SafetensorsFile(Path path, String fileName, MemorySegment file) {
    this.path = path;
    this.fileName = fileName;
    this.file = file;
    this.tensors = readTensors(fileName, file);
  }

  /**
   * Maps and checks a file.
   *
   * @param arena lifetime of the mapping
   * @throws WeightsException if the file cannot be read or breaks the format
   */
  public static SafetensorsFile open(Path path, Arena arena) {
    String fileName = String.valueOf(path.getFileName());
    if (!Files.isRegularFile(path)) {
      throw new WeightsException(fileName + ": no such file in the model's directory.");
    }
    MemorySegment file;
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < LENGTH_BYTES) {
        throw new WeightsException(
            fileName + ": " + size + " bytes are too few for a safetensors file; is it truncated?");
      }
      file = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
    } catch (IOException e) {
      throw new WeightsException(fileName + ": cannot be read (" + e.getMessage() + ").", e);
    }
    return new SafetensorsFile(path, fileName, file);
  }

  /** All tensors by name, in the header's order. */
  public Map<String, StoredTensor> tensors() {
    return tensors;
  }

  public String fileName() {
    return fileName;
  }

  /** The whole file, header included. */
  MemorySegment bytes() {
    return file;
  }

  /**
   * Tells this file from any other that may have been, or will be, in its place.
   *
   * @throws IOException if it is not there any more
   */
  Checkpoint.StoredFile identity() throws IOException {
    CRC32C header = new CRC32C();
    long headerBytes = file.get(LITTLE_LONG, 0);
    header.update(file.asSlice(0, LENGTH_BYTES + headerBytes).asByteBuffer());
    CRC32C samples = new CRC32C();
    for (StoredTensor tensor : tensors.values()) {
      long bytes = Math.min(SAMPLE_BYTES, tensor.data().byteSize());
      samples.update(tensor.data().asSlice(0, bytes).asByteBuffer());
    }
    return Checkpoint.StoredFile.of(path, header.getValue() << 32 | samples.getValue());
  }

  private static Map<String, StoredTensor> readTensors(String fileName, MemorySegment file) {
    long headerBytes = file.get(LITTLE_LONG, 0);
    long room = file.byteSize() - LENGTH_BYTES;
    if (headerBytes < 2 || headerBytes > HEADER_BYTES_MAX || headerBytes > room) {
      throw new WeightsException(
          fileName
              + ": the header claims "
              + Long.toUnsignedString(headerBytes)
              + " bytes; it must have from 2 to "
              + HEADER_BYTES_MAX
              + " and lie in the file, which has "
              + room
              + " left.");
    }
    byte[] json = file.asSlice(LENGTH_BYTES, headerBytes).toArray(ValueLayout.JAVA_BYTE);
    List<SafetensorsHeader.Entry> entries = SafetensorsHeader.parse(fileName, json);
    MemorySegment data = file.asSlice(LENGTH_BYTES + headerBytes);
    requireCover(fileName, entries, data.byteSize());
    Map<String, StoredTensor> tensors = LinkedHashMap.newLinkedHashMap(entries.size());
    for (SafetensorsHeader.Entry e : entries) {
      MemorySegment bytes = data.asSlice(e.begin(), e.end() - e.begin());
      tensors.put(e.name(), new StoredTensor(e.name(), e.dtype(), e.shape(), bytes));
    }
    return tensors;
  }

  /** The ranges, in order, must join without gap and end with the file: that is the format. */
  private static void requireCover(
      String fileName, List<SafetensorsHeader.Entry> entries, long dataBytes) {
    List<SafetensorsHeader.Entry> ordered =
        entries.stream()
            .sorted(
                Comparator.comparingLong(SafetensorsHeader.Entry::begin)
                    .thenComparingLong(SafetensorsHeader.Entry::end))
            .toList();
    long end = 0;
    for (SafetensorsHeader.Entry e : ordered) {
      if (e.begin() != end) {
        throw new WeightsException(
            fileName
                + ": tensor "
                + e.name()
                + " begins at byte "
                + e.begin()
                + " of the data, but the one before ends at "
                + end
                + "; tensors must neither overlap nor leave gaps.");
      }
      if (e.end() > dataBytes) {
        throw new WeightsException(
            fileName
                + ": tensor "
                + e.name()
                + " ends at byte "
                + e.end()
                + " of the data, which has only "
                + dataBytes
                + "; is the file truncated?");
      }
      end = e.end();
    }
    if (end != dataBytes) {
      throw new WeightsException(
          fileName + ": has " + dataBytes + " bytes of data, but its tensors end at " + end + ".");
    }
  }
}
