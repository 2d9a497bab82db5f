package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The bytes that matrices are packed to. They lie in files between runs: where they change, be it
 * by a layout or by a rounding, {@code V_LAYOUT} in {@code verdier.h} must be raised, and then the
 * numbers here be replaced.
 */
class NativePackerTest {
  private static final int LAYOUT = 2;

  /** By {@link WeightFormat}; the same on every level. */
  private static final List<String> CHECKSUMS = List.of("4fa4ee8d", "c80e6b97", "662144b2");

  @ParameterizedTest
  @EnumSource(KernelLevel.class)
  void pack_fixedWeights_givesTheBytesOfThisLayout(KernelLevel level) {
    KernelLibrary library = NativeLevels.require(level);
    List<String> checksums =
        Arrays.stream(WeightFormat.values()).map(format -> checksum(library, format)).toList();

    assertThat(library.layout()).isEqualTo(LAYOUT);
    assertThat(checksums).as("see above").isEqualTo(CHECKSUMS);
  }

  /** Of all source types, of whole and broken tiles and groups, stacked and gated. */
  private static String checksum(KernelLibrary library, WeightFormat format) {
    CRC32C sum = new CRC32C();
    Random random = new Random(5);
    try (Arena arena = Arena.ofConfined();
        NativeBackend backend = new NativeBackend(library, format, 2, "test")) {
      for (DType type : List.of(DType.BF16, DType.F16, DType.F32)) {
        for (int columns : new int[] {64, 77, 300}) {
          StoredTensor a = tensor(type, 40, columns, random, arena);
          StoredTensor b = tensor(type, 40, columns, random, arena);
          StoredTensor c = tensor(type, 31, columns, random, arena);
          List<StoredTensor> stacked = List.of(a, b, c);
          sum.update(bytes(backend.matrix(stacked, Arrays.asList(null, null, null))));
          sum.update(bytes(backend.gateUpMatrix(List.of(a, b), Arrays.asList(null, null))));
        }
      }
    }
    return Long.toHexString(sum.getValue());
  }

  /** A rank's columns are packed where they lie in the checkpoint, between those of others. */
  @ParameterizedTest
  @EnumSource(KernelLevel.class)
  void pack_columnsOfAMatrix_givesTheBytesOfACopy(KernelLevel level) {
    KernelLibrary library = NativeLevels.require(level);
    Random random = new Random(6);
    List<@Nullable StoredTensor> noBias = Collections.nCopies(1, null);
    try (Arena arena = Arena.ofConfined();
        NativeBackend backend = new NativeBackend(library, WeightFormat.BF16, 2, "test")) {
      for (DType type : List.of(DType.BF16, DType.F16, DType.F32)) {
        StoredTensor part = tensor(type, 40, 300, random, arena).columns(32, 77);
        MemorySegment copy = arena.allocate(40L * 77 * type.bytes());
        long bytes = 77L * type.bytes();
        for (int row = 0; row < 40; row++) {
          MemorySegment.copy(part.data(), row * part.rowBytes(), copy, row * bytes, bytes);
        }
        StoredTensor whole = new StoredTensor("t", type, new long[] {40, 77}, copy);

        assertThat(bytes(backend.matrix(List.of(part), noBias)))
            .isEqualTo(bytes(backend.matrix(List.of(whole), noBias)));
      }
    }
  }

  private static byte[] bytes(NativeMatrix matrix) {
    assertThat(matrix.data().byteSize()).isEqualTo(matrix.bytes());
    return matrix.data().toArray(ValueLayout.JAVA_BYTE);
  }

  private static StoredTensor tensor(
      DType type, int rows, int columns, Random random, Arena arena) {
    MemorySegment data = arena.allocate((long) rows * columns * type.bytes());
    for (int i = 0; i < rows * columns; i++) {
      float value = random.nextInt(40) == 0 ? 0 : (float) (random.nextDouble() - 0.5);
      switch (type) {
        case BF16 ->
            data.setAtIndex(
                ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(value) >>> 16));
        case F16 -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
        default -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
      }
    }
    return new StoredTensor("t", type, new long[] {rows, columns}, data);
  }
}
