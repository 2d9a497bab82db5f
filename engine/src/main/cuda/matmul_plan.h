// Which matmul kernel serves a batch, and how it is launched: the one rule, in plain C++ for the benchmark and the tests. The Java side
// encodes the same. No choice changes a result; all are for speed.
//
//   entry point                        block                    grid                         dynamic shared memory
//   matmul_small_FORMAT_TxS            32 * (warps + 1)         (blocks, tokens / T)         stages * KB(stageGroups * (T*128 + tiles*G))
//     TxS = 8x1 16x1 32x1 32x2 64x2    warps 1..8, 32x2: 14,                                 tiles = warps / S
//                                      64x2: 6, behind Hopper 32x1: 7
//   matmul_wgmma_FORMAT_TxW            128 * (W + 1)            min(SMs, output tiles)       stages * KB(stageGroups * (T*128 + 4*W*G)) + W*8704
//     TxW = 64x1 64x2 64x4 128x1 128x2 256x2                    tile = 64*W rows x T tokens
//   matmul_tile_FORMAT_T               32 * warps, T = 128: 256 output tiles                 stages * (T*128 + tiles*G)
//     T = 8, 16, 32, 64, 128           warps 1..8               tile = 16*warps rows x T,    stages 8, 6, 5, 4, 3 (fixed)
//                                                               T = 128: 128 rows            tiles = warps, T = 128: 8
//
//   FORMAT bf16 fp8 int8 int4, without bf16 of small 32x2 and wgmma 64x4; G = bytes of 16 rows x 64 k: 2048, 1024, 1024, 544; KB is whole
//   kilobytes. Pass `stages` and `stageGroups` as given here.
//   Shared memory above 48 KB must be allowed for the function first (cuFuncSetAttribute MAX_DYNAMIC_SHARED_SIZE_BYTES); matmul_small and
//   matmul_wgmma have 1024 bytes of static shared memory beside it.
//   Every kernel may be launched with programmatic stream serialization: it waits for its predecessor before it reads activations.
//   The operand must have a multiple of 256 rows, the weights whole 64-row tiles; nothing else has to be padded.
#pragma once

enum class MatmulKernel { SMALL, WGMMA, TILE };

/// What of a GPU the choice depends on.
struct MatmulDevice {
  int multiprocessors;
  int sharedBytesMax;  // of a block, opt-in: 232448 on sm_90, 166912 on sm_80, 101376 on sm_86, 89, 120
  bool bulk;           // sm_90 and later
  bool wgmma;          // sm_90a, and its bits have been seen to equal mma.sync's
};

struct MatmulPlan {
  MatmulKernel kernel;
  int tokens;      // of an output tile: T
  int split;       // SMALL: S, warps that share the tokens of a tile; WGMMA: W, warpgroups
  int warps;       // SMALL, TILE: that multiply
  int gridX;
  int gridY;
  int block;
  int sharedBytes;
  int stages;
  int stageGroups;
};

constexpr int MATMUL_STAGES_MAX = 16;
constexpr int MATMUL_SHARED_MIN = 120 * 1024;   // two such blocks do not fit into the 228 KB of an SM
constexpr int MATMUL_PASS_BYTES = 32 * 68 * 4;  // a warpgroup's in the epilogue of matmul_wgmma

constexpr int matmul_ceil(int a, int b) { return (a + b - 1) / b; }
constexpr int matmul_min(int a, int b) { return a < b ? a : b; }
constexpr int matmul_max(int a, int b) { return a > b ? a : b; }
constexpr int matmul_kilobytes(int bytes) { return matmul_ceil(bytes, 1024) * 1024; }

constexpr int matmul_small_tokens(int tokens) { return tokens <= 8 ? 8 : tokens <= 16 ? 16 : tokens <= 32 ? 32 : 64; }

/// Most 16-row tiles of a block in a round, `shares` warps each: as many as leave a warp the registers for two groups of its tokens, of which
/// the compiler takes more behind Hopper.
constexpr int matmul_small_tiles_max(int tileTokens, int shares, bool hopper) {
  return shares > 1 ? (tileTokens == 32 ? 7 : 3) : tileTokens == 32 && !hopper ? 7 : 8;
}

