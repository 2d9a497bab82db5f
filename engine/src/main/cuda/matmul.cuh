// What the three matmul kernels share: weight formats, the ring that feeds them, the epilogues.
//
// All compute D[token][row] = epilogue(sum over k of W[row][k] * X[token][k]) with the one order of every matmul: one f32 accumulator an
// output, steps of 16 k ascending, from zero. W is the tensor core's A (16 rows a tile), the tokens are its B. Nothing below may depend on
// how many tokens there are or where a token lies in a tile: a kernel that did would break "the same request, the same tokens".
//
//   kernel          tokens a tile   for                                       needs
//   matmul_small    8 .. 64         decode: weights at the memory's speed     sm_90 (bulk copies)
//   matmul_wgmma    64 .. 256       batches from 33 tokens on, prefill        sm_90a
//   matmul_tile     8 .. 128        everything on other GPUs                  sm_80
//
// Which one serves what, with which grid and how many bytes of shared memory: matmul_plan.h.
#pragma once

#include "verdier.cuh"

/// k of one group: one 64-column chunk of the operand, four steps of a tensor core.
static const int GROUP_K = 64;
static const int GROUP_STEPS = 4;

// ---------------------------------------------------------------------------------------------------------------- weight formats
//
// A format says how many bytes a group (16 rows x 64 k) has in fragment order, what a lane reads of it and how a step's four A registers
// come out of that. A scale of the row follows in the epilogue.

/// What a lane reads of a group: 16 bytes in every 512.
template <int COUNT>
struct LaneWords {
  uint4 words[COUNT];

  DEVICE void load(const unsigned char* group, int lane) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) words[i] = *reinterpret_cast<const uint4*>(group + lane * 16 + i * 512);
  }
};

/// bf16: a step is 512 bytes, lane after lane 16 bytes, which are the four registers.
struct Bf16Weights {
  static const int GROUP_BYTES = 2048;
  typedef LaneWords<4> Lane;

  DEVICE static void fragment(const Lane& lane, int step, uint32_t (&a)[4]) {
    a[0] = lane.words[step].x;
    a[1] = lane.words[step].y;
    a[2] = lane.words[step].z;
    a[3] = lane.words[step].w;
  }
};

/// fp8 e4m3: two steps are 512 bytes, lane after lane 16 bytes: 8 of the first step, 8 of the second. A word holds two registers of one row,
/// k 0-7 and k 8-15 of the step (e4m3x4_pack).
struct Fp8Weights {
  static const int GROUP_BYTES = 1024;
  typedef LaneWords<2> Lane;

  DEVICE static void fragment(const Lane& lane, int step, uint32_t (&a)[4]) {
    const uint4& both = lane.words[step / 2];
    e4m3x4_to_bf16(step % 2 == 0 ? both.x : both.z, a[0], a[2]);
    e4m3x4_to_bf16(step % 2 == 0 ? both.y : both.w, a[1], a[3]);
  }
};

/// int8: words lie as in fp8, with bytes_pack, and their values are 64ths of the integers.
struct Int8Weights {
  static const int GROUP_BYTES = 1024;
  typedef LaneWords<2> Lane;

  DEVICE static void fragment(const Lane& lane, int step, uint32_t (&a)[4]) {
    const uint4& both = lane.words[step / 2];
    excess128x4_to_bf16(step % 2 == 0 ? both.x : both.z, a[0], a[2]);
    excess128x4_to_bf16(step % 2 == 0 ? both.y : both.w, a[1], a[3]);
  }
};

/// int4: 512 bytes of codes, then for the rows 0, 8, 1, 9, ... the value of code 0, a bf16. A lane has a word for two steps and one row: of
/// the first two and the upper row, the lower row, of the last two the same. A word's bits 0-3 of each half are k 0-7 of the first step, 4-7
/// are k 8-15, 8-11 and 12-15 those of the second. Values are zero * (8 - code) / 8, rounded to bf16.
struct Int4Weights {
  static const int GROUP_BYTES = 544;

