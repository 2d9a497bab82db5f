// matmul_wgmma: batches and prefill on Hopper. Warpgroups multiply 64 weight rows x TOKENS tokens each.
//
// A block is one copying warp (its warpgroup is whole only because setmaxnreg wants that) and WARPGROUPS multiplying warpgroups, which share
// the tokens of a stage. Weights come from shared memory through registers (wgmma's A operand): their fragment order is what a lane reads
// with one 16-byte load a step, and weights of fewer bits become bf16 on the way. Tokens are wgmma's B operand, straight from the stage.
// One group of four wgmma is always under way: the next group's registers are loaded while it runs, and a stage goes back to the ring when
// the group behind it has begun.
//
//   TOKENS 256, 2 warpgroups   prefill: 128 x 256 outputs a block, tensor cores the limit. A stage of 64 k is 48 KB for 1024 cycles of them
//   TOKENS 64, 4               large N: 256 rows share the tokens
//   TOKENS 64-128, 2           large N: 128 rows share the tokens
//   TOKENS 64-128, 1 warpgroup small N: as many blocks as 64-row tiles, so that most SMs take part in reading the weights
//
// Blocks are persistent: grid min(SMs, tiles), each walks through its tiles while its copying warp is already ahead in the next one.
// block 128 * (WARPGROUPS + 1), dynamic shared memory: the ring, then 8704 bytes a warpgroup to hand results over. matmul_plan.h has it.
#include "matmul.cuh"

#if VERDIER_HAS_WGMMA

/// Tokens of one pass of the epilogue and floats between two of them: 64 rows and 4 more, so that a warp's stores meet no bank twice.
static const int PASS_TOKENS = 32;
static const int PASS_STRIDE = 68;

/// One warp's way through the ring.
template <class Format, int TOKENS>
struct WgmmaReader {
  const Ring<Format, TOKENS>& ring;
  int tile;  // of the block's, this warp's
  int lane;
  RingPlace place;
  int groupsLeft = 0;  // of the output tile, behind this stage
  int stageLeft = 0;   // of this stage
  const unsigned char* weights = nullptr;
  const unsigned char* tokens = nullptr;

  DEVICE WgmmaReader(const Ring<Format, TOKENS>& ring, int tile) : ring(ring), tile(tile), lane(threadIdx.x % 32) {}

  /// Loads the next group's weights and says where its tokens lie. `leaves` becomes the stage to release when the group has been
  /// multiplied, or -1.
  DEVICE void load(uint32_t (&a)[GROUP_STEPS][4], const unsigned char*& groupTokens, int& leaves) {
    if (stageLeft == 0) {
      ring.await(place);
      stageLeft = groupsLeft < ring.stageGroups ? groupsLeft : ring.stageGroups;
      groupsLeft -= stageLeft;
      weights = ring.weights(place.stage, tile, 0);
      tokens = ring.tokens(place.stage, 0);
    }
    typename Format::Lane raw;
    raw.load(weights, lane);
#pragma unroll
    for (int step = 0; step < GROUP_STEPS; step++) Format::fragment(raw, step, a[step]);
    groupTokens = tokens;
    weights += Format::GROUP_BYTES;
    tokens += ring.TOKEN_BYTES;
    leaves = -1;
    if (--stageLeft == 0) {
      leaves = place.stage;
      place.advance(ring.stages);
    }
  }
};

template <int TOKENS>
DEVICE void wgmma_group(float (&sums)[TOKENS / 2], const uint32_t (&a)[GROUP_STEPS][4], const unsigned char* tokens) {
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < GROUP_STEPS; step++) wgmma_rs<TOKENS>(sums, a[step], wgmma_descriptor(tokens, step));
  wgmma_commit();
}

/// All K of one output tile.
template <class Format, int TOKENS>
DEVICE void wgmma_tile(WgmmaReader<Format, TOKENS>& reader, int groups, float (&sums)[TOKENS / 2]) {
  uint32_t even[GROUP_STEPS][4], odd[GROUP_STEPS][4];
  const unsigned char* tokens;
  int leaves, before = -1;
  reader.groupsLeft = groups;
  reader.load(even, tokens, leaves);
  for (int group = 0; group < groups; group += 2) {
    wgmma_group<TOKENS>(sums, even, tokens);
    wgmma_wait<1>();
    if (before >= 0) reader.ring.release(before);
    before = leaves;
    if (group + 1 == groups) break;
    reader.load(odd, tokens, leaves);
    wgmma_group<TOKENS>(sums, odd, tokens);
    wgmma_wait<1>();
    if (before >= 0) reader.ring.release(before);
    before = leaves;
    if (group + 2 < groups) reader.load(even, tokens, leaves);
  }
  wgmma_wait<0>();
  wgmma_settled(sums);
  reader.ring.release(before);
}

/// f32 out, 256 bytes of a token in one piece: a thread has four rows of every eighth token of a pass.
struct WgmmaQuads {
  static const int COUNT = PASS_TOKENS / 8;

  int token, row;  // this thread's first, in the pass
  bool wide;       // 16 bytes at a time: aligned, and all four rows are real
  float4 old[COUNT];

