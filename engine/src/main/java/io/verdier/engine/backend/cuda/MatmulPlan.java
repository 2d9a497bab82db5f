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
  private static final int SMALL_SHARED_MIN = 120 << 10; // two do not fit into a multiprocessor
  private static final int STATIC_BYTES = 1024;
  private static final int PASS_BYTES = 32 * 68 * Float.BYTES; // a warpgroup's, in the epilogue
  private static final int TOKEN_BYTES = 128; // of a group of 64 columns

  /**
   * What of a device the choice depends on.
   *
   * @param bulk whether it copies by the block (sm_90 and later)
   * @param wgmma whether whole warpgroups multiply (sm_90a), with the same bits as warps
   */
  record Hardware(int multiprocessors, int sharedBytesMax, boolean bulk, boolean wgmma) {

    static Hardware of(CudaDriver.Device device) {
      return new Hardware(
          device.multiprocessors(),
          device.sharedBytesMax(),
          device.major() >= 9,
          device.major() == 9);
    }
  }

  /**
   * Chooses.
   *
   * @param tokens for which the launch must have room
   * @param rows of the weights, as they lie in memory
   */
  static MatmulPlan of(int tokens, int rows, WeightFormat format, Hardware device) {
    int processors = device.multiprocessors;
    if (device.bulk && tokens <= 32) {
      return small(tokens, rows, format, device);
    }
    if (device.wgmma) {
      // Where the 64-row tiles leave half of the multiprocessors idle, two blocks share the tokens
      // of each, and the weights in L2.
      boolean halves = 2 * ceil(rows, 64) <= processors;
      // With many tiles on every multiprocessor warps keep up with the memory, which wgmma does
      // not. Of weights of fewer bits there are so many more a second that they do not, but few
      // tiles come sooner by them.
      boolean fills = fills(rows, 256, tokens, 64, processors);
      boolean whole = format == WeightFormat.BF16;
      if (tokens <= 64 && fills && !whole) {
        return warpgroups(64, 2, tokens, rows, format, device);
      }
      if (tokens <= 64 && fills == whole) {
        return small(tokens, rows, format, device);
      }
      if (tokens <= 64) {
        return warpgroups(halves ? 32 : 64, 1, tokens, rows, format, device);
      }
      if (tokens <= 128 && halves) {
        return warpgroups(64, 1, tokens, rows, format, device);
      }
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

  /** Whether so many output tiles keep seven of ten multiprocessors busy. */
  private static boolean fills(int rows, int tileRows, int tokens, int tileTokens, int processors) {
    return ceil(rows, tileRows) * ceil(tokens, tileTokens) * 10 >= processors * 7;
  }

  /**
   * A block a multiprocessor, with as many warps as share its tiles evenly: at most eight, or seven
   * with 64 tokens, which want registers. Three stages are under way while one is read, five where
   * they are small; where a block has few tiles, long ones, because the cost of a stage then counts
   * most. The kernel takes groups by twos. Beside a block that still runs there is no room for one
   * of the next kernel, which would take memory's time from it.
   */
  private static MatmulPlan small(int tokens, int rows, WeightFormat format, Hardware device) {
    int tile = tokens <= 8 ? 8 : tokens <= 16 ? 16 : tokens <= 32 ? 32 : 64;
    int rowTiles = ceil(rows, 16);
    int gridX = Math.min(device.multiprocessors, rowTiles);
    int perBlock = ceil(rowTiles, gridX);
    int warps = ceil(perBlock, ceil(perBlock, tile < 64 ? 8 : 7));
    int bytes = tile * TOKEN_BYTES + warps * format.groupBytes(); // of 64 columns
    int ringBytes = device.sharedBytesMax - STATIC_BYTES;
    int wanted = format == WeightFormat.INT4 && tile == 8 ? 6 : 4;
    int stageGroups = ceil(warps <= 3 ? 8192 : 4096, format.groupBytes());
    while (stageGroups > 2 && wanted * kilobytes(stageGroups * bytes) > ringBytes) {
      stageGroups /= 2;
    }
    int stageBytes = kilobytes(stageGroups * bytes);
    int stages = Math.min(wanted, ringBytes / stageBytes);
    return new MatmulPlan(
        "matmul_small_" + format.label() + "_" + tile,
        gridX,
        ceil(tokens, tile),
        32 * (warps + 1),
        Math.max(stages * stageBytes, Math.min(SMALL_SHARED_MIN, ringBytes)),
        stages,
        stageGroups);
  }

  /**
   * Everything that a block may have of shared memory is the ring. Stages are long where a group is
   * soon multiplied.
   */
  private static MatmulPlan warpgroups(
      int tile, int groups, int tokens, int rows, WeightFormat format, Hardware device) {
    int outputTiles = ceil(rows, 64 * groups) * ceil(tokens, tile);
    int stageGroups = tile > 128 ? 1 : tile > 64 ? 2 : 4;
    int stageBytes =
        kilobytes(stageGroups * (tile * TOKEN_BYTES + 4 * groups * format.groupBytes()));
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
        stages * (tile * TOKEN_BYTES + warps * format.groupBytes()),
        stages,
        0);
  }

  private static int kilobytes(int bytes) {
    return ceil(bytes, 1024) * 1024;
  }

  private static int ceil(int a, int b) {
    return (a + b - 1) / b;
  }
}