  struct Lane {
    uint4 codes;
    uint32_t zeros;

    DEVICE void load(const unsigned char* group, int lane) {
      codes = *reinterpret_cast<const uint4*>(group + lane * 16);
      zeros = *reinterpret_cast<const uint32_t*>(group + 512 + lane / 4 * 4);
    }
  };

  DEVICE static void fragment(const Lane& lane, int step, uint32_t (&a)[4]) {
    uint32_t upper = step < 2 ? lane.codes.x : lane.codes.z;
    uint32_t lower = step < 2 ? lane.codes.y : lane.codes.w;
    int4x4_to_bf16(step % 2 == 0 ? upper : upper >> 8, Int4Scale(__byte_perm(lane.zeros, 0, 0x1010)), a[0], a[2]);
    int4x4_to_bf16(step % 2 == 0 ? lower : lower >> 8, Int4Scale(__byte_perm(lane.zeros, 0, 0x3232)), a[1], a[3]);
  }
};

/// Where in the swizzled rows [8][64] bf16 of 8 tokens a lane points ldmatrix for the group's first two steps: row lane%8, piece lane/8.
/// The first token's number must be a multiple of 8. For the last two steps, pieces 4-7, bit 6 is turned over.
DEVICE int token_offset(int lane) { return lane % 8 * 128 + ((lane / 8) ^ (lane % 8)) * 16; }

/// The B registers of 8 tokens for the four steps of a group: rows in shared memory and `token_offset`.
DEVICE void load_tokens(const unsigned char* rows, int offset, uint32_t (&b)[GROUP_STEPS][2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    uint32_t r[4];  // k 0-7, 8-15 of one step, the same of the next
    ldmatrix_x4(r, rows + (offset ^ (half * 64)));
    b[half * 2][0] = r[0];
    b[half * 2][1] = r[1];
    b[half * 2 + 1][0] = r[2];
    b[half * 2 + 1][1] = r[3];
  }
}

// ---------------------------------------------------------------------------------------------------------------- parameters

/// Every matmul entry point takes these, in this order.
///   weights       fragment order of the format, [Npad/16][Kpad/64] groups
///   scales        f32 a weight row, or null for 1; for whole 16-row tiles, because gate and up leave holes where they are not of 8 columns
///   bias          f32 a weight row, or null for 0; for whole tiles too
///   operand       bf16 [Kpad/64][operandRows][64] swizzled
///   out           EPILOGUE_STORE, EPILOGUE_ADD: f32 [rows][outStride]; EPILOGUE_GATE: the operand [.../64][outStride][64]
///   counts        counts[countIndex] tokens are real; outputs of others are not written
///   n, k          real weight rows (gate and up together) and columns
///   stages, stageGroups   the ring: how many stages, groups of 64 k a stage (matmul_tile has its own and ignores them)
///   addend, addendPlaces  EPILOGUE_GATE: what adapters add to gate and up before they meet, f32 [places][n], and the place of each token or
///                         -1 (lora.cu); null where no token has an adapter
#define MATMUL_PARAMETERS                                                                                                          \
  const void *weights, const float *scales, const float *bias, const void *operand, int operandRows, void *out, int outStride,   \
      const int *counts, int countIndex, int n, int k, int epilogue, int stages, int stageGroups, const float *addend,           \
      const int *addendPlaces

/// The same, for the functions behind the entry points.
struct Matmul {
  const unsigned char* weights;
  const float* scales;
  const float* bias;
  const unsigned char* operand;
  int operandRows;
  void* out;
  int outStride;
  const int* counts;  // at the right index
  int n;
  int k;
  int epilogue;
  int stages;
  int stageGroups;
  const float* addend;
  const int* addendPlaces;

  /// What is added to a token's row of the weights and those behind it; null for nothing.
  DEVICE const float* added(int token, int row) const {
    if (addend == nullptr || addendPlaces[token] < 0) return nullptr;
    return addend + static_cast<long>(addendPlaces[token]) * n + row;
  }