  DEVICE WgmmaQuads(const Matmul& m, int row0) : token(threadIdx.x % 128 / 16), row(threadIdx.x % 16 * 4) {
    wide = m.outStride % 4 == 0 && reinterpret_cast<unsigned long long>(m.out) % 16 == 0 && row0 + row + 4 <= m.n;
  }

  DEVICE float* out(const Matmul& m, int row0, int token0) const {
    return static_cast<float*>(m.out) + static_cast<long>(token0 + token) * m.outStride + row0 + row;
  }

  /// What a pass adds to: asked for before the results change hands, so that the two overlap.
  DEVICE void readOld(const Matmul& m, int row0, int token0, int tokens) {
    const float* from = out(m, row0, token0);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      if (token + i * 8 < tokens) old[i] = *reinterpret_cast<const float4*>(from);
      from += 8l * m.outStride;
    }
  }

  DEVICE void write(const Matmul& m, const float* pass, int row0, int token0, int tokens) const {
    bool add = m.epilogue == EPILOGUE_ADD;
    float* to = out(m, row0, token0);
    const float* from = pass + token * PASS_STRIDE + row;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      if (token + i * 8 < tokens) {
        float4 v = *reinterpret_cast<const float4*>(from + i * 8 * PASS_STRIDE);
        if (wide) {
          if (add) v = make_float4(__fadd_rn(old[i].x, v.x), __fadd_rn(old[i].y, v.y), __fadd_rn(old[i].z, v.z), __fadd_rn(old[i].w, v.w));
          *reinterpret_cast<float4*>(to) = v;
        } else {
          writeSingly(to, v, m.n - row0 - row, add);
        }
      }
      to += 8l * m.outStride;
    }
  }

  DEVICE static void writeSingly(float* to, float4 v, int rows, bool add) {
    if (rows > 0) to[0] = add ? __fadd_rn(to[0], v.x) : v.x;
    if (rows > 1) to[1] = add ? __fadd_rn(to[1], v.y) : v.y;
    if (rows > 2) to[2] = add ? __fadd_rn(to[2], v.z) : v.z;
    if (rows > 3) to[3] = add ? __fadd_rn(to[3], v.w) : v.w;
  }
};

/// A thread writes 8 columns of the gate's operand, 16 bytes, of one token; four threads the 64 bytes that a warpgroup has of it.
DEVICE void wgmma_write_gate(const Matmul& m, const float* pass, int row0, int token0, int tokens) {
  int token = threadIdx.x % 128 / 4;
  int tile = threadIdx.x % 4;
  int column = row0 / 2 + tile * 8;
  if (token >= tokens || column >= m.n / 2) return;
  const float* gate = pass + token * PASS_STRIDE + tile * 16;
  float g[8];
  const float* added = m.added(token0 + token, row0 + tile * 16);
#pragma unroll
  for (int j = 0; j < 8; j++) {
    float low = added != nullptr ? __fadd_rn(gate[j], added[j]) : gate[j];
    float high = added != nullptr ? __fadd_rn(gate[8 + j], added[8 + j]) : gate[8 + j];
    g[j] = gated(low, high);
  }
  bf16* out = operand_at(m.out, m.outStride, token0 + token, column);
  if (column + 8 <= m.n / 2) {
    *reinterpret_cast<uint4*>(out) = make_uint4(pack2(g[0], g[1]), pack2(g[2], g[3]), pack2(g[4], g[5]), pack2(g[6], g[7]));
    return;
  }
#pragma unroll
  for (int j = 0; j < 8; j++) {
    if (column + j < m.n / 2) out[j] = from_float_rn(g[j]);
  }
}

/// The accumulators change hands in passes of 32 tokens: from registers that hold two tokens of two rows to threads that hold neighbouring
/// rows of one token, by 64 x 32 floats of shared memory that belong to this warpgroup.
template <int TOKENS>
DEVICE void wgmma_epilogue(const Matmul& m, const float (&sums)[TOKENS / 2], float* pass, int row0, int token0, int rows) {
  int warpgroup = threadIdx.x / 128;
  int lane = threadIdx.x % 32;
  int inRow = threadIdx.x % 128 / 32 * 16 + lane / 4;
  int row = row0 + inRow;
  bool real = row < m.tiles() * 16;
  float scaleLow = m.scales != nullptr && real ? m.scales[row] : 1.0f;
  float scaleHigh = m.scales != nullptr && real ? m.scales[row + 8] : 1.0f;
  float biasLow = m.bias != nullptr && real ? m.bias[row] : 0.0f;
  float biasHigh = m.bias != nullptr && real ? m.bias[row + 8] : 0.0f;

  WgmmaQuads quads(m, row0);
  bool add = m.epilogue == EPILOGUE_ADD && quads.wide;
#pragma unroll
  for (int first = 0; first < TOKENS; first += PASS_TOKENS) {
    int tokens = rows - token0 - first;
    if (tokens <= 0) break;
    if (tokens > PASS_TOKENS) tokens = PASS_TOKENS;
    if (add) quads.readOld(m, row0, token0 + first, tokens);
    barrier_sync(1 + warpgroup, 128);
#pragma unroll
    for (int j = 0; j < PASS_TOKENS / 8; j++) {
      const float* d = sums + (first / 8 + j) * 4;
      float* to = pass + (j * 8 + lane % 4 * 2) * PASS_STRIDE + inRow;
      to[0] = __fmaf_rn(d[0], scaleLow, biasLow);
      to[PASS_STRIDE] = __fmaf_rn(d[1], scaleLow, biasLow);
      to[8] = __fmaf_rn(d[2], scaleHigh, biasHigh);
      to[PASS_STRIDE + 8] = __fmaf_rn(d[3], scaleHigh, biasHigh);
    }
    barrier_sync(1 + warpgroup, 128);
    if (m.epilogue == EPILOGUE_GATE) {
      wgmma_write_gate(m, pass, row0, token0 + first, tokens);
    } else {
      quads.write(m, pass, row0, token0 + first, tokens);
    }
  }
}