/// Groups that matmul_small multiplies without a branch, of which a stage has a multiple. Where weights have few bits and a warp few tokens,
/// what is done once a run counts; where not, stages are better short.
constexpr int matmul_small_run(int groupBytes, int ownTokens) { return groupBytes < 2048 && ownTokens <= 16 ? 4 : 2; }

/// One block an SM, as many warps as share its tiles evenly in rounds. Four stages, so that three are under way while one is read; pieces of
/// 8 KB where an SM has few tiles, because what a stage costs the few warps then counts most. The exceptions are as measured: three stages and
/// pieces of 4 KB took the four products of four bits from 66.1 to 58.4 us at one token, pieces of 4 KB one of eight bits from 14.0 to 12.6 at
/// 32. A block takes more than half of an SM's shared memory. Beside one that still runs there is no room for one of the next kernel, which
/// would start reading its weights: it takes from the other more than it gains (bf16 242 -> 246 tokens/s of Llama 3.1 8B on an H200, fp8
/// 304 -> 350), although these products alone, after each other, gain by it.
constexpr MatmulPlan matmul_small_plan(int tokens, int shares, int n, int groupBytes, const MatmulDevice& device, int stages = 0,
                                       int pieceBytes = 0, int blockTiles = 0) {
  MatmulPlan plan{MatmulKernel::SMALL, matmul_small_tokens(tokens), shares, 0, 0, 0, 0, 0, 0, 0};
  int tiles = matmul_ceil(n, 16);
  plan.gridX = blockTiles > 0 ? matmul_ceil(tiles, blockTiles) : matmul_min(device.multiprocessors, tiles);
  plan.gridY = matmul_ceil(tokens, plan.tokens);
  int perBlock = matmul_ceil(tiles, plan.gridX);
  int round = matmul_ceil(perBlock, matmul_ceil(perBlock, matmul_small_tiles_max(plan.tokens, shares, device.wgmma)));
  plan.warps = round * shares;
  plan.block = 32 * (plan.warps + 1);
  int groupBytesAll = plan.tokens * 128 + round * groupBytes;
  int ringBytes = device.sharedBytesMax - 1024;
  bool bf16 = groupBytes == 2048, int4 = groupBytes < 1024;
  bool brief = round > 3 || (plan.tokens == 32 && shares == 1 && !bf16) || (plan.tokens == 8 && int4);
  if (pieceBytes == 0) pieceBytes = brief ? 4096 : 8192;
  if (stages == 0) stages = int4 && (plan.tokens == 8 || plan.tokens == 64) ? 3 : 4;
  plan.stageGroups = matmul_ceil(pieceBytes, groupBytes);
  int run = matmul_small_run(groupBytes, plan.tokens / shares);
  plan.stageGroups = matmul_ceil(plan.stageGroups, run) * run;
  while (plan.stageGroups > run && stages * matmul_kilobytes(plan.stageGroups * groupBytesAll) > ringBytes) plan.stageGroups /= 2;
  int stageBytes = matmul_kilobytes(plan.stageGroups * groupBytesAll);
  plan.stages = matmul_min(stages, ringBytes / stageBytes);
  plan.sharedBytes = matmul_max(plan.stages * stageBytes, matmul_min(MATMUL_SHARED_MIN, ringBytes));
  return plan;
}

/// Everything that a block may have of shared memory: with 64 blocks for a narrow matrix, each needs twice an SM's share in flight. Stages
/// are long where a group is soon multiplied.
constexpr MatmulPlan matmul_wgmma_plan(int tileTokens, int warpgroups, int tokens, int n, int groupBytes, const MatmulDevice& device,
                                       int stageGroups = 0) {
  MatmulPlan plan{MatmulKernel::WGMMA, tileTokens, warpgroups, 0, 0, 1, 128 * (warpgroups + 1), 0, 0, 0};
  int outputTiles = matmul_ceil(n, 64 * warpgroups) * matmul_ceil(tokens, tileTokens);
  plan.gridX = matmul_min(device.multiprocessors, outputTiles);
  if (stageGroups == 0) stageGroups = tileTokens > 128 ? 1 : tileTokens > 64 || warpgroups == 4 || warpgroups * groupBytes >= 4096 ? 2 : 4;
  plan.stageGroups = stageGroups;
  int stageBytes = matmul_kilobytes(plan.stageGroups * (tileTokens * 128 + 4 * warpgroups * groupBytes));
  int passBytes = warpgroups * MATMUL_PASS_BYTES;
  plan.stages = matmul_min(MATMUL_STAGES_MAX, (device.sharedBytesMax - 1024 - passBytes) / stageBytes);
  plan.sharedBytes = plan.stages * stageBytes + passBytes;
  return plan;
}

