// matmul_small: decode. Weights at the memory's speed for 8, 16, 32 or 64 tokens, by mma.sync.
//
// A block is one copying warp and `blockDim / 32 - 1` multiplying warps. A multiplying warp owns 16 weight rows at a time over the whole K,
// because the sum of an output has one order and is not split: for N = 4096 the whole card has 256 such warps, two an SM, and each must
// take 18 GB/s. What lets it:
//   - the ring: the copying thread keeps stages of kilobytes in flight, and starts on the weights while the kernel before this one runs;
//   - the chain of dependent instructions (mma on the one accumulator, 33 cycles a step of 512 bytes, so 15 bytes a cycle and warp of bf16)
//     is never interrupted: the next group's registers are loaded after the group's first mma was issued, in the shadow of its latency.
// With 64 tokens there are eight such chains a tile, and what binds is L2: every block reads all tokens in every round of its tiles,
// tokens * K * 2 bytes. Seven warps a block and not eight leave each the registers for two groups.
// A block's tiles lie gridDim.x apart, so that one block an SM has the same number of tiles everywhere, give or take one.
//
// grid (blocks of weight tiles, token tiles), block 32 * (multiplying warps + 1), dynamic shared memory the ring. Bytes: N*K weights once,
// tokens * K * 2 a block from L2. Called through the plan in matmul_plan.h.
#include "matmul.cuh"

#if VERDIER_HAS_BULK

/// A block's weight tiles, round after round, so many a round.
struct SmallSchedule {
  int tiles;
  int round;
  int token0;
  int nextTile;

  DEVICE SmallSchedule(const Matmul& m, int round, int tokens)
      : tiles(m.tiles()), round(round), token0(static_cast<int>(blockIdx.y) * tokens), nextTile(static_cast<int>(blockIdx.x)) {}

  DEVICE void start(int) {}

  DEVICE bool early() const { return nextTile < tiles; }

  DEVICE Work earlyWork() const {
    int stride = static_cast<int>(gridDim.x);
    int left = (tiles - nextTile + stride - 1) / stride;
    return Work{nextTile, stride, left < round ? left : round, token0};
  }

  DEVICE bool next(Work& work) {
    if (nextTile >= tiles) return false;
    work = earlyWork();
    nextTile += round * static_cast<int>(gridDim.x);
    return true;
  }
};

/// The registers of one group: a tile's weights as they lie in memory and the tokens' fragments.
template <class Format, int TOKENS>
struct SmallGroup {
  uint4 weights[Format::GROUP_LOADS];
  uint32_t tokens[TOKENS / 8][GROUP_STEPS][2];

  DEVICE void step(int step, float (&sums)[TOKENS / 8][4]) const {
    uint32_t a[4];
    Format::fragment(weights, step, a);
#pragma unroll
    for (int j = 0; j < TOKENS / 8; j++) mma16816(sums[j], a, tokens[j][step][0], tokens[j][step][1]);
  }
};

/// Where a multiplying warp reads next: open, weights, tokens, close for each group, in turn.
template <class Format, int TOKENS>
struct SmallReader {
  const Ring<Format, TOKENS>& ring;
  int tile;  // of a stage's, this warp's
  int lane;
  int tokenOffset;
  RingPlace place;
  int groupsLeft = 0;   // of the tile, behind this stage
  int stageLeft = 0;    // of this stage
  const unsigned char* weights = nullptr;  // of the next group, this lane's
  const unsigned char* tokens = nullptr;   // of the next group

  DEVICE SmallReader(const Ring<Format, TOKENS>& ring, int tile)
      : ring(ring), tile(tile), lane(threadIdx.x % 32), tokenOffset(token_offset(lane)) {}

  DEVICE void open() {
    if (stageLeft > 0) return;
    ring.await(place);
    stageLeft = groupsLeft < ring.stageGroups ? groupsLeft : ring.stageGroups;
    groupsLeft -= stageLeft;
    weights = ring.weights(place.stage, tile, 0) + lane * 16;
    tokens = ring.tokens(place.stage, 0);
  }

  DEVICE void loadWeights(SmallGroup<Format, TOKENS>& group) {
    load_group<Format>(weights, group.weights);
    weights += Format::GROUP_BYTES;
  }

  DEVICE void loadTokens(SmallGroup<Format, TOKENS>& group) {
#pragma unroll
    for (int j = 0; j < TOKENS / 8; j++) load_tokens(tokens + j * 1024, tokenOffset, group.tokens[j]);
    tokens += ring.TOKEN_BYTES;
  }

  DEVICE void close() {
    if (--stageLeft > 0) return;
    ring.release(place.stage);
    place.advance(ring.stages);
  }

  /// A warp that has no tile in this round passes the stages by.
  DEVICE void pass(int groups) {
    for (int group = 0; group < groups; group += ring.stageGroups) {
      ring.await(place);
      ring.release(place.stage);
      place.advance(ring.stages);
    }
  }
};

