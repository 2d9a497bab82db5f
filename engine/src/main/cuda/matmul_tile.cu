// matmul_tile: mma.sync and cp.async, for GPUs without bulk copies or wgmma (sm_80, 86, 89, 120) and as what the other kernels are compared
// with. Every number of tokens: 8, 16, 32, 64 tokens x 16 weight rows a warp for decode, 128 x 128 outputs a block of 8 warps for prefill.
//
// The block's warps copy STAGES - 1 groups of 64 k ahead of the one they multiply, each warp its own weights and a share of the tokens, and
// meet once a group. Weights lie in fragment order, so that a lane reads a step's four registers in one piece and no ldmatrix is needed for
// them; tokens come by ldmatrix from the swizzled operand.
//
// grid (output tiles), block 32 * WARPS_ACROSS * (warps along the weight rows), dynamic shared memory STAGES * stage bytes: matmul_plan.h.
#include "matmul.cuh"

/// TILES x EIGHTS accumulators a warp: 16 weight rows and 8 tokens each. WARPS_ACROSS warps lie side by side along the tokens.
template <class FormatOfWeights, int WARPS_ACROSS_, int TILES_, int EIGHTS_, int STAGES_>
struct TileShape {
  typedef FormatOfWeights Format;
  static const int WARPS_ACROSS = WARPS_ACROSS_;
  static const int TILES = TILES_;
  static const int EIGHTS = EIGHTS_;
  static const int STAGES = STAGES_;
  static const int TOKENS = WARPS_ACROSS * EIGHTS * 8;
  static const int TOKEN_BYTES = TOKENS * 128;

  /// A stage: [TOKENS][64] bf16, then a group of each weight tile.
  DEVICE static int stageBytes(int blockTiles) { return TOKEN_BYTES + blockTiles * Format::GROUP_BYTES; }
};

/// This warp's part of the block's weights for one group. Tiles beyond the last one are read from it again and never written.
template <class Shape>
DEVICE void tile_copy_weights(const Matmul& m, const Work& work, int group, unsigned char* stage) {
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < Shape::TILES; i++) {
    int tile = warp / Shape::WARPS_ACROSS * Shape::TILES + i;
    long from = work.firstTile + (tile < work.tileCount ? tile : work.tileCount - 1);
    const unsigned char* global = m.weights + (from * m.groups() + group) * Shape::Format::GROUP_BYTES + lane * 16;
    unsigned char* shared = stage + Shape::TOKEN_BYTES + tile * Shape::Format::GROUP_BYTES + lane * 16;
#pragma unroll
    for (int j = 0; j < (Shape::Format::GROUP_BYTES + 511) / 512; j++) {
      bool inGroup = (j + 1) * 512 <= Shape::Format::GROUP_BYTES || j * 512 + lane * 16 < Shape::Format::GROUP_BYTES;
      if (inGroup && j % Shape::WARPS_ACROSS == warp % Shape::WARPS_ACROSS) cp_async16(shared + j * 512, global + j * 512);
    }
  }
}

/// This thread's part of the tokens for one group: they lie in one piece.
template <class Shape>
DEVICE void tile_copy_tokens(const Matmul& m, const Work& work, int group, unsigned char* stage) {
  const unsigned char* global = m.operand + (static_cast<long>(group) * m.operandRows + work.token0) * 128;
  for (int at = threadIdx.x * 16; at < Shape::TOKEN_BYTES; at += blockDim.x * 16) cp_async16(stage + at, global + at);
}

template <class Shape>
DEVICE void tile_multiply(const unsigned char* stage, float (&sums)[Shape::TILES][Shape::EIGHTS][4]) {
  typedef typename Shape::Format Format;
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  const unsigned char* weights = stage + Shape::TOKEN_BYTES + warp / Shape::WARPS_ACROSS * Shape::TILES * Format::GROUP_BYTES;
  const unsigned char* tokens = stage + warp % Shape::WARPS_ACROSS * Shape::EIGHTS * 1024;
  int offset = token_offset(lane);
  typename Format::Lane raw[Shape::TILES];
#pragma unroll
  for (int i = 0; i < Shape::TILES; i++) raw[i].load(weights + i * Format::GROUP_BYTES, lane);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    uint32_t b[Shape::EIGHTS][4];  // two steps: b0, b1 of the first, of the second
#pragma unroll
    for (int j = 0; j < Shape::EIGHTS; j++) ldmatrix_x4(b[j], tokens + j * 1024 + (offset ^ (half * 64)));
#pragma unroll
    for (int step = 0; step < 2; step++) {
#pragma unroll
      for (int i = 0; i < Shape::TILES; i++) {
        uint32_t a[4];
        Format::fragment(raw[i], half * 2 + step, a);
#pragma unroll
        for (int j = 0; j < Shape::EIGHTS; j++) mma16816(sums[i][j], a, b[j][step * 2], b[j][step * 2 + 1]);
      }
    }
  }
}