constexpr MatmulPlan matmul_tile_plan(int tileTokens, int tokens, int n, int groupBytes, int multiprocessors) {
  MatmulPlan plan{MatmulKernel::TILE, tileTokens, 0, 0, 0, 1, 0, 0, 0, 0};
  int tiles = matmul_ceil(n, 16);
  plan.warps = tileTokens == 128 ? 8 : matmul_max(1, matmul_min(4, matmul_ceil(tiles, multiprocessors)));
  plan.block = 32 * plan.warps;
  plan.stages = tileTokens == 8 ? 8 : tileTokens == 16 ? 6 : tileTokens == 32 ? 5 : tileTokens == 64 ? 4 : 3;
  plan.gridX = matmul_ceil(tiles, plan.warps) * matmul_ceil(tokens, tileTokens);
  plan.sharedBytes = plan.stages * (tileTokens * 128 + plan.warps * groupBytes);
  return plan;
}

/// Whether so many output tiles keep the GPU busy enough.
constexpr bool matmul_fills(int n, int rows, int tokens, int tileTokens, int multiprocessors) {
  return matmul_ceil(n, rows) * matmul_ceil(tokens, tileTokens) * 10 >= multiprocessors * 7;
}

/// Up to 64 tokens on Hopper, where wgmma serves: with so many warpgroups a block, rounds of output tiles times what one takes beside the
/// others, as measured (four warpgroups have too few registers and too short stages for bf16).
constexpr int matmul_wgmma_cost(int n, int warpgroups, int groupBytes, int multiprocessors) {
  int rounds = matmul_ceil(matmul_ceil(n, 64 * warpgroups), multiprocessors);
  int pair = groupBytes == 2048 ? 5 : 4;
  return rounds * (warpgroups == 1 ? 3 : warpgroups == 2 ? pair : 7);
}

constexpr int matmul_wgmma_warpgroups(int n, int groupBytes, int multiprocessors) {
  int best = 1;
  for (int warpgroups = 2; warpgroups <= (groupBytes == 2048 ? 2 : 4); warpgroups *= 2)
    if (matmul_wgmma_cost(n, warpgroups, groupBytes, multiprocessors) < matmul_wgmma_cost(n, best, groupBytes, multiprocessors)) best = warpgroups;
  return best;
}

/// `tokens` is the padded maximum of a captured step; the kernels read the real number from memory.
constexpr MatmulPlan matmul_plan(int tokens, int n, int groupBytes, const MatmulDevice& device) {
  int sms = device.multiprocessors;
  int perBlock = matmul_ceil(matmul_ceil(n, 16), sms);
  if (device.bulk && tokens <= 32) {
    // Weights of fewer bits come faster than a warp multiplies 32 tokens with them: two share those of each tile, where there are few.
    return matmul_small_plan(tokens, tokens > 16 && perBlock <= 2 && groupBytes < 2048 ? 2 : 1, n, groupBytes, device);
  }
  if (device.wgmma) {
    if (tokens <= 64 && perBlock <= 3) return matmul_small_plan(tokens, 2, n, groupBytes, device);
    if (tokens <= 64) return matmul_wgmma_plan(64, matmul_wgmma_warpgroups(n, groupBytes, sms), tokens, n, groupBytes, device);
    // Where the 64-row tiles leave half of the SMs idle, two blocks share the tokens of each, and the weights in L2.
    if (tokens <= 128 && 2 * matmul_ceil(n, 64) <= sms) return matmul_wgmma_plan(64, 1, tokens, n, groupBytes, device);
    if (tokens > 128 && matmul_fills(n, 128, tokens, 256, sms)) return matmul_wgmma_plan(256, 2, tokens, n, groupBytes, device);
    return matmul_wgmma_plan(128, matmul_fills(n, 128, tokens, 128, sms) ? 2 : 1, tokens, n, groupBytes, device);
  }
  if (tokens > 64 && matmul_fills(n, 128, tokens, 128, sms)) return matmul_tile_plan(128, tokens, n, groupBytes, sms);
  return matmul_tile_plan(matmul_small_tokens(tokens), tokens, n, groupBytes, sms);
}