/// Multiplies one group and fills the next one's registers meanwhile: each step leaves the warp some twenty cycles until the accumulator
/// is there, in which the parts of the load are issued.
template <class Format, int TOKENS>
DEVICE void small_turn(SmallReader<Format, TOKENS>& reader, const SmallGroup<Format, TOKENS>& now, SmallGroup<Format, TOKENS>& next,
                       float (&sums)[TOKENS / 8][4]) {
  now.step(0, sums);
  reader.open();
  now.step(1, sums);
  reader.loadWeights(next);
  now.step(2, sums);
  reader.loadTokens(next);
  now.step(3, sums);
  reader.close();
}

/// All K of one tile. Two sets of registers take turns.
template <class Format, int TOKENS>
DEVICE void small_tile(SmallReader<Format, TOKENS>& reader, int groups, float (&sums)[TOKENS / 8][4]) {
  SmallGroup<Format, TOKENS> even, odd;
  reader.groupsLeft = groups;
  reader.open();
  reader.loadWeights(even);
  reader.loadTokens(even);
  reader.close();
  int group = 0;
  for (; group + 2 < groups; group += 2) {
    small_turn(reader, even, odd, sums);
    small_turn(reader, odd, even, sums);
  }
  if (group + 1 < groups) {
    small_turn(reader, even, odd, sums);
    even = odd;
  }
#pragma unroll
  for (int step = 0; step < GROUP_STEPS; step++) even.step(step, sums);
}

/// The epilogue of one tile, 32 tokens at a time.
template <int EIGHTS>
DEVICE void small_finish(const Matmul& m, int tile, int token0, int rows, const float (&sums)[EIGHTS][4]) {
  const int TOGETHER = EIGHTS < 4 ? EIGHTS : 4;
#pragma unroll
  for (int first = 0; first < EIGHTS; first += TOGETHER) {
    float old[TOGETHER][4];
#pragma unroll
    for (int j = 0; j < TOGETHER; j++) Finish(tile, token0 + (first + j) * 8).readOld(m, rows, old[j]);
#pragma unroll
    for (int j = 0; j < TOGETHER; j++) Finish(tile, token0 + (first + j) * 8).write(m, rows, sums[first + j], old[j]);
  }
}

template <class Format, int TOKENS>
DEVICE void matmul_small(const Matmul& m) {
  DYNAMIC_SHARED(memory);
  SHARED mbarrier full[STAGES_MAX];
  SHARED mbarrier empty[STAGES_MAX];
  int warps = static_cast<int>(blockDim.x) / 32 - 1;
  int warp = static_cast<int>(threadIdx.x) / 32;
  Ring<Format, TOKENS> ring{memory, full, empty, m.stages, m.stageGroups, warps};
  ring.init(warps);
  pdl_launch();

  SmallSchedule schedule(m, warps, TOKENS);
  if (warp == warps) {
    if (threadIdx.x % 32 == 0) ring.produce(m, schedule);
    return;
  }
  pdl_wait();
  int rows = *m.counts;
  SmallReader<Format, TOKENS> reader(ring, warp);
  Work work;
  while (schedule.next(work)) {
    if (warp >= work.tileCount) {
      reader.pass(m.groups());
      continue;
    }
    int tile = work.firstTile + warp * work.tileStride;
    float sums[TOKENS / 8][4] = {};
    if (TOKENS <= 32) {
      // What is added to is asked for early, while there are registers for it.
      float old[TOKENS / 8][4];
#pragma unroll
      for (int j = 0; j < TOKENS / 8; j++) Finish(tile, work.token0 + j * 8).readOld(m, rows, old[j]);
      small_tile(reader, m.groups(), sums);
#pragma unroll
      for (int j = 0; j < TOKENS / 8; j++) Finish(tile, work.token0 + j * 8).write(m, rows, sums[j], old[j]);
      continue;
    }
    small_tile(reader, m.groups(), sums);
    small_finish<TOKENS / 8>(m, tile, work.token0, rows, sums);
  }
}

#define MATMUL_SMALL(name, Format, TOKENS) \
  KERNEL_BOUNDS(name, TOKENS == 64 ? 256 : 288, 1, MATMUL_PARAMETERS) { matmul_small<Format, TOKENS>(MATMUL_ARGUMENTS); }
#else
#define MATMUL_SMALL(name, Format, TOKENS) \
  KERNEL(name, MATMUL_PARAMETERS) { unsupported(); }
#endif

#define MATMUL_SMALL_FORMAT(format, Format)             \
  MATMUL_SMALL(matmul_small_##format##_8, Format, 8)    \
  MATMUL_SMALL(matmul_small_##format##_16, Format, 16)  \
  MATMUL_SMALL(matmul_small_##format##_32, Format, 32)  \
  MATMUL_SMALL(matmul_small_##format##_64, Format, 64)

MATMUL_SMALL_FORMAT(bf16, Bf16Weights)
MATMUL_SMALL_FORMAT(fp8, Fp8Weights)
MATMUL_SMALL_FORMAT(int8, Int8Weights)
