// matmul_small: decode. Weights at the memory's speed for 8, 16, 32 or 64 tokens, by mma.sync.
//
// A block is one copying warp and `blockDim / 32 - 1` multiplying warps. A multiplying warp owns 16 weight rows at a time over the whole K,
// because the sum of an output has one order and is not split: for N = 4096 the whole card has 256 such warps, two an SM, and each must
// take 18 GB/s. What lets it:
//   - the ring: the copying warp keeps stages of kilobytes in flight, and starts on the weights while the kernel before this one runs;
//   - the chain of dependent instructions (mma on the one accumulator, 33 cycles a step of 512 bytes, so 15 bytes a cycle and warp of bf16)
//     is not interrupted: two groups, eight steps, are one run of instructions without a branch, in which the compiler finds for loads,
//     conversions and pointers the cycles in which a step waits for the one before it.
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
  typename Format::Lane weights;
  uint32_t tokens[TOKENS / 8][GROUP_STEPS][2];
};

/// A multiplying warp's way through the ring, two groups at a time: stages have an even number of groups. Of a last pair that is not one, the
/// second group is read and not used.
template <class Format, int TOKENS>
struct SmallReader {
  typedef SmallGroup<Format, TOKENS> Group;

  /// Where a pair lies, in bytes from the ring's beginning.
  struct Pair {
    int weights;
    int tokens;
    int stage;
    bool ends;  // the stage
  };

  const Ring<Format, TOKENS>& ring;
  int lane;
  int tokenOffset;
  int weightsStart;   // in a stage, this warp's
  RingPlace place;    // of the pair that `take` gives next
  int stageLeft = 0;  // groups of that stage, from that pair on
  int weights = 0;    // of that pair
  int tokens = 0;

  DEVICE SmallReader(const Ring<Format, TOKENS>& ring, int tile)
      : ring(ring),
        lane(threadIdx.x % 32),
        tokenOffset(token_offset(lane)),
        weightsStart(ring.stageGroups * (ring.TOKEN_BYTES + tile * Format::GROUP_BYTES)) {}

  DEVICE void loadWeights(Group& group, int at) { group.weights.load(ring.memory + at, lane); }

  DEVICE void loadTokens(Group& group, int at) {
#pragma unroll
    for (int j = 0; j < TOKENS / 8; j++) load_tokens(ring.memory + at + j * 1024, tokenOffset, group.tokens[j]);
  }

  /// To the beginning of the next stage, for a tile that begins.
  DEVICE void open() {
    stageLeft = ring.stageGroups;
    tokens = place.stage * ring.stageBytes();
    weights = tokens + weightsStart;
  }

  /// The next pair, and on to the one behind it: by selections, not branches.
  DEVICE Pair take() {
    bool ends = stageLeft == 2;
    Pair pair{weights, tokens, place.stage, ends};
    int stage = place.stage + 1 == ring.stages ? 0 : place.stage + 1;
    uint32_t parity = place.parity ^ (stage == 0 ? 1 : 0);
    place.stage = ends ? stage : place.stage;
    place.parity = ends ? parity : place.parity;
    int start = place.stage * ring.stageBytes();
    weights = ends ? start + weightsStart : weights + 2 * Format::GROUP_BYTES;
    tokens = ends ? start : tokens + 2 * ring.TOKEN_BYTES;
    stageLeft = ends ? ring.stageGroups : stageLeft - 2;
    return pair;
  }

  /// A warp that has no tile in this round passes the stages by.
  DEVICE void pass(int groups) {
    for (int group = 0; group < groups; group += ring.stageGroups) {
      ring.await(place);
      ring.release(place.stage);
      place.advance(ring.stages);
    }
  }

  /// The four steps of `now`, whose first one's weights are in `a` already; those of `next` are there afterwards. Each step's are converted
  /// while the step before it is multiplied.
  DEVICE void steps(const Group& now, const Group& next, uint32_t (&a)[4], float (&sums)[TOKENS / 8][4]) {
#pragma unroll
    for (int step = 0; step < GROUP_STEPS; step++) {
#pragma unroll
      for (int j = 0; j < TOKENS / 8; j++) mma16816(sums[j], a, now.tokens[j][step][0], now.tokens[j][step][1]);
      if (step + 1 < GROUP_STEPS) {
        Format::fragment(now.weights, step + 1, a);
      } else {
        Format::fragment(next.weights, 0, a);
      }
    }
  }

  /// All K of one tile. While a pair is multiplied, the next one's registers are loaded, and it is asked whether the stage of the one after
  /// that is there: only where it is not yet does the loop stop to wait.
  DEVICE void multiply(int groups, float (&sums)[TOKENS / 8][4]) {
    DEVICE_ASSERT(ring.stageGroups % 2 == 0);
    Group even, odd;
    uint32_t a[4];
    ring.await(place);
    open();
    Pair now = take();
    loadWeights(even, now.weights);
    loadWeights(odd, now.weights + Format::GROUP_BYTES);
    loadTokens(even, now.tokens);
    Format::fragment(even.weights, 0, a);
    int group = 2;
    while (group < groups) {
      ring.await(place);
      bool ready;
      do {
        loadTokens(odd, now.tokens + ring.TOKEN_BYTES);
        steps(even, odd, a, sums);
        Pair next = take();
        ready = mbar_test(ring.full + place.stage, place.parity);
        __syncwarp();
        mbar_arrive_if(ring.empty + now.stage, now.ends && lane == 0);
        loadWeights(even, next.weights);
        loadTokens(even, next.tokens);
        steps(odd, even, a, sums);
        loadWeights(odd, next.weights + Format::GROUP_BYTES);
        now = next;
        group += 2;
      } while (ready && group < groups);
    }

    bool both = groups % 2 == 0;
    if (both) loadTokens(odd, now.tokens + ring.TOKEN_BYTES);
    ring.release(now.stage);
    if (!now.ends) place.advance(ring.stages);
    steps(even, odd, a, sums);
    if (both) steps(odd, odd, a, sums);
  }
};

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
    ring.produce(m, schedule);
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
      reader.multiply(m.groups(), sums);
#pragma unroll
      for (int j = 0; j < TOKENS / 8; j++) Finish(tile, work.token0 + j * 8).write(m, rows, sums[j], old[j]);
      continue;
    }
    reader.multiply(m.groups(), sums);
    small_finish<TOKENS / 8>(m, tile, work.token0, rows, sums);
  }
}

#define MATMUL_SMALL(name, Format, TOKENS)                                       \
  KERNEL_BOUNDS(name, TOKENS == 64 ? 256 : 288, 1, MATMUL_PARAMETERS) {          \
    matmul_small<Format, TOKENS>(MATMUL_ARGUMENTS);                              \
  }
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
MATMUL_SMALL_FORMAT(int4, Int4Weights)
