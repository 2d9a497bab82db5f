package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.cuda.CudaMatrix.RowOrder;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Brings weights to the device: rows of the checkpoint go through a page-locked buffer to a buffer
 * on the device, and a kernel puts them where they belong, quantizing on the way. Owned by the
 * loading thread.
 *
 * <p>The buffers hold some tens of megabytes, enough for the bus to be busy and little enough not
 * to matter beside the model. They are given back with {@link #release}.
 */
final class CudaWeights {
  private static final long STAGE_BYTES = 64L << 20;
  private static final int PACK_THREADS = 256;
  private static final int GRID_ROWS_MAX = 65_535;

  private final CudaDriver driver;
  private final Launch launch;
  private @Nullable MemorySegment host;
  private long stage;

  CudaWeights(CudaDriver driver, Launch launch) {
    this.driver = driver;
    this.launch = launch;
  }

  /** Takes over a matrix of one part, without a bias. */
  CudaMatrix matrix(StoredTensor rows, WeightFormat format) {
    return matrix(List.of(rows), Collections.singletonList(null), RowOrder.PLAIN, format);
  }

  /**
   * Takes over a matrix of stacked parts.
   *
   * @param order {@link RowOrder#PAIRED} for two parts of the same number of rows
   */
  CudaMatrix matrix(
      List<StoredTensor> parts,
      List<@Nullable StoredTensor> biases,
      RowOrder order,
      WeightFormat format) {
    int columns = parts.getFirst().columns();
    int rows = StoredTensor.stackedRows(parts);
    int packed = order == RowOrder.PAIRED ? CudaMatrix.pairedRows(parts.getFirst().rows()) : rows;
    long address = driver.allocate(CudaMatrix.bytes(packed, columns, format));
    long scales =
        format == WeightFormat.BF16
            ? 0
            : driver.allocate((long) CudaMatrix.paddedRows(packed) * Float.BYTES);
    int first = 0;
    for (int i = 0; i < parts.size(); i++) {
      Place place = new Place(format, address, scales, first, order == RowOrder.PLAIN ? 0 : i + 1);
      pack(parts.get(i), place);
      first += order == RowOrder.PLAIN ? parts.get(i).rows() : 0;
    }
    long added = biases(parts, biases, packed, order);
    return new CudaMatrix(rows, packed, columns, format, order, address, scales, added);
  }

  /**
   * Where a part of a matrix goes.
   *
   * @param address of the matrix
   * @param first row of it at which the part begins
   * @param part 0: plain; 1 and 2: the first and second of a pair
   */
  private record Place(WeightFormat format, long address, long scales, int first, int part) {}

  private void pack(StoredTensor tensor, Place place) {
    if (!driver.computes()) {
      return; // reading a whole checkpoint is what a rehearsal is there to do without
    }
    long rowBytes = (long) tensor.columns() * tensor.dtype().bytes();
    int stageRows = Math.clamp(STAGE_BYTES / rowBytes, 1, GRID_ROWS_MAX);
    if (rowBytes > STAGE_BYTES) {
      throw new IllegalArgumentException(tensor.name() + " has rows of " + rowBytes + " bytes");
    }
    CudaDriver.Kernel kernel =
        driver.kernel("pack_weights_" + place.format.label() + source(tensor), 0);
    for (int done = 0; done < tensor.rows(); done += stageRows) {
      int rows = Math.min(stageRows, tensor.rows() - done);
      bring(tensor, done, rows);
      launch
          .grid(1, rows, 1, PACK_THREADS)
          .pointer(stage)
          .integer64(tensor.columns())
          .integer(rows)
          .integer(rows)
          .integer(tensor.columns())
          .pointer(place.address)
          .pointer(place.scales)
          .integer(place.first + done)
          .integer(place.part);
      driver.launch(kernel, launch);
    }
  }

  private static String source(StoredTensor tensor) {
    return switch (tensor.dtype()) {
      case BF16 -> "_bf16";
      case F16 -> "_f16";
      case F32 -> "_f32";
      default -> throw new IllegalArgumentException(tensor.name() + ": " + tensor.dtype());
    };
  }

  /** Copies rows to {@link #stage} without what may lie between them. */
  private void bring(StoredTensor tensor, int first, int rows) {
    long step = tensor.rowBytes();
    long rowBytes = (long) tensor.columns() * tensor.dtype().bytes();
    if (tensor.isContiguous()) {
      bring(tensor.data().asSlice(first * rowBytes, rows * rowBytes));
      return;
    }
    requireStage();
    MemorySegment buffer = idleBuffer();
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(tensor.data(), (first + row) * step, buffer, row * rowBytes, rowBytes);
    }
    driver.copyIn(stage, buffer, rows * rowBytes);
  }

  /** Copies bytes to {@link #stage}, behind what still reads it. */
  private void bring(MemorySegment bytes) {
    requireStage();
    if (!driver.computes()) {
      return;
    }
    MemorySegment buffer = idleBuffer();
    MemorySegment.copy(bytes, 0, buffer, 0, bytes.byteSize());
    driver.copyIn(stage, buffer, bytes.byteSize());
  }

  private void requireStage() {
    if (stage == 0) {
      stage = driver.allocate(STAGE_BYTES);
    }
  }

  /** The host's buffer, once nothing reads it any more. */
  private MemorySegment idleBuffer() {
    MemorySegment buffer = host;
    if (buffer == null) {
      buffer = driver.hostBuffer(STAGE_BYTES);
      host = buffer;
    }
    driver.synchronize();
    return buffer;
  }

  private long biases(
      List<StoredTensor> parts,
      List<@Nullable StoredTensor> biases,
      int packedRows,
      RowOrder order) {
    float[] values = new float[CudaMatrix.paddedRows(packedRows)];
    boolean any = false;
    int first = 0;
    for (int i = 0; i < parts.size(); i++) {
      StoredTensor bias = biases.get(i);
      if (bias != null) {
        any = true;
        float[] part = bias.floats();
        for (int row = 0; row < part.length; row++) {
          values[order == RowOrder.PLAIN ? first + row : CudaMatrix.pairedRow(row, i)] = part[row];
        }
      }
      first += parts.get(i).rows();
    }
    return any ? vector(values) : 0;
  }

  /** Puts a vector of float32 on the device. */
  long vector(float[] values) {
    long address = driver.allocate((long) values.length * Float.BYTES);
    long bytes = (long) values.length * Float.BYTES;
    bring(MemorySegment.ofArray(values));
    driver.copy(address, stage, bytes);
    return address;
  }

  /** Gives the buffers back; they come again when there is more to load. */
  void release() {
    if (stage != 0) {
      driver.synchronize();
      driver.free(stage);
      stage = 0;
    }
    if (host != null) {
      driver.freeHost(host);
      host = null;
    }
  }
}