  /// 16-row tiles of real rows, groups of 64 k.
  DEVICE int tiles() const { return (n + 15) / 16; }
  DEVICE int groups() const { return (k + GROUP_K - 1) / GROUP_K; }
};

#define MATMUL_ARGUMENTS                                                                                                           \
  Matmul {                                                                                                                         \
    static_cast<const unsigned char*>(weights), scales, bias, static_cast<const unsigned char*>(operand), operandRows, out,       \
        outStride, counts + countIndex, n, k, epilogue, stages, stageGroups, addend, addendPlaces                                 \
  }

// ---------------------------------------------------------------------------------------------------------------- epilogues

static const int EPILOGUE_STORE = 0;  // out = acc * scale + bias
static const int EPILOGUE_ADD = 1;    // out += acc * scale + bias
static const int EPILOGUE_GATE = 2;   // operand = bf16(silu(gate) * up), gate and up interleaved by 8 rows

/// Explicit operations in every epilogue, so that no compiler contracts one kernel's sum differently from another's.
DEVICE float scaled(const Matmul& m, float sum, int row) {
  float scale = m.scales == nullptr ? 1.0f : m.scales[row];
  float bias = m.bias == nullptr ? 0.0f : m.bias[row];
  return __fmaf_rn(sum, scale, bias);
}

/// silu(gate) * up = gate / (1 + exp(-gate)) * up.
DEVICE float gated(float gate, float up) {
  float power = exp2_fast(__fmul_rn(gate, -1.4426950408889634f));
  return __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, power)), up);
}

/// One accumulator of m16n8k16 on its way from registers to memory: weight rows tile*16 + lane/4 (+8), tokens token0 + lane%4*2 (+1), d[0]
/// and d[1] the low row's. Eight lanes write eight rows of a token, a whole sector, which is all that a decode step needs.
struct Finish {
  int row;
  int token;

  DEVICE Finish(int tile, int token0) : row(tile * 16 + threadIdx.x % 32 / 4), token(token0 + threadIdx.x % 4 * 2) {}

  DEVICE float* out(const Matmul& m, int i) const { return static_cast<float*>(m.out) + static_cast<long>(token + i) * m.outStride + row; }

  /// What EPILOGUE_ADD adds to. It may be read long before the sum is there, when the memory would otherwise be waited for.
  DEVICE void readOld(const Matmul& m, int rows, float (&old)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      bool wanted = m.epilogue == EPILOGUE_ADD && token + i < rows;
      old[i] = wanted && row < m.n ? out(m, i)[0] : 0.0f;
      old[i + 2] = wanted && row + 8 < m.n ? out(m, i)[8] : 0.0f;
    }
  }

  DEVICE void write(const Matmul& m, int rows, const float (&d)[4], const float (&old)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (token + i >= rows) continue;
      float low = scaled(m, d[i], row);
      float high = scaled(m, d[i + 2], row + 8);
      if (m.epilogue == EPILOGUE_GATE) {
        int column = row / 16 * 8 + row % 16;
        if (column >= m.n / 2) continue;
        if (const float* added = m.added(token + i, row)) {
          low = __fadd_rn(low, added[0]);
          high = __fadd_rn(high, added[8]);
        }
        *operand_at(m.out, m.outStride, token + i, column) = from_float_rn(gated(low, high));
        continue;
      }
      bool add = m.epilogue == EPILOGUE_ADD;
      if (row < m.n) out(m, i)[0] = add ? __fadd_rn(old[i], low) : low;
      if (row + 8 < m.n) out(m, i)[8] = add ? __fadd_rn(old[i + 2], high) : high;
    }
  }
};

// ---------------------------------------------------------------------------------------------------------------- who does what

/// What a block has to do at a time: `tileCount` tiles of weights, firstTile, firstTile + tileStride, ..., and tokens from token0.
struct Work {
  int firstTile;
  int tileStride;
  int tileCount;
  int token0;
};

