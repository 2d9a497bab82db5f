package io.verdier.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DummyWeightsTest {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16", "F32"})
  void tensor_ofMatrix_isNoiseOfInitialScale(DType type) {
    try (DummyWeights weights = new DummyWeights(type)) {
      StoredTensor tensor = weights.tensor("a.weight", 400, 300);
      double sum = 0;
      double squares = 0;
      for (int i = 0; i < 120_000; i++) {
        float value = value(tensor, i);
        assertThat(Math.abs(value)).isLessThan(0.07f);
        sum += value;
        squares += value * value;
      }
      assertThat(tensor.data().byteSize()).isEqualTo(120_000L * type.bytes());
      assertThat(sum / 120_000).isCloseTo(0, within(2e-4));
      assertThat(Math.sqrt(squares / 120_000)).isCloseTo(0.02, within(2e-4));
    }
  }

  @Test
  void tensor_ofVector_isOneOrZero() {
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      for (int i = 0; i < 5; i++) {
        assertThat(value(weights.tensor("model.norm.weight", 5), i)).isEqualTo(1);
        assertThat(value(weights.tensor("q_proj.bias", 5), i)).isEqualTo(0);
      }
    }
  }

  @Test
  void tensor_sameName_hasTheSameBytesWhateverWasAskedBefore() {
    try (DummyWeights one = new DummyWeights(DType.BF16);
        DummyWeights other = new DummyWeights(DType.BF16)) {
      StoredTensor first = one.tensor("a", 64, 8);
      other.tensor("b", 1000, 1000);
      StoredTensor second = other.tensor("a", 64, 8);

      assertThat(first.data().mismatch(second.data())).isEqualTo(-1);
      assertThat(first.data().mismatch(one.tensor("c", 64, 8).data())).isNotEqualTo(-1);
      one.tensor("d", 2000, 1000); // a longer block takes the place of the first
      assertThat(first.data().mismatch(second.data())).isEqualTo(-1);
    }
  }

  /** As the vocabularies of large models are: still no two tokens are one. */
  @Test
  void tensor_longerThanThePeriod_hasNoEqualRows() {
    int columns = 2048;
    int rows = 2 * DummyWeights.PERIOD / columns;
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      MemorySegment data = weights.tensor("embed", rows, columns).data();
      Set<Long> beginnings = new HashSet<>();
      for (int row = 0; row < rows; row++) {
        beginnings.add(data.get(ValueLayout.JAVA_LONG_UNALIGNED, 2L * row * columns));
      }
      assertThat(beginnings).hasSizeGreaterThan(rows - 10);
    }
  }

  @Test
  void type_notOfWeights_isRefused() {
    assertThatThrownBy(() -> new DummyWeights(DType.I8)).hasMessageContaining("I8");
  }

  private static float value(StoredTensor tensor, int i) {
    return switch (tensor.dtype()) {
      case BF16 -> Float.intBitsToFloat(tensor.data().get(SHORT, i * 2L) << 16);
      case F16 -> Float.float16ToFloat(tensor.data().get(SHORT, i * 2L));
      default -> Float.intBitsToFloat(tensor.data().get(INT, i * 4L));
    };
  }
}
