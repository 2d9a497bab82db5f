package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.MatmulPlan.Hardware;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Llama-3.1-8B on an H100 or H200, as {@code matmul_plan.h} has it too. */
class MatmulPlanTest {
  private static final Hardware HOPPER = new Hardware(132, 232448, true, true);

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          # tokens, rows, format, kernel, gridX, threads, sharedBytes, stages, stageGroups
             1,   4096, BF16, matmul_small_bf16_8x1,  132,  96, 122880, 4, 4
             1,   6144, BF16, matmul_small_bf16_8x1,  132, 128, 122880, 4, 4
             1,  28672, FP8,  matmul_small_fp8_8x1,   132, 256, 131072, 4, 4
             1,   4096, INT4, matmul_small_int4_8x1,  132,  96, 122880, 3, 8
            32,   6144, FP8,  matmul_small_fp8_32x1,  132, 128, 122880, 4, 4
            64,   4096, INT4, matmul_small_int4_64x2, 132, 160, 224256, 3, 8
            32,  28672, INT4, matmul_small_int4_32x1, 132, 256, 126976, 4, 4
            32,  28672, BF16, matmul_small_bf16_32x1, 132, 256, 147456, 4, 2
            32,   4096, BF16, matmul_small_bf16_32x1, 132,  96, 131072, 4, 4
            32,   4096, FP8,  matmul_small_fp8_32x2,  132, 160, 196608, 4, 8
            48,   4096, INT8, matmul_small_int8_64x2, 132, 160, 163840, 4, 4
            64,  28672, FP8,  matmul_wgmma_fp8_64x4,  112, 640, 231424, 4, 2
            64,  16384, INT4, matmul_wgmma_int4_64x2, 128, 384, 218112, 4, 4
            64,   8192, INT8, matmul_wgmma_int8_64x1, 128, 256, 205312, 4, 4
            64,   4096, BF16, matmul_small_bf16_64x2, 132, 160, 196608, 4, 4
            64,   6144, BF16, matmul_small_bf16_64x2, 132, 224, 229376, 4, 4
            64,  28672, BF16, matmul_wgmma_bf16_64x2, 132, 384, 214016, 4, 2
            64, 128256, BF16, matmul_wgmma_bf16_64x2, 132, 384, 214016, 4, 2
           128,   4096, BF16, matmul_wgmma_bf16_64x1, 128, 256, 205312, 3, 4
           128,   4096, INT4, matmul_wgmma_int4_64x1, 128, 256, 218624, 5, 4
           128,   6144, BF16, matmul_wgmma_bf16_128x1, 96, 256, 205312, 4, 2
           128,  28672, BF16, matmul_wgmma_bf16_128x2, 132, 384, 214016, 3, 2
           256,   4096, BF16, matmul_wgmma_bf16_128x1, 128, 256, 205312, 4, 2
          4096,   4096, BF16, matmul_wgmma_bf16_256x2, 132, 384, 214016, 4, 1
          """)
  void of_llamaOnHopper_isAsWrittenDown(
      int tokens,
      int rows,
      WeightFormat format,
      String kernel,
      int gridX,
      int threads,
      int sharedBytes,
      int stages,
      int stageGroups) {
    MatmulPlan plan = MatmulPlan.of(tokens, rows, format, HOPPER);

    assertThat(plan)
        .isEqualTo(new MatmulPlan(kernel, gridX, 1, threads, sharedBytes, stages, stageGroups));
  }

  @Test
  void of_32TokensBehindHopper_aBlockHasNoMoreThanSevenWarps() {
    Hardware behind = new Hardware(148, 232448, true, false);
    Hardware hopper = new Hardware(148, 232448, true, true);

    assertThat(MatmulPlan.of(32, 18944, WeightFormat.BF16, hopper).threads()).isEqualTo(32 * 9);
    assertThat(MatmulPlan.of(32, 18944, WeightFormat.BF16, behind).threads()).isEqualTo(32 * 5);
    assertThat(MatmulPlan.of(16, 18944, WeightFormat.BF16, behind).threads()).isEqualTo(32 * 9);
  }

  /** PTX of Ampere on a GPU to come, and sm_90 on Hopper: what was compiled decides. */
  @Test
  void of_kernelsOfAnOlderArchitecture_usesWhatTheyHave() {
    CudaDriver.Device later = new CudaDriver.Device("later", 11, 0, 132, 1L << 36, 232448);
    CudaDriver.Device hopper = new CudaDriver.Device("hopper", 9, 0, 132, 1L << 36, 232448);

    assertThat(kernel(1, later)).startsWith("matmul_small");
    assertThat(kernel(1, later.with(new KernelFeatures(false, false)))).startsWith("matmul_tile");
    assertThat(kernel(4096, hopper)).startsWith("matmul_wgmma");
    assertThat(kernel(4096, hopper.with(new KernelFeatures(true, false))))
        .startsWith("matmul_tile");
    assertThat(hopper.architecture()).isEqualTo("sm_90a");
    assertThat(later.architecture()).isEqualTo("sm_110");
  }

  private static String kernel(int tokens, CudaDriver.Device device) {
    return MatmulPlan.of(tokens, 4096, WeightFormat.BF16, Hardware.of(device)).kernel();
  }
}