/// The output tiles of matmul_wgmma and matmul_tile, blockTiles * 16 weight rows x TOKENS tokens each: block b has tiles b, b + gridDim.x, ...
/// Up to 128 tokens wide, the weights are what is heavy: weight tiles vary fastest, every token tile reads them again. Wider, groups of
/// eight token tiles are walked through together, so that the blocks under way at any time share both their weights and their tokens in L2.
template <int TOKENS, bool WEIGHTS_FIRST>
struct TileSchedule {
  static const int TOGETHER = 2048 / TOKENS;

  int tiles;       // 16 rows each
  int blockTiles;  // of one output tile
  int across;      // output tiles across the weight rows
  int tokenTiles = 1;
  int item;

  DEVICE TileSchedule(const Matmul& m, int blockTiles)
      : tiles(m.tiles()),
        blockTiles(blockTiles),
        across((m.tiles() + blockTiles - 1) / blockTiles),
        item(static_cast<int>(blockIdx.x)) {}

  DEVICE void start(int rows) { tokenTiles = (rows + TOKENS - 1) / TOKENS; }

  /// The first tile is this block's, and has this place, whatever the number of tokens. With none at all it is worked through for nothing:
  /// its copies are under way.
  DEVICE bool early() const { return WEIGHTS_FIRST && item < across; }

  DEVICE Work earlyWork() const { return at(item, 0); }

  DEVICE bool next(Work& work) {
    int down = tokenTiles > 0 || !WEIGHTS_FIRST ? tokenTiles : 1;
    if (item >= across * down) return false;
    if (WEIGHTS_FIRST) {
      work = at(item % across, item / across);
    } else {
      int band = item / (across * TOGETHER);
      int inBand = item - band * across * TOGETHER;
      int together = down - band * TOGETHER < TOGETHER ? down - band * TOGETHER : TOGETHER;
      work = at(inBand / together, band * TOGETHER + inBand % together);
    }
    item += static_cast<int>(gridDim.x);
    return true;
  }

  DEVICE Work at(int rowTile, int tokenTile) const {
    int first = rowTile * blockTiles;
    int left = tiles - first;
    return Work{first, 1, left < blockTiles ? left : blockTiles, tokenTile * TOKENS};
  }
};

// ---------------------------------------------------------------------------------------------------------------- the ring
//
// sm_90: one warp copies ahead of those that multiply. A stage holds `stageGroups` groups of 64 k: first the tokens' pieces,
// [stageGroups][TOKENS][64] bf16, then the weight tiles' pieces, [tiles][stageGroups] groups, filled up to whole kilobytes. full[s] completes
// when the stage's bytes have arrived, empty[s] when every consuming warp has read them. Bulk copies cost one instruction for kilobytes, so
// that one warp keeps the tens of kilobytes in flight an SM needs at 1 us of latency. Of what a stage takes, a lane issues one or two: by a
// single thread it was the issuing that all waited for, the more so the fewer bytes weights have.

static const int STAGES_MAX = 16;