/// One output tile. `begun` stages have their weights under way already.
template <class Shape>
DEVICE void tile_work(const Matmul& m, const Work& work, int begun, unsigned char* memory, int stageBytes, int rows) {
  const int AHEAD = Shape::STAGES - 1;
  int groups = m.groups();
#pragma unroll
  for (int group = 0; group < AHEAD; group++) {
    if (group >= begun && group < groups) tile_copy_weights<Shape>(m, work, group, memory + group * stageBytes);
    if (group < groups) tile_copy_tokens<Shape>(m, work, group, memory + group * stageBytes);
    cp_async_commit();
  }
  float sums[Shape::TILES][Shape::EIGHTS][4] = {};
  int stage = 0, ahead = AHEAD;
  for (int group = 0; group < groups; group++) {
    cp_async_wait<AHEAD - 1>();
    __syncthreads();  // the group's bytes are there for all, and all are done with the stage that is filled next
    if (group + AHEAD < groups) {
      tile_copy_weights<Shape>(m, work, group + AHEAD, memory + ahead * stageBytes);
      tile_copy_tokens<Shape>(m, work, group + AHEAD, memory + ahead * stageBytes);
    }
    cp_async_commit();
    tile_multiply<Shape>(memory + stage * stageBytes, sums);
    stage = stage + 1 == Shape::STAGES ? 0 : stage + 1;
    ahead = ahead + 1 == Shape::STAGES ? 0 : ahead + 1;
  }
  cp_async_wait<0>();
  __syncthreads();  // the next tile starts at the first stage again

  int warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < Shape::TILES; i++) {
    int tile = warp / Shape::WARPS_ACROSS * Shape::TILES + i;
    if (tile >= work.tileCount) break;
    int token0 = work.token0 + warp % Shape::WARPS_ACROSS * Shape::EIGHTS * 8;
    float old[Shape::EIGHTS][4];  // all asked for before the first is waited for
#pragma unroll
    for (int j = 0; j < Shape::EIGHTS; j++) Finish(work.firstTile + tile, token0 + j * 8).readOld(m, rows, old[j]);
#pragma unroll
    for (int j = 0; j < Shape::EIGHTS; j++) Finish(work.firstTile + tile, token0 + j * 8).write(m, rows, sums[i][j], old[j]);
  }
}

template <class Shape>
DEVICE void matmul_tile(const Matmul& m) {
  DYNAMIC_SHARED(memory);
  int blockTiles = blockDim.x / 32 / Shape::WARPS_ACROSS * Shape::TILES;
  int stageBytes = Shape::stageBytes(blockTiles);
  pdl_launch();
  TileSchedule<Shape::TOKENS, Shape::TOKENS <= 64> schedule(m, blockTiles);
  int begun = 0;
  if (schedule.early()) {
    Work work = schedule.earlyWork();
    begun = m.groups() < Shape::STAGES - 1 ? m.groups() : Shape::STAGES - 1;
    for (int group = 0; group < begun; group++) tile_copy_weights<Shape>(m, work, group, memory + group * stageBytes);
  }
  pdl_wait();
  int rows = *m.counts;
  schedule.start(rows);
  for (Work work; schedule.next(work); begun = 0) tile_work<Shape>(m, work, begun, memory, stageBytes, rows);
}

#define MATMUL_TILE(name, threads, Format, WARPS_ACROSS, TILES, EIGHTS, STAGES)      \
  KERNEL_BOUNDS(name, threads, 1, MATMUL_PARAMETERS) {                               \
    matmul_tile<TileShape<Format, WARPS_ACROSS, TILES, EIGHTS, STAGES>>(MATMUL_ARGUMENTS); \
  }

#define MATMUL_TILE_FORMAT(format, Format)                                  \
  MATMUL_TILE(matmul_tile_##format##_8, 256, Format, 1, 1, 1, 8)       \
  MATMUL_TILE(matmul_tile_##format##_16, 256, Format, 1, 1, 2, 6)      \
  MATMUL_TILE(matmul_tile_##format##_32, 256, Format, 1, 1, 4, 5)      \
  MATMUL_TILE(matmul_tile_##format##_64, 256, Format, 1, 1, 8, 4)      \
  MATMUL_TILE(matmul_tile_##format##_128, 256, Format, 2, 2, 8, 3)

MATMUL_TILE_FORMAT(bf16, Bf16Weights)
MATMUL_TILE_FORMAT(fp8, Fp8Weights)
MATMUL_TILE_FORMAT(int8, Int8Weights)
MATMUL_TILE_FORMAT(int4, Int4Weights)
