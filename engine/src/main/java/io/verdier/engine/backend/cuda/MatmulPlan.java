package io.verdier.engine.backend.cuda;

/**
 * Which matmul kernel serves a batch, and how it is launched. Immutable. {@code matmul_plan.h} has
 * the same rule for the kernels' own tests and says what each number is; no choice changes a
 * result.
 *
 * @param kernel entry point
 * @param threads of a block
 * @param stages of the ring through which weights and operands come
 * @param stageGroups groups of 64 columns in a stage
 */
record MatmulPlan(
    String kernel,
    int gridX,
    int gridY,
    int threads,
    int sharedBytes,
    int stages,
    int stageGroups) {
  private static final int STAGES_MAX = 16;
  private static final int SMALL_RING_BYTES = 96 << 10;
  private static final int STATIC_BYTES = 1024;
  private static final int PASS_BYTES = 32 * 68 * Float.BYTES; // a warpgroup's, in the epilogue
  private static final int TOKEN_BYTES = 128; // of a group of 64 columns

  /**
   * What of a device the choice depends on.
   *
   * @param bulk whether it copies by the block (sm_90 and later)
   * @param wgmma whether whole warpgroups multiply (sm_90a), with the same bits as warps
   */
  record Hardware(int multiprocessors, int sharedBytesMax, boolean bulk, boolean wgmma) {}

  /**
   * Chooses.
   *
   * @param tokens for which the launch must have room
   * @param rows of the weights, as they lie in memory
   */
  static MatmulPlan of(int tokens, int rows, WeightFormat format, Hardware device) {
    int processors = device.multiprocessors;
    if (device.bulk && tokens <= (device.wgmma ? 16 : 32)) {
      return small(tokens, rows, format, processors);
    }
    if (device.wgmma && tokens <= 64) {
      int tile = tokens <= 32 ? 32 : 64;
      int groups = fills(rows, 256, tokens, tile, processors) ? 4 : 1;
      return warpgroups(tile, groups, tokens, rows, format, device);
    }
    if (device.wgmma) {
      if (tokens > 128 && fills(rows, 128, tokens, 256, processors)) {
        return warpgroups(256, 2, tokens, rows, format, device);
      }
      int groups = fills(rows, 128, tokens, 128, processors) ? 2 : 1;
      return warpgroups(128, groups, tokens, rows, format, device);
    }
    if (tokens > 64 && fills(rows, 128, tokens, 128, processors)) {
      return tiles(128, tokens, rows, format, processors);
    }
    int tile = tokens <= 8 ? 8 : tokens <= 16 ? 16 : tokens <= 32 ? 32 : 64;
    return tiles(tile, tokens, rows, format, processors);
  }

  /** Bytes of 16 rows by 64 columns. */
  private static int groupBytes(WeightFormat format) {
    return 16 * 64 * format.bytes();
  }

  /** Whether so many output tiles keep seven of ten multiprocessors busy. */
  private static boolean fills(int rows, int tileRows, int tokens, int tileTokens, int processors) {
    return ceil(rows, tileRows) * ceil(tokens, tileTokens) * 10 >= processors * 7;
  }

  /** A block a multiprocessor, with as many warps as share its tiles evenly. */
  private static MatmulPlan small(int tokens, int rows, WeightFormat format, int processors) {
    int tile = tokens <= 8 ? 8 : tokens <= 16 ? 16 : 32;
    int rowTiles = ceil(rows, 16);
    int gridX = Math.min(processors, rowTiles);
    int perBlock = ceil(rowTiles, gridX);
    int warps = ceil(perBlock, ceil(perBlock, 8));
    int stageGroups = (warps <= 3 ? 4 : 2) * (2048 / groupBytes(format));
    int stageBytes = stageGroups * (tile * TOKEN_BYTES + warps * groupBytes(format));
    int stages = Math.clamp(SMALL_RING_BYTES / stageBytes, 2, STAGES_MAX);
    return new MatmulPlan(
        "matmul_small_" + format.label() + "_" + tile,
        gridX,
        ceil(tokens, tile),
        32 * (warps + 1),
        stages * stageBytes,
        stages,
        stageGroups);
  }

  /** Everything that a block may have of shared memory is the ring. */
  private static MatmulPlan warpgroups(
      int tile, int groups, int tokens, int rows, WeightFormat format, Hardware device) {
    int outputTiles = ceil(rows, 64 * groups) * ceil(tokens, tile);
    int stageGroups = groups == 1 && tile <= 64 ? 2 : 1;
    int stageBytes = stageGroups * (tile * TOKEN_BYTES + 4 * groups * groupBytes(format));
    int passBytes = groups * PASS_BYTES;
    int stages =
        Math.min(STAGES_MAX, (device.sharedBytesMax - STATIC_BYTES - passBytes) / stageBytes);
    return new MatmulPlan(
        "matmul_wgmma_" + format.label() + "_" + tile + "x" + groups,
        Math.min(device.multiprocessors, outputTiles),
        1,
        128 * (groups + 1),
        stages * stageBytes + passBytes,
        stages,
        stageGroups);
  }

  private static MatmulPlan tiles(
      int tile, int tokens, int rows, WeightFormat format, int processors) {
    int rowTiles = ceil(rows, 16);
    int warps = tile == 128 ? 8 : Math.clamp(ceil(rowTiles, processors), 1, 4);
    int stages =
        switch (tile) {
          case 8 -> 8;
          case 16 -> 6;
          case 32 -> 5;
          case 64 -> 4;
          default -> 3;
        };
    return new MatmulPlan(
        "matmul_tile_" + format.label() + "_" + tile,
        ceil(rowTiles, warps) * ceil(tokens, tile),
        1,
        32 * warps,
        stages * (tile * TOKEN_BYTES + warps * groupBytes(format)),
        stages,
        0);
  }

  private static int ceil(int a, int b) {
    return (a + b - 1) / b;
  }
}
