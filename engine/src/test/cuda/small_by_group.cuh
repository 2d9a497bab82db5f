// How matmul_small read its ring before: a group at a time, its weights converted in the step that multiplies them. The benchmark compares
// the two. The sums are the same.
#pragma once

// Include after matmul_small.cu.

#if VERDIER_HAS_BULK

/// The registers of one group: a tile's weights as they lie in memory and the tokens' fragments.
template <class Format, int TOKENS>
struct ByGroup {
  typename Format::Lane weights;
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
struct SmallByGroup {
  const Ring<Format, TOKENS>& ring;
  int tile;  // of a stage's, this warp's
  int lane;
  int tokenOffset;
  RingPlace place;
  int groupsLeft = 0;   // of the tile, behind this stage
  int stageLeft = 0;    // of this stage
  const unsigned char* weights = nullptr;  // of the next group
  const unsigned char* tokens = nullptr;   // of the next group

  DEVICE SmallByGroup(const Ring<Format, TOKENS>& ring, int tile)
      : ring(ring), tile(tile), lane(threadIdx.x % 32), tokenOffset(token_offset(lane)) {}

  DEVICE void open() {
    if (stageLeft > 0) return;
    ring.await(place);
    stageLeft = groupsLeft < ring.stageGroups ? groupsLeft : ring.stageGroups;
    groupsLeft -= stageLeft;
    weights = ring.weights(place.stage, tile, 0);
    tokens = ring.tokens(place.stage, 0);
  }

  DEVICE void loadWeights(ByGroup<Format, TOKENS>& group) {
    group.weights.load(weights, lane);
    weights += Format::GROUP_BYTES;
  }

  DEVICE void loadTokens(ByGroup<Format, TOKENS>& group) {
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

  /// Multiplies one group and fills the next one's registers meanwhile: each step leaves the warp some twenty cycles until the accumulator
  /// is there, in which the parts of the load are issued.
  DEVICE void turn(const ByGroup<Format, TOKENS>& now, ByGroup<Format, TOKENS>& next, float (&sums)[TOKENS / 8][4]) {
    now.step(0, sums);
    open();
    now.step(1, sums);
    loadWeights(next);
    now.step(2, sums);
    loadTokens(next);
    now.step(3, sums);
    close();
  }

  /// All K of one tile. Two sets of registers take turns.
  DEVICE void multiply(int groups, float (&sums)[TOKENS / 8][4]) {
    ByGroup<Format, TOKENS> even, odd;
    groupsLeft = groups;
    open();
    loadWeights(even);
    loadTokens(even);
    close();
    int group = 0;
    for (; group + 2 < groups; group += 2) {
      turn(even, odd, sums);
      turn(odd, even, sums);
    }
    if (group + 1 < groups) {
      turn(even, odd, sums);
      even = odd;
    }
#pragma unroll
    for (int step = 0; step < GROUP_STEPS; step++) even.step(step, sums);
  }
};


#define SMALL_BY_GROUP(name, Format, TOKENS)                                      \
  KERNEL_BOUNDS(name, TOKENS == 64 ? 256 : 288, 1, MATMUL_PARAMETERS) {           \
    matmul_small<Format, TOKENS, SmallByGroup<Format, TOKENS>>(MATMUL_ARGUMENTS); \
  }
#else
#define SMALL_BY_GROUP(name, Format, TOKENS) \
  KERNEL(name, MATMUL_PARAMETERS) { unsupported(); }
#endif

#define SMALL_BY_GROUP_FORMAT(format, Format)              \
  SMALL_BY_GROUP(small_by_group_##format##_8, Format, 8)   \
  SMALL_BY_GROUP(small_by_group_##format##_16, Format, 16) \
  SMALL_BY_GROUP(small_by_group_##format##_32, Format, 32) \
  SMALL_BY_GROUP(small_by_group_##format##_64, Format, 64)

SMALL_BY_GROUP_FORMAT(bf16, Bf16Weights)
SMALL_BY_GROUP_FORMAT(fp8, Fp8Weights)
SMALL_BY_GROUP_FORMAT(int8, Int8Weights)
SMALL_BY_GROUP_FORMAT(int4, Int4Weights)