/// A multiplying warp: all output tiles of its block.
template <class Format, int TOKENS, int WARPGROUPS>
DEVICE void wgmma_consume(const Matmul& m, const Ring<Format, TOKENS>& ring, TileSchedule<TOKENS, TOKENS <= 128> schedule) {
  pdl_wait();
  int rows = *m.counts;
  schedule.start(rows);
  int warpgroup = threadIdx.x / 128;
  float* pass = reinterpret_cast<float*>(ring.memory + m.stages * ring.stageBytes()) + warpgroup * PASS_TOKENS * PASS_STRIDE;
  WgmmaReader<Format, TOKENS> reader(ring, threadIdx.x / 32);
  Work work;
  while (schedule.next(work)) {
    float sums[TOKENS / 2];
#pragma unroll
    for (int i = 0; i < TOKENS / 2; i++) sums[i] = 0;
    wgmma_tile(reader, m.groups(), sums);
    wgmma_epilogue<TOKENS>(m, sums, pass, (work.firstTile + warpgroup * 4) * 16, work.token0, rows);
  }
}

template <class Format, int TOKENS, int WARPGROUPS>
DEVICE void matmul_wgmma(const Matmul& m) {
  DYNAMIC_SHARED(memory);
  SHARED mbarrier full[STAGES_MAX];
  SHARED mbarrier empty[STAGES_MAX];
  // 256 tokens, and four warpgroups, need what the copying warpgroup can give away. A block has 168 registers for each of 384 threads, or 96
  // for each of 640, and no more than that may be asked for: 168 * 384 = 224 * 256 + 56 * 128, 96 * 640 = 112 * 512 + 32 * 128.
  Ring<Format, TOKENS> ring{memory, full, empty, m.stages, m.stageGroups, WARPGROUPS * 4};
  ring.init(WARPGROUPS * 4);
  pdl_launch();
  TileSchedule<TOKENS, TOKENS <= 128> schedule(m, WARPGROUPS * 4);
  if (threadIdx.x >= WARPGROUPS * 128) {
    if (TOKENS == 256) registers_lower<56>();
    if (WARPGROUPS == 4) registers_lower<32>();
    if (threadIdx.x < WARPGROUPS * 128 + 32) ring.produce(m, schedule);
  } else {
    if (TOKENS == 256) registers_raise<224>();
    if (WARPGROUPS == 4) registers_raise<112>();
    wgmma_consume<Format, TOKENS, WARPGROUPS>(m, ring, schedule);
  }
}

#define MATMUL_WGMMA(name, Format, TOKENS, WARPGROUPS)                \
  KERNEL_BOUNDS(name, 128 * (WARPGROUPS + 1), 1, MATMUL_PARAMETERS) { \
    matmul_wgmma<Format, TOKENS, WARPGROUPS>(MATMUL_ARGUMENTS);       \
  }
#else
#define MATMUL_WGMMA(name, Format, TOKENS, WARPGROUPS) \
  KERNEL(name, MATMUL_PARAMETERS) { unsupported(); }
#endif

#define MATMUL_WGMMA_FORMAT(format, Format)                    \
  MATMUL_WGMMA(matmul_wgmma_##format##_64x1, Format, 64, 1)    \
  MATMUL_WGMMA(matmul_wgmma_##format##_64x2, Format, 64, 2)    \
  MATMUL_WGMMA(matmul_wgmma_##format##_128x1, Format, 128, 1)  \
  MATMUL_WGMMA(matmul_wgmma_##format##_128x2, Format, 128, 2)  \
  MATMUL_WGMMA(matmul_wgmma_##format##_256x2, Format, 256, 2)

// Four warpgroups have no registers and no room in the ring for weights of 16 bits.
#define MATMUL_WGMMA_FEW_BITS(format, Format) \
  MATMUL_WGMMA_FORMAT(format, Format)         \
  MATMUL_WGMMA(matmul_wgmma_##format##_64x4, Format, 64, 4)

MATMUL_WGMMA_FORMAT(bf16, Bf16Weights)
MATMUL_WGMMA_FEW_BITS(fp8, Fp8Weights)
MATMUL_WGMMA_FEW_BITS(int8, Int8Weights)
MATMUL_WGMMA_FEW_BITS(int4, Int4Weights)
