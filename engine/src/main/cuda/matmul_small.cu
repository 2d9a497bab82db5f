// matmul_small: decode. Weights at the memory's speed for 8, 16, 32 or 64 tokens, by mma.sync.
//
// A block is one copying warp and `blockDim / 32 - 1` multiplying warps. A multiplying warp owns 16 weight rows at a time over the whole K,
// because the sum of an output has one order and is not split: for N = 4096 the whole card has 256 such warps, two an SM, and each must
// take 18 GB/s. What lets it:
//   - the ring: the copying warp keeps stages of kilobytes in flight, and starts on the weights while the kernel before this one runs;
//   - the chain of dependent instructions (mma on the one accumulator, 33 cycles a step of 512 bytes, so 15 bytes a cycle and warp of bf16)
//     is not interrupted: two groups, eight steps, or four, are one run of instructions without a branch, in which the compiler finds for
//     loads, conversions and pointers the cycles in which a step waits for the one before it.
// With 64 tokens there are eight such chains a tile, which are more than one warp issues in the time of a step: SHARES warps share the tokens
// of each. All of them read and convert the tile's weights, from shared memory. What binds then is L2, from which each block reads all tokens;
// where an SM has many tiles, matmul_wgmma serves, which reads them from shared memory once for 64 rows.
// A block's tiles lie gridDim.x apart, so that one block an SM has the same number of tiles everywhere, give or take one.
//
// grid (blocks of weight tiles, token tiles), block 32 * (multiplying warps + 1), dynamic shared memory the ring. Bytes: N*K weights once,
// tokens * K * 2 a block from L2. Called through the plan in matmul_plan.h.
#include "matmul.cuh"

#include "matmul_plan.h"

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

/// A multiplying warp's way through the ring, RUN groups at a time: that many, two or four, a stage has or a multiple. Of a last run that is
/// not whole, one group more is read and not used. The warp takes OWN of the TOKENS.
template <class Format, int TOKENS, int OWN, int RUN>
struct SmallReader {
  typedef SmallGroup<Format, OWN> Group;

  /// Where a run lies, in bytes from the ring's beginning.
  struct Run {
    int weights;
    int tokens;
    int stage;
    bool ends;  // the stage
  };

  const Ring<Format, TOKENS>& ring;
  int lane;
  int tokenOffset;    // in a group, with this warp's first token
  int weightsStart;   // in a stage, this warp's
  RingPlace place;    // of the run that `take` gives next
  int stageLeft = 0;  // groups of that stage, from that run on
  int weights = 0;    // of that run
  int tokens = 0;

  DEVICE SmallReader(const Ring<Format, TOKENS>& ring, int tile, int firstToken)
      : ring(ring),
        lane(threadIdx.x % 32),
        tokenOffset(firstToken * 128 + token_offset(lane)),
        weightsStart(ring.stageGroups * (ring.TOKEN_BYTES + tile * Format::GROUP_BYTES)) {}

  DEVICE void loadWeights(Group& group, const Run& run, int index) {
    group.weights.load(ring.memory + run.weights + index * Format::GROUP_BYTES, lane);
  }

  DEVICE void loadTokens(Group& group, const Run& run, int index) {
#pragma unroll
    for (int j = 0; j < OWN / 8; j++)
      load_tokens(ring.memory + run.tokens + index * ring.TOKEN_BYTES + j * 1024, tokenOffset, group.tokens[j]);
  }

  /// To the beginning of the next stage, for a tile that begins.
  DEVICE void open() {
    stageLeft = ring.stageGroups;
    tokens = place.stage * ring.stageBytes();
    weights = tokens + weightsStart;
  }

