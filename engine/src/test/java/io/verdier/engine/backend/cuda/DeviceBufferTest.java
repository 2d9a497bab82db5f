package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/** Memory that grows, and memory that there is none of. */
class DeviceBufferTest {

  @Test
  void reserve_memoryShort_isEmptyAndUsableAgain() {
    try (EmulatedDriver driver = TestCuda.emulation()) {
      DeviceBuffer buffer = new DeviceBuffer(driver);
      int[] moves = {0};
      buffer.reserve(100, () -> moves[0]++);
      long first = buffer.address();
      buffer.reserve(50, () -> moves[0]++);
      assertThat(buffer.address()).isEqualTo(first);
      driver.failNextAllocation();
      assertThatThrownBy(() -> buffer.reserve(1000, () -> moves[0]++))
          .isInstanceOf(CudaException.class);
      assertThat(buffer.address()).isZero();
      assertThat(buffer.bytes()).isZero();
      buffer.reserve(10, () -> moves[0]++);
      assertThat(buffer.address()).isNotZero();
      assertThat(moves[0]).isEqualTo(3);
    }
  }

  @Test
  void roundedRows_anyCount_isEnoughAndNotFarOff() {
    for (int rows = 1; rows <= 600; rows++) {
      int rounded = StepGraphs.roundedRows(rows);
      assertThat(rounded).isBetween(rows, rows + 7);
      assertThat(StepGraphs.roundedRows(rounded)).isEqualTo(rounded);
    }
  }
}
