package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.MatmulPlan.Hardware;
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
             1,   4096, BF16, matmul_small_bf16_8,    132,  96, 122880, 4, 4
             1,   6144, BF16, matmul_small_bf16_8,    132, 128, 122880, 4, 4
             1,  28672, FP8,  matmul_small_fp8_8,     132, 256, 131072, 4, 4
             1,   4096, INT4, matmul_small_int4_8,    132,  96, 202752, 6, 16
            32,  28672, INT4, matmul_small_int4_32,   132, 256, 126976, 4, 4
            32,  28672, BF16, matmul_small_bf16_32,   132, 256, 147456, 4, 2
            48,   4096, INT8, matmul_small_int8_64,   132,  96, 163840, 4, 4
            64,  28672, FP8,  matmul_wgmma_fp8_64x2,  132, 384, 214016, 3, 4
            64,   4096, BF16, matmul_wgmma_bf16_32x1, 128, 256, 205312, 4, 4
            64,   6144, BF16, matmul_wgmma_bf16_64x1,  96, 256, 205312, 3, 4
            64,  28672, BF16, matmul_small_bf16_64,   132, 256, 180224, 4, 2
            64, 128256, BF16, matmul_small_bf16_64,   132, 256, 180224, 4, 2
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
}