  /// The next run, and on to the one behind it: by selections, not branches.
  DEVICE Run take() {
    bool ends = stageLeft == RUN;
    Run run{weights, tokens, place.stage, ends};
    int stage = place.stage + 1 == ring.stages ? 0 : place.stage + 1;
    uint32_t parity = place.parity ^ (stage == 0 ? 1 : 0);
    place.stage = ends ? stage : place.stage;
    place.parity = ends ? parity : place.parity;
    int start = place.stage * ring.stageBytes();
    weights = ends ? start + weightsStart : weights + RUN * Format::GROUP_BYTES;
    tokens = ends ? start : tokens + RUN * ring.TOKEN_BYTES;
    stageLeft = ends ? ring.stageGroups : stageLeft - RUN;
    return run;
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
  DEVICE void steps(const Group& now, const Group& next, uint32_t (&a)[4], float (&sums)[OWN / 8][4]) {
#pragma unroll
    for (int step = 0; step < GROUP_STEPS; step++) {
#pragma unroll
      for (int j = 0; j < OWN / 8; j++) mma16816(sums[j], a, now.tokens[j][step][0], now.tokens[j][step][1]);
      if (step + 1 < GROUP_STEPS) {
        Format::fragment(now.weights, step + 1, a);
      } else {
        Format::fragment(next.weights, 0, a);
      }
    }
  }

  /// All K of one tile. While a group is multiplied, the next one's registers are loaded, and with each run it is asked whether the stage of
  /// the one after the next is there: only where it is not yet does the loop stop to wait.
  DEVICE void multiply(int groups, float (&sums)[OWN / 8][4]) {
    DEVICE_ASSERT(ring.stageGroups % RUN == 0);
    Group even, odd;
    uint32_t a[4];
    ring.await(place);
    open();
    Run now = take();
    loadWeights(even, now, 0);
    loadWeights(odd, now, 1);
    loadTokens(even, now, 0);
    Format::fragment(even.weights, 0, a);
    int group = RUN;
    while (group < groups) {
      ring.await(place);
      bool ready;
      do {
#pragma unroll
        for (int i = 0; i + 2 < RUN; i += 2) {
          loadTokens(odd, now, i + 1);
          steps(even, odd, a, sums);
          loadWeights(even, now, i + 2);
          loadTokens(even, now, i + 2);
          steps(odd, even, a, sums);
          loadWeights(odd, now, i + 3);
        }
        loadTokens(odd, now, RUN - 1);
        steps(even, odd, a, sums);
        Run next = take();
        ready = mbar_test(ring.full + place.stage, place.parity);
        __syncwarp();
        mbar_arrive_if(ring.empty + now.stage, now.ends && lane == 0);
        loadWeights(even, next, 0);
        loadTokens(even, next, 0);
        steps(odd, even, a, sums);
        loadWeights(odd, next, 1);
        now = next;
        group += RUN;
      } while (ready && group < groups);
    }
    last(now, groups + RUN - group, even, odd, a, sums);
    if (!now.ends) place.advance(ring.stages);
  }

  /// The last run, of `left` groups. Its stage goes back before the last pair is multiplied.
  DEVICE void last(const Run& now, int left, Group& even, Group& odd, uint32_t (&a)[4], float (&sums)[OWN / 8][4]) {
#pragma unroll
    for (int i = 0; i < RUN && i < left; i += 2) {
      if (i + 1 < left) loadTokens(odd, now, i + 1);
      if (i + 2 >= left) ring.release(now.stage);
      steps(even, odd, a, sums);
      if (i + 2 < RUN && i + 2 < left) {
        loadWeights(even, now, i + 2);
        loadTokens(even, now, i + 2);
      }
      if (i + 1 < left) steps(odd, even, a, sums);
      if (i + 2 < RUN && i + 2 < left) loadWeights(odd, now, i + 3);
    }
  }
};

/// The run of the plan, as a constant of the device.
template <class Format, int OWN>
struct SmallRun {
  static const int GROUPS = matmul_small_run(Format::GROUP_BYTES, OWN);
};

template <class Format, int TOKENS, int SHARES>
DEVICE void matmul_small(const Matmul& m) {
  const int OWN = TOKENS / SHARES;
  DYNAMIC_SHARED(memory);
  SHARED mbarrier full[STAGES_MAX];
  SHARED mbarrier empty[STAGES_MAX];
  int warps = static_cast<int>(blockDim.x) / 32 - 1;
  int warp = static_cast<int>(threadIdx.x) / 32;
  Ring<Format, TOKENS> ring{memory, full, empty, m.stages, m.stageGroups, warps / SHARES};
  ring.init(warps);
  pdl_launch();

  SmallSchedule schedule(m, ring.tiles, TOKENS);
  if (warp == warps) {
    ring.produce(m, schedule);
    return;
  }
  pdl_wait();
  int rows = *m.counts;
  int first = warp % SHARES * OWN;
  SmallReader<Format, TOKENS, OWN, SmallRun<Format, OWN>::GROUPS> reader(ring, warp / SHARES, first);
  Work work;
  while (schedule.next(work)) {
    int token0 = work.token0 + first;
    if (warp / SHARES >= work.tileCount || (SHARES > 1 && token0 >= rows)) {
      reader.pass(m.groups());
      continue;
    }
    int tile = work.firstTile + warp / SHARES * work.tileStride;
    float sums[OWN / 8][4] = {};
    float old[OWN / 8][4];  // asked for early, when nothing waits for it yet
#pragma unroll
    for (int j = 0; j < OWN / 8; j++) Finish(tile, token0 + j * 8).readOld(m, rows, old[j]);
    reader.multiply(m.groups(), sums);
#pragma unroll
    for (int j = 0; j < OWN / 8; j++) Finish(tile, token0 + j * 8).write(m, rows, sums[j], old[j]);
  }
}

#define MATMUL_SMALL(name, Format, TOKENS, SHARES)                                                                                  \
  KERNEL_BOUNDS(name, 32 * (matmul_small_tiles_max(TOKENS, SHARES, VERDIER_HAS_WGMMA) * SHARES + 1), 1, MATMUL_PARAMETERS) {         \
    matmul_small<Format, TOKENS, SHARES>(MATMUL_ARGUMENTS);                                                                         \
  }
#else
#define MATMUL_SMALL(name, Format, TOKENS, SHARES) \
  KERNEL(name, MATMUL_PARAMETERS) { unsupported(); }
#endif

#define MATMUL_SMALL_FORMAT(format, Format)                   \
  MATMUL_SMALL(matmul_small_##format##_8x1, Format, 8, 1)     \
  MATMUL_SMALL(matmul_small_##format##_16x1, Format, 16, 1)   \
  MATMUL_SMALL(matmul_small_##format##_32x1, Format, 32, 1)   \
  MATMUL_SMALL(matmul_small_##format##_64x2, Format, 64, 2)

#define MATMUL_SMALL_FEW_BITS(format, Format) \
  MATMUL_SMALL_FORMAT(format, Format)         \
  MATMUL_SMALL(matmul_small_##format##_32x2, Format, 32, 2)

MATMUL_SMALL_FORMAT(bf16, Bf16Weights)
MATMUL_SMALL_FEW_BITS(fp8, Fp8Weights)
MATMUL_SMALL_FEW_BITS(int8, Int8Weights)
MATMUL_SMALL_FEW_BITS(int4, Int4Weights)
