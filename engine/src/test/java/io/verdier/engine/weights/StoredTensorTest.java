package io.verdier.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Views on pieces of a tensor, which copy nothing. */
class StoredTensorTest {
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void close() {
    arena.close();
  }

  @Test
  void rows_ofAMatrix_lieWhereTheyLay() {
    StoredTensor matrix = matrix(6, 5);
    StoredTensor rows = matrix.rows(2, 3);

    assertThat(rows.rows()).isEqualTo(3);
    assertThat(rows.columns()).isEqualTo(5);
    assertThat(rows.isContiguous()).isTrue();
    assertThat(rows.data().address()).isEqualTo(matrix.data().address() + 2 * 5 * 4);
    assertThat(rows.data().byteSize()).isEqualTo(3 * 5 * 4);
    assertThat(matrix.rows(0, 6).data()).isEqualTo(matrix.data());
    assertThat(matrix.rows(0, 6).rowBytes()).isEqualTo(matrix.rowBytes());
  }

  @Test
  void columns_ofAMatrix_keepItsDistanceBetweenRows() {
    StoredTensor columns = matrix(6, 5).columns(3, 2);

    assertThat(columns.rowBytes()).isEqualTo(5 * 4);
    assertThat(columns.isContiguous()).isFalse();
    for (int row = 0; row < 6; row++) {
      for (int column = 0; column < 2; column++) {
        assertThat(element(columns, row, column)).isEqualTo(row * 5 + 3 + column);
      }
    }
    StoredTensor piece = columns.rows(4, 2);
    assertThat(element(piece, 1, 1)).isEqualTo(5 * 5 + 4);
    assertThat(matrix(6, 5).columns(0, 5).isContiguous()).isTrue();
  }

  /** Numbers of two bytes, every one of them, at every place of a row whose last ones are few. */
  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void isFinite_everyNumber_isWhatFloatsSay(DType type) {
    int columns = 11;
    MemorySegment data = arena.allocate(2L * 3 * columns, 8);
    StoredTensor piece = new StoredTensor("t", type, new long[] {3, columns}, data).columns(1, 9);
    for (int bits = 0; bits < 1 << 16; bits++) {
      int at = columns + 1 + bits % 9;
      data.setAtIndex(ValueLayout.JAVA_SHORT, at, (short) bits);
      float number =
          type == DType.BF16
              ? Float.intBitsToFloat(bits << 16)
              : Float.float16ToFloat((short) bits);
      assertThat(piece.isFinite()).as("%x", bits).isEqualTo(Float.isFinite(number));
      data.setAtIndex(ValueLayout.JAVA_SHORT, at, (short) 0);
    }
    data.setAtIndex(ValueLayout.JAVA_SHORT, columns, (short) 0x7f80);
    assertThat(piece.isFinite()).as("beside the columns").isTrue();
  }

  @Test
  void isFinite_floats_atEveryPlace() {
    for (float number : new float[] {Float.MAX_VALUE, -0f, Float.NaN, -1 / 0f, 1 / 0f, 1e-42f}) {
      for (int at = 0; at < 5; at++) {
        MemorySegment data = arena.allocate(5 * Float.BYTES, 4);
        data.setAtIndex(ValueLayout.JAVA_FLOAT, at, number);
        StoredTensor tensor = new StoredTensor("t", DType.F32, new long[] {1, 5}, data);
        assertThat(tensor.isFinite()).as(number + " at " + at).isEqualTo(Float.isFinite(number));
      }
    }
  }

  @Test
  void rows_ofAVector_areItsElements() {
    MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1, 2, 3, 4, 5);
    StoredTensor vector = new StoredTensor("v", DType.F32, new long[] {5}, data);

    assertThat(vector.rows(1, 3).floats()).containsExactly(2, 3, 4);
    assertThat(vector.rows(0, 5).floats()).containsExactly(1, 2, 3, 4, 5);
  }

  @Test
  void copyBfloat16_ofSomeColumns_takesThemFromEachRow() {
    StoredTensor columns = matrix(6, 5).columns(3, 2);
    MemorySegment row = arena.allocate(2L * Short.BYTES, 2);

    columns.copyBfloat16(4, row, 0);

    assertThat(row.toArray(ValueLayout.JAVA_SHORT)).containsExactly(bfloat16(23), bfloat16(24));
    MemorySegment narrow = arena.allocateFrom(ValueLayout.JAVA_SHORT, new short[] {1, 2, 3, 4});
    new StoredTensor("n", DType.BF16, new long[] {2, 2}, narrow)
        .columns(1, 1)
        .copyBfloat16(1, row, Short.BYTES);
    assertThat(row.toArray(ValueLayout.JAVA_SHORT)).containsExactly(bfloat16(23), (short) 4);
  }

  private static short bfloat16(float exact) {
    return (short) (Float.floatToRawIntBits(exact) >>> 16);
  }

  @Test
  void pieces_outsideTheTensor_areRefused() {
    StoredTensor matrix = matrix(6, 5);

    assertThatThrownBy(() -> matrix.rows(4, 3)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> matrix.columns(4, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> matrix.columns(-1, 2)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  private static float element(StoredTensor tensor, int row, int column) {
    return tensor.data().get(ValueLayout.JAVA_FLOAT, row * tensor.rowBytes() + column * 4L);
  }

  /** Elements are counted through. */
  private StoredTensor matrix(int rows, int columns) {
    MemorySegment data = arena.allocate(4L * rows * columns, 4);
    for (int i = 0; i < rows * columns; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, i);
    }
    return new StoredTensor("m", DType.F32, new long[] {rows, columns}, data);
  }
}