/// A place in the ring. The parity is that of the stage's full barrier.
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;

  DEVICE void advance(int stages) {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

template <class Format, int TOKENS>
struct Ring {
  static const int TOKEN_BYTES = TOKENS * 128;  // of one group

  unsigned char* memory;
  mbarrier* full;
  mbarrier* empty;
  int stages;
  int stageGroups;
  int tiles;  // of a full stage

  /// Whole kilobytes, so that every stage's tokens lie as the swizzle of wgmma wants them.
  DEVICE int stageBytes() const { return (stageGroups * (TOKEN_BYTES + tiles * Format::GROUP_BYTES) + 1023) / 1024 * 1024; }

  DEVICE const unsigned char* tokens(int stage, int group) const { return memory + stage * stageBytes() + group * TOKEN_BYTES; }

  DEVICE unsigned char* weights(int stage, int tile, int group) const {
    return memory + stage * stageBytes() + stageGroups * TOKEN_BYTES + (tile * stageGroups + group) * Format::GROUP_BYTES;
  }

#if VERDIER_HAS_BULK
  /// By all threads, before anything else. `consumers` are the warps that read.
  DEVICE void init(int consumers) const {
    if (threadIdx.x == 0) {
      for (int i = 0; i < stages; i++) {
        mbar_init(full + i, 1);
        mbar_init(empty + i, consumers);
      }
    }
    __syncthreads();
  }

  DEVICE int groupsOf(const Matmul& m, int chunk) const { return min(stageGroups, m.groups() - chunk * stageGroups); }

  DEVICE int weightBytes(const Matmul& m, const Work& work, int chunk) const {
    return groupsOf(m, chunk) * work.tileCount * Format::GROUP_BYTES;
  }

  /// Of a group, of the tokens that are real: what else a stage holds makes outputs that nobody reads. At least one, for work begun early.
  DEVICE static int tokenBytes(const Work& work, int rows) { return max(1, min(TOKENS, rows - work.token0)) * 128; }

  DEVICE void copyWeights(const Matmul& m, const Work& work, int chunk, int stage) const {
    int bytes = groupsOf(m, chunk) * Format::GROUP_BYTES;
#pragma unroll 1
    for (int i = threadIdx.x % 32; i < work.tileCount; i += 32) {
      long group = static_cast<long>(work.firstTile + i * work.tileStride) * m.groups() + chunk * stageGroups;
      bulk_copy(weights(stage, i, 0), m.weights + group * Format::GROUP_BYTES, bytes, full + stage);
    }
  }

  /// By the lanes that have no weights to copy, as far as there are such.
  DEVICE void copyTokens(const Matmul& m, const Work& work, int bytes, int chunk, int stage) const {
    int groups = groupsOf(m, chunk);
#pragma unroll 1
    for (int i = 31 - threadIdx.x % 32; i < groups; i += 32) {
      long row = static_cast<long>(chunk * stageGroups + i) * m.operandRows + work.token0;
      bulk_copy(memory + stage * stageBytes() + i * TOKEN_BYTES, m.operand + row * 128, bytes, full + stage);
    }
  }

  /// The copying warp's whole life. `early` is work that this block has whatever the number of tokens: its weights are asked for before
  /// the kernel before this one has ended, because they do not depend on it.
  template <class Schedule>
  DEVICE void produce(const Matmul& m, Schedule schedule) const {
    bool leads = threadIdx.x % 32 == 0;
    int chunks = (m.groups() + stageGroups - 1) / stageGroups;
    int begun = schedule.early() ? min(stages, chunks) : 0;
    Work work = schedule.earlyWork();
    for (int chunk = 0; chunk < begun; chunk++) {
      if (leads) mbar_expect_more(full + chunk, weightBytes(m, work, chunk));
      __syncwarp();
      copyWeights(m, work, chunk, chunk);
    }
    pdl_wait();
    int rows = *m.counts;
    int bytes = tokenBytes(work, rows);
    RingPlace place;
    for (int chunk = 0; chunk < begun; chunk++, place.advance(stages)) {
      if (leads) mbar_expect_tx(full + chunk, groupsOf(m, chunk) * bytes);
      __syncwarp();
      copyTokens(m, work, bytes, chunk, chunk);
    }
    schedule.start(rows);
    for (; schedule.next(work); begun = 0) {
      bytes = tokenBytes(work, rows);
      for (int chunk = begun; chunk < chunks; chunk++, place.advance(stages)) {
        mbar_wait(empty + place.stage, place.parity ^ 1);
        if (leads) mbar_expect_tx(full + place.stage, groupsOf(m, chunk) * bytes + weightBytes(m, work, chunk));
        __syncwarp();
        copyWeights(m, work, chunk, place.stage);
        copyTokens(m, work, bytes, chunk, place.stage);
      }
    }
  }

  /// Until the stage's bytes are there.
  DEVICE void await(const RingPlace& place) const { mbar_wait(full + place.stage, place.parity); }

  /// By a whole warp: this warp does not read the stage again.
  DEVICE void release(int stage) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) mbar_arrive(empty + stage);
  }
#endif
};
