package io.verdier.engine.backend.cpu;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Stage;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.engine.weights.Checkpoint.StoredFile;
import io.verdier.engine.weights.JsonFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link PackedFile} says of itself, as JSON: whose weights, and where they lie. Immutable.
 */
record PackedTable(PackedKey key, List<StoredMatrix> matrices) {
  private static final JsonFactory JSON = new JsonFactory();

  PackedTable {
    matrices = List.copyOf(matrices);
  }

  /**
   * All that decides what a matrix is packed to. Immutable.
   *
   * @param layout as {@link KernelLibrary#layout}
   * @param kernels word of their level: each level may have layouts of its own
   * @param weights word of their format
   * @param rank whose part of the checkpoint it is
   * @param stage likewise
   */
  record PackedKey(
      int layout, String kernels, String weights, Checkpoint checkpoint, Rank rank, Stage stage) {

    /** A plain name that no other key has, and that a person can tell something by. */
    String fileName() {
      byte[] text = new PackedTable(this, List.of()).json();
      try {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(text);
        String hex = HexFormat.of().formatHex(hash, 0, 12);
        return weights + "-" + kernels + "-" + hex + PackedDirectory.SUFFIX;
      } catch (NoSuchAlgorithmException impossible) {
        throw new IllegalStateException(impossible);
      }
    }
  }

  /**
   * Which matrix, and how it was put together. Immutable.
   *
   * @param name of its tensors, with {@code +} between them
   * @param order as {@link NativeMatrix.RowOrder}
   */
  record Shape(String name, int rows, int columns, String order) {}

  /**
   * One matrix.
   *
   * @param offset of its first byte in the file
   * @param checksums CRC-32C of each {@value PackedFile#CHUNK_BYTES} bytes, and of the rest
   */
  record StoredMatrix(Shape shape, long offset, long bytes, List<Long> checksums) {
    StoredMatrix {
      checksums = List.copyOf(checksums);
    }
  }

  byte[] json() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      json.writeStartObject();
      json.writeNumberField("layout", key.layout);
      json.writeStringField("kernels", key.kernels);
      json.writeStringField("weights", key.weights);
      if (!key.rank.isAlone()) { // most are, and their files are older than ranks
        json.writeNumberField("rank", key.rank.index());
        json.writeNumberField("ranks", key.rank.size());
      }
      if (!key.stage.isWhole()) {
        json.writeNumberField("stage", key.stage.index());
        json.writeNumberField("stages", key.stage.count());
      }
      json.writeArrayFieldStart("checkpoint");
      for (StoredFile file : key.checkpoint.files()) {
        json.writeStartObject();
        json.writeStringField("path", file.path());
        json.writeNumberField("bytes", file.bytes());
        json.writeNumberField("modified_nanos", file.modifiedNanos());
        json.writeNumberField("fingerprint", file.fingerprint());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeArrayFieldStart("matrices");
      for (StoredMatrix matrix : matrices) {
        write(matrix, json);
      }
      json.writeEndArray();
      json.writeEndObject();
    } catch (IOException impossible) {
      throw new IllegalStateException(impossible); // it goes to memory
    }
    return bytes.toByteArray();
  }

  private static void write(StoredMatrix matrix, JsonGenerator json) throws IOException {
    json.writeStartObject();
    json.writeStringField("name", matrix.shape.name);
    json.writeNumberField("rows", matrix.shape.rows);
    json.writeNumberField("columns", matrix.shape.columns);
    json.writeStringField("order", matrix.shape.order);
    json.writeNumberField("offset", matrix.offset);
    json.writeNumberField("bytes", matrix.bytes);
    json.writeArrayFieldStart("crc32c");
    for (long checksum : matrix.checksums) {
      json.writeNumber(checksum);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  /**
   * @throws IOException if the text is not what {@link #json} writes
   */
  static PackedTable parse(byte[] json) throws IOException {
    try {
      Map<String, @Nullable Object> root = JsonFile.object(json);
      List<StoredFile> files = new ArrayList<>();
      for (Map<?, ?> file : objects(root, "checkpoint")) {
        files.add(
            new StoredFile(
                text(file, "path"),
                number(file, "bytes"),
                number(file, "modified_nanos"),
                number(file, "fingerprint")));
      }
      List<StoredMatrix> matrices = new ArrayList<>();
      for (Map<?, ?> matrix : objects(root, "matrices")) {
        matrices.add(matrix(matrix));
      }
      PackedKey key =
          new PackedKey(
              Math.toIntExact(number(root, "layout")),
              text(root, "kernels"),
              text(root, "weights"),
              new Checkpoint(files),
              rank(root),
              stage(root));
      return new PackedTable(key, matrices);
    } catch (ClassCastException | ArithmeticException | IllegalArgumentException e) {
      throw new IOException("its table has another form", e);
    }
  }

  private static Rank rank(Map<?, ?> root) throws IOException {
    return root.containsKey("ranks")
        ? new Rank(Math.toIntExact(number(root, "rank")), Math.toIntExact(number(root, "ranks")))
        : Rank.ALONE;
  }

  private static Stage stage(Map<?, ?> root) throws IOException {
    return root.containsKey("stages")
        ? new Stage(Math.toIntExact(number(root, "stage")), Math.toIntExact(number(root, "stages")))
        : Stage.WHOLE;
  }

  private static StoredMatrix matrix(Map<?, ?> from) throws IOException {
    Shape shape =
        new Shape(
            text(from, "name"),
            Math.toIntExact(number(from, "rows")),
            Math.toIntExact(number(from, "columns")),
            text(from, "order"));
    List<Long> checksums = new ArrayList<>();
    for (Object checksum : (List<?>) value(from, "crc32c")) {
      checksums.add((Long) checksum);
    }
    return new StoredMatrix(shape, number(from, "offset"), number(from, "bytes"), checksums);
  }

  private static List<Map<?, ?>> objects(Map<?, ?> from, String name) throws IOException {
    List<Map<?, ?>> objects = new ArrayList<>();
    for (Object object : (List<?>) value(from, name)) {
      objects.add((Map<?, ?>) object);
    }
    return objects;
  }

  private static String text(Map<?, ?> from, String name) throws IOException {
    return (String) value(from, name);
  }

  private static long number(Map<?, ?> from, String name) throws IOException {
    return (Long) value(from, name);
  }

  private static Object value(Map<?, ?> from, String name) throws IOException {
    Object value = from.get(name);
    if (value == null) {
      throw new IOException("its table has no " + name);
    }
    return value;
  }
}
