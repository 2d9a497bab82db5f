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
   * @param bulk whether its kernels copy by the block (sm_90 and later)
   * @param wgmma whether whole warpgroups multiply (sm_90a), with the same bits as warps
   */
  record Hardware(int multiprocessors, int sharedBytesMax, boolean bulk, boolean wgmma) {

    static Hardware of(CudaDriver.Device device) {
      return new Hardware(
          device.multiprocessors(),
          device.sharedBytesMax(),
          device.features().bulk(),
          device.features().wgmma());
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
    int perBlock = ceil(ceil(rows, 16), processors);
    if (device.bulk && tokens <= 32) {
      // Weights of fewer bits come faster than a warp multiplies 32 tokens with them: two share
      // those of each tile, where there are few.
      boolean shared = tokens > 16 && perBlock <= 2 && format != WeightFormat.BF16;
      return small(tokens, shared ? 2 : 1, rows, format, device);
    }
    if (device.wgmma) {
      if (tokens <= 64) {
        return perBlock <= 3
            ? small(tokens, 2, rows, format, device)
            : warpgroups(64, warpgroups(rows, format, processors), tokens, rows, format, device);
      }
      // Where the 64-row tiles leave half of the multiprocessors idle, two blocks share the tokens
      // of each, and the weights in L2.
      if (tokens <= 128 && 2 * ceil(rows, 64) <= processors) {
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
    return tiles(tileTokens(tokens), tokens, rows, format, processors);
  }

  /** Warpgroups of a block for up to 64 tokens: those whose rounds of tiles take least. */
  private static int warpgroups(int rows, WeightFormat format, int processors) {
    int best = 1;
    for (int groups = 2; groups <= (format == WeightFormat.BF16 ? 2 : 4); groups *= 2) {
      if (cost(rows, groups, format, processors) < cost(rows, best, format, processors)) {
        best = groups;
      }
    }
    return best;
  }

  /** Rounds times what one takes beside one of other warpgroups, as measured. */
  private static int cost(int rows, int groups, WeightFormat format, int processors) {
    int rounds = ceil(ceil(rows, 64 * groups), processors);
    int pair = format == WeightFormat.BF16 ? 5 : 4;
    return rounds * (groups == 1 ? 3 : groups == 2 ? pair : 7);
  }

  private static int tileTokens(int tokens) {
    return tokens <= 8 ? 8 : tokens <= 16 ? 16 : tokens <= 32 ? 32 : 64;
  }

  /** Whether so many output tiles keep seven of ten multiprocessors busy. */
  private static boolean fills(int rows, int tileRows, int tokens, int tileTokens, int processors) {
    return ceil(rows, tileRows) * ceil(tokens, tileTokens) * 10 >= processors * 7;
  }

  /**
   * A block a multiprocessor, with as many warps as share its tiles evenly and have registers.
   * Three stages are under way while one is read; where a block has few tiles, long ones, because
   * the cost of a stage then counts most. Other choices are as measured. A stage has whole runs of
   * groups. Beside a block that still runs there is no room for one of the next kernel, which would
   * take memory's time from it.
   *
   * @param shares warps that share the tokens of a tile
   */
  private static MatmulPlan small(
      int tokens, int shares, int rows, WeightFormat format, Hardware device) {
    int tile = tileTokens(tokens);
    int rowTiles = ceil(rows, 16);
    int gridX = Math.min(device.multiprocessors, rowTiles);
    int perBlock = ceil(rowTiles, gridX);
    int single = tile == 32 && !device.wgmma ? 7 : 8; // behind Hopper it takes more registers
    int most = shares == 1 ? single : tile == 32 ? 7 : 3;
    int round = ceil(perBlock, ceil(perBlock, most));
    int bytes = tile * TOKEN_BYTES + round * format.groupBytes(); // of 64 columns
    int ringBytes = device.sharedBytesMax - STATIC_BYTES;
    boolean whole = format == WeightFormat.BF16;
    boolean four = format == WeightFormat.INT4;
    int wanted = four && (tile == 8 || tile == 64) ? 3 : 4;
    boolean brief = round > 3 || (tile == 32 && shares == 1 && !whole) || (tile == 8 && four);
    int run = !whole && tile / shares <= 16 ? 4 : 2;
    int stageGroups = ceil(ceil(brief ? 4096 : 8192, format.groupBytes()), run) * run;
    while (stageGroups > run && wanted * kilobytes(stageGroups * bytes) > ringBytes) {
      stageGroups /= 2;
    }
    int stageBytes = kilobytes(stageGroups * bytes);
    int stages = Math.min(wanted, ringBytes / stageBytes);
    return new MatmulPlan(
        "matmul_small_" + format.label() + "_" + tile + "x" + shares,
        gridX,
        ceil(tokens, tile),
        32 * (round * shares + 1),
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
    boolean heavy = groups == 4 || groups * format.groupBytes() >= 4096;
    int stageGroups = tile > 128 ? 1 : tile > 64 || heavy ? 2 : 4;
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
