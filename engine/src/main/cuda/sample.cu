// Sampling on the device. For each row of logits the token, and the figures its log probabilities are made of, are the
// same to the bit as io.verdier.engine.sample.Sampler's.
//
// One step is three launches, none of which asks the host anything:
//   sample_extremes  largest logit, broken logits; rows with stages (masks, bias, penalties) are copied and changed
//   sample_weigh     sums of weights: of the raw row for log probabilities, of the changed row for the draw
//   sample_draw      chooses the token; rank and top tokens; result; the next step's input; the sequence's counts
// and beside the step, when a sequence with penalties starts, count_tokens.
//
// The first two run `gridDim.x` blocks per row, each on a chunk of the vocabulary, so that few rows too keep the memory
// busy; the last runs one block per row. Nothing depends on the number of chunks or threads: what crosses threads is a
// minimum, a maximum or a sum of integers.
//
// Bytes: greedy rows are read once, sampled rows twice and a chunk (2 * 513 KB for 128,256 tokens); top_k and top_p add
// two or three readings of the row by one block, mostly from L2. Weights cost some 18 double operations per token.
#include "sample.cuh"

// A row's parameters: rows[field * rowsStride + row], floats by their bits.
enum SampleField {
  SAMPLE_TEMPERATURE,     // f32; below 1e-5: the largest logit
  SAMPLE_TOP_P,           // f32; 1: off
  SAMPLE_MIN_P,           // f32; 0: off
  SAMPLE_TOP_K,           // 0: off
  SAMPLE_SEED_LOW,
  SAMPLE_SEED_HIGH,
  SAMPLE_POSITION,        // tokens known so far, which is the position of the one to choose
  SAMPLE_GIVEN,           // a token to score instead of choosing one; -1: choose
  SAMPLE_LOGPROBS,        // how many top tokens to report, up to TOPS_MAX; -1: no scores at all
  SAMPLE_NEXT_ROW,        // where in nextTokens the token goes; -1: nowhere
  SAMPLE_COUNTS,          // table of tokenCounts that the token is added to and penalties read; -1: none
  SAMPLE_STAGED,          // row of `staged` for the changed logits; -1: no stage below applies
  SAMPLE_ALLOWED,         // mask of allowed ids; -1: all are
  SAMPLE_GRAMMAR,         // a second such mask; -1: none
  SAMPLE_EXCLUDED_START,  // excluded ids: lists[start..start+count)
  SAMPLE_EXCLUDED_COUNT,
  SAMPLE_BIAS_START,      // distinct ids: lists[start..start+count), then as many f32 to add
  SAMPLE_BIAS_COUNT,
  SAMPLE_REPETITION,      // f32; 1: off
  SAMPLE_FREQUENCY,       // f32; 0: off
  SAMPLE_PRESENCE,        // f32; 0: off
  SAMPLE_FIELDS
};

// A row's result: results[row * RESULT_INTS + field].
enum SampleResult {
  RESULT_STATUS,   // SampleStatus
  RESULT_TOKEN,    // chosen or given; with STATUS_BROKEN_LOGIT the lowest id with NaN or +Infinity
  RESULT_LOGIT,    // f32, of that token in the raw row; with STATUS_REFUSED_LOGIT NaN or +Infinity
  RESULT_RANK,     // of the token in the raw row, from 1; with SAMPLE_LOGPROBS >= 0
  RESULT_TOPS,     // top tokens reported
  RESULT_MAX,      // f32, largest raw logit; with SAMPLE_LOGPROBS >= 0, as the next two
  RESULT_SUM_LOW,  // sum of the raw row's weights at temperature 1: the log probability of a logit is
  RESULT_SUM_HIGH, //   (float)(logit - (max + log(sum / 2^43))), the logarithm StrictMath's
  RESULT_INTS
};

enum SampleStatus {
  STATUS_OK,
  STATUS_BROKEN_LOGIT,   // the model gave NaN or +Infinity
  STATUS_BROKEN_ROW,     // the model gave -Infinity for every token
  STATUS_REFUSED_ROW,    // masks and exclusions leave no token
  STATUS_REFUSED_LOGIT,  // bias and penalties make a logit NaN or +Infinity
};

constexpr int COUNT_LOGIT_ROWS = 3;  // index in `counts`
constexpr int CHUNKS_MAX = 32;       // blocks per row
constexpr int TOPS_MAX = 20;
constexpr int NOT_BROKEN = 0x7fffffff;
constexpr float GREEDY_BELOW = 1e-5f;
constexpr float TEMPERATURE_MIN = 0.01f;
constexpr int SHORT_LIST_MAX = 1024;  // top_k up to here counts all tokens, above only those with a weight

// What one block found in its chunk of a row. Scratch: partials[row * CHUNKS_MAX + chunk].
struct SamplePartial {
  u64 rawFirst;      // order_key of the first token of the chunk; KEY_LAST where all are -Infinity
  u64 stagedFirst;   // the same after the stages
  u64 scoreSum;      // weights of the raw logits at temperature 1
  u64 drawSum;       // weights of the logits that are drawn from
  int rawBroken;     // lowest id that is NaN or +Infinity; NOT_BROKEN
  int stagedBroken;  // 0: a NaN, 1: +Infinity; NOT_BROKEN
};
static_assert(sizeof(SamplePartial) == 40 && RESULT_INTS == 8, "hosts allocate by these sizes");

struct Request {
  const int* fields;
  int stride;
  DEVICE int integer(SampleField field) const { return fields[field * stride]; }
  DEVICE float real(SampleField field) const { return __int_as_float(integer(field)); }
  DEVICE bool is_scored() const { return integer(SAMPLE_LOGPROBS) >= 0; }
  DEVICE bool is_staged() const { return integer(SAMPLE_STAGED) >= 0; }
  // Else the token is given, or the first in order.
  DEVICE bool is_drawn() const {
    return integer(SAMPLE_GIVEN) < 0 && !(real(SAMPLE_TEMPERATURE) < GREEDY_BELOW) && integer(SAMPLE_TOP_K) != 1;
  }
  DEVICE bool cuts_by_count(int vocab) const {
    return integer(SAMPLE_TOP_K) > 0 && integer(SAMPLE_TOP_K) < vocab;
  }
  DEVICE bool cuts_by_share() const { return real(SAMPLE_TOP_P) < 1.0f; }
};

// ---------------------------------------------------------------------------------------------------------------------
// sample_extremes
// ---------------------------------------------------------------------------------------------------------------------

// The first token in order and the broken ones among those a thread has seen, ids ascending.
struct Extremes {
  float logit;
  int id;
  int broken;
  DEVICE u64 first() const { return id < 0 ? KEY_LAST : order_key(logit, id); }
};

DEVICE void see(Extremes& seen, float x, int id) {
  if (x > seen.logit) {
    seen.logit = x;
    seen.id = id;
  }
  if (!below_infinity(x)) seen.broken = min(seen.broken, id);
}

// Bits 0..3: whether id..id+3 are allowed, id a multiple of 4.
DEVICE unsigned allowed_four(const unsigned* mask, int id) {
  return mask == nullptr ? 15 : mask[id >> 5] >> (id & 31);
}

// LogitStages.penalize for one token. count: times generated * 2, + 1 where the token is known at all.
DEVICE float penalized(float logit, unsigned count, const Request& request) {
  if (count == 0) return logit;
  float repetition = request.real(SAMPLE_REPETITION);
  logit = logit > 0.0f ? __fdiv_rn(logit, repetition) : __fmul_rn(logit, repetition);
  if (count > 1) {
    logit = __fsub_rn(logit, __fmul_rn(request.real(SAMPLE_FREQUENCY), __uint2float_rn(count >> 1)));
    logit = __fsub_rn(logit, request.real(SAMPLE_PRESENCE));
  }
  return logit;
}

// LogitStages.apply on one chunk: copies it to `staged` and changes it there.
DEVICE Extremes stage(const Request& request, const float* raw, float* staged, Range range, const unsigned* allowed,
                      const unsigned* grammar, const int* lists, const unsigned* tokenCounts) {
  for (int id = range.begin + 4 * threadIdx.x; id < range.end; id += 4 * blockDim.x) {
    Four four = load_four(raw, id, range.end);
    unsigned bits = allowed_four(allowed, id) & allowed_four(grammar, id);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (!(bits >> j & 1)) four.x[j] = negative_infinity();
    }
    store_four(staged, id, four);
  }
  __syncthreads();
  const int* excluded = lists + request.integer(SAMPLE_EXCLUDED_START);
  for (int i = threadIdx.x; i < request.integer(SAMPLE_EXCLUDED_COUNT); i += blockDim.x) {
    if (excluded[i] >= range.begin && excluded[i] < range.end) staged[excluded[i]] = negative_infinity();
  }
  __syncthreads();
  const int* bias = lists + request.integer(SAMPLE_BIAS_START);
  int biasCount = request.integer(SAMPLE_BIAS_COUNT);
  for (int i = threadIdx.x; i < biasCount; i += blockDim.x) {
    int id = bias[i];
    if (id >= range.begin && id < range.end) staged[id] = __fadd_rn(staged[id], __int_as_float(bias[biasCount + i]));
  }
  __syncthreads();
  Extremes seen = {negative_infinity(), -1, NOT_BROKEN};
  for (int id = range.begin + threadIdx.x; id < range.end; id += blockDim.x) {
    float x = staged[id];
    if (tokenCounts != nullptr) {
      x = penalized(x, tokenCounts[id], request);
      staged[id] = x;
    }
    see(seen, x, below_infinity(x) ? id : x == x);  // as an id of broken ones: 0 for NaN, which outweighs 1 for Infinity
  }
  return seen;
}

// grid (chunks up to CHUNKS_MAX, rows), block 512.
// logits, staged f32 [rows][stride], strides multiples of 4, 16-byte aligned; masks u32 [masks][maskWords], bit id%32 of
// word id/32; tokenCounts u32 [tables][vocab], see penalized.
KERNEL_BOUNDS(sample_extremes, 512, 2, const int* counts, const int* rows, int rowsStride, const float* logits,
              int logitsStride, int vocab, const unsigned* masks, int maskWords, const int* lists,
              const unsigned* tokenCounts, float* staged, SamplePartial* partials) {
  SHARED u64 firsts[2][32];
  SHARED int brokens[2][32];
  pdl_wait();
  pdl_launch();
  int row = blockIdx.y;
  if (row >= counts[COUNT_LOGIT_ROWS]) return;
  Request request = {rows + row, rowsStride};
  const float* raw = logits + static_cast<int64_t>(row) * logitsStride;
  Range range = part_of({0, vocab}, blockIdx.x, gridDim.x);

  Extremes seen[2] = {{negative_infinity(), -1, NOT_BROKEN}, {negative_infinity(), -1, NOT_BROKEN}};
  int step = 4 * blockDim.x;
  for (int id = range.begin + 4 * threadIdx.x; id < range.end; id += 4 * step) {
    Four fours[4];  // a chunk is read once and from memory: many loads at once
#pragma unroll
    for (int k = 0; k < 4; k++) fours[k] = load_four(raw, id + k * step, range.end);
#pragma unroll
    for (int k = 0; k < 4; k++) {
#pragma unroll
      for (int j = 0; j < 4; j++) see(seen[0], fours[k].x[j], id + k * step + j);
    }
  }
  if (request.is_staged()) {
    int allowed = request.integer(SAMPLE_ALLOWED), grammar = request.integer(SAMPLE_GRAMMAR);
    int table = request.integer(SAMPLE_COUNTS);
    seen[1] = stage(request, raw, staged + static_cast<int64_t>(request.integer(SAMPLE_STAGED)) * logitsStride, range,
                    allowed < 0 ? nullptr : masks + static_cast<int64_t>(allowed) * maskWords,
                    grammar < 0 ? nullptr : masks + static_cast<int64_t>(grammar) * maskWords, lists,
                    table < 0 ? nullptr : tokenCounts + static_cast<int64_t>(table) * vocab);
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
    u64 first = warp_min(seen[i].first());
    int broken = warp_min(seen[i].broken);
    if (lane_index() == 0) {
      firsts[i][warp_index()] = first;
      brokens[i][warp_index()] = broken;
    }
  }
  __syncthreads();
  if (warp_index() > 0) return;
  bool filled = lane_index() < warp_count();
  SamplePartial found;
  found.rawFirst = warp_min(filled ? firsts[0][lane_index()] : KEY_LAST);
  found.stagedFirst = warp_min(filled ? firsts[1][lane_index()] : KEY_LAST);
  found.scoreSum = found.drawSum = 0;
  found.rawBroken = warp_min(filled ? brokens[0][lane_index()] : NOT_BROKEN);
  found.stagedBroken = warp_min(filled ? brokens[1][lane_index()] : NOT_BROKEN);
  if (lane_index() == 0) partials[row * CHUNKS_MAX + blockIdx.x] = found;
}

// ---------------------------------------------------------------------------------------------------------------------
// sample_weigh
// ---------------------------------------------------------------------------------------------------------------------

// The chunks of a row put together; every thread of a warp gets it.
struct Summary {
  u64 rawFirst, stagedFirst;
  int rawBroken, stagedBroken;
  DEVICE SampleStatus raw_status() const {
    if (rawBroken != NOT_BROKEN) return STATUS_BROKEN_LOGIT;
    return rawFirst == KEY_LAST ? STATUS_BROKEN_ROW : STATUS_OK;
  }
  DEVICE SampleStatus status(const Request& request) const {
    SampleStatus raw = raw_status();
    if (raw != STATUS_OK || !request.is_staged() || request.integer(SAMPLE_GIVEN) >= 0) return raw;
    if (stagedBroken != NOT_BROKEN) return STATUS_REFUSED_LOGIT;
    return stagedFirst == KEY_LAST ? STATUS_REFUSED_ROW : STATUS_OK;
  }
};

DEVICE Summary summary_of(const SamplePartial* partials, int chunks) {
  Summary all = {KEY_LAST, KEY_LAST, NOT_BROKEN, NOT_BROKEN};
  if (lane_index() < chunks) {
    const SamplePartial& one = partials[lane_index()];
    all = {one.rawFirst, one.stagedFirst, one.rawBroken, one.stagedBroken};
  }
  return {warp_min(all.rawFirst), warp_min(all.stagedFirst), warp_min(all.rawBroken), warp_min(all.stagedBroken)};
}

// A row as it is drawn from: its weights, and the cut. A token that is not kept, or weighs nothing, cannot be chosen.
struct Candidates {
  const float* logits;  // [vocab]
  int vocab;
  float max;            // largest of them, finite
  double scale;         // steps per logit
  u64 least;            // min_p: smaller weights are 0
  const double* table;
  int lastBucket;       // kept are the buckets before this one and, of its tokens, those up to lastKey
  u64 lastKey;

  DEVICE Weighed weigh(float logit) const {
    Weighed weighed = fixed_exp(__dmul_rn(__dsub_rn(logit, max), scale), table);
    if (weighed.weight < least) weighed.weight = 0;
    return weighed;
  }
  DEVICE bool keeps(const Weighed& weighed, float logit, int id) const {
    return weighed.bucket < lastBucket || (weighed.bucket == lastBucket && order_key(logit, id) <= lastKey);
  }
  // A difference to the largest logit; what is below it falls into a bucket behind `bucket`, for certain: two steps are
  // more than the rounding of either side. Spares most tokens the doubles.
  DEVICE float reach(int bucket) const { return -static_cast<float>((bucket + 2) / scale); }
};

// Weights of the raw row for its log probabilities.
DEVICE Candidates scored(const float* raw, int vocab, const Summary& summary, const double* table) {
  return {raw, vocab, key_logit(summary.rawFirst), STEPS_PER_LOGIT, 0, table, BUCKETS, KEY_LAST};
}

// Weights of the row that is drawn from, before top_k and top_p.
DEVICE Candidates drawn(const Request& request, const float* raw, const float* staged, int stride, int vocab,
                        const Summary& summary, const double* table) {
  double temperature = fmaxf(request.real(SAMPLE_TEMPERATURE), TEMPERATURE_MIN);
  u64 least = static_cast<u64>(__double2ll_ru(__dmul_rn(request.real(SAMPLE_MIN_P), FIXED_ONE)));
  const float* changed = staged + static_cast<int64_t>(request.integer(SAMPLE_STAGED)) * stride;
  bool isStaged = request.is_staged();
  float max = key_logit(isStaged ? summary.stagedFirst : summary.rawFirst);
  return {isStaged ? changed : raw, vocab, max, __ddiv_rn(STEPS_PER_LOGIT, temperature), least, table, BUCKETS, KEY_LAST};
}

// Sum of the kept weights this thread finds at range.begin + offset.., every `step`.
DEVICE u64 sum_weights(const Candidates& all, Range range, int offset, int step) {
  u64 sum = 0;
  float reach = all.reach(all.lastBucket);
  stream_fours<2>(all.logits, range, offset, step, [&](int id, const Four& four) {
    if (largest(four) - all.max < reach) return;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      Weighed weighed = all.weigh(four.x[j]);
      if (all.keeps(weighed, four.x[j], id + j)) sum += weighed.weight;
    }
  });
  return sum;
}

// grid and block as sample_extremes, which filled `partials`. Rows in the opposite order: those read last are the ones
// that may still be in L2.
KERNEL_BOUNDS(sample_weigh, 512, 2, const int* counts, const int* rows, int rowsStride, const float* logits,
              int logitsStride, int vocab, const float* staged, SamplePartial* partials) {
  SHARED double table[64];
  SHARED u64 sums[32];
  load_exp_table(table);
  pdl_wait();
  pdl_launch();
  int row = gridDim.y - 1 - blockIdx.y;
  if (row >= counts[COUNT_LOGIT_ROWS]) return;
  Request request = {rows + row, rowsStride};
  bool scores = request.is_scored(), draws = request.is_drawn() && !request.cuts_by_count(vocab);
  if (!scores && !draws) return;
  Summary summary = summary_of(partials + row * CHUNKS_MAX, gridDim.x);
  if (summary.status(request) != STATUS_OK) return;
  __syncthreads();

  const float* raw = logits + static_cast<int64_t>(row) * logitsStride;
  Range range = part_of({0, vocab}, blockIdx.x, gridDim.x);
  SamplePartial* partial = partials + row * CHUNKS_MAX + blockIdx.x;
#pragma unroll 1
  for (int isDraw = scores ? 0 : 1; isDraw < (draws ? 2 : 1); isDraw++) {
    Candidates all = isDraw ? drawn(request, raw, staged, logitsStride, vocab, summary, table)
                            : scored(raw, vocab, summary, table);
    Scan scan = block_scan(sums, sum_weights(all, range, 4 * threadIdx.x, 4 * blockDim.x));
    if (threadIdx.x == 0) *(isDraw ? &partial->drawSum : &partial->scoreSum) = scan.total;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// sample_draw
// ---------------------------------------------------------------------------------------------------------------------

constexpr int MEMBERS_MAX = 512;       // tokens of one bucket that are ranked by comparing all with all
constexpr int DIGIT_BITS = 11;         // of a key, per round of narrowing down a larger bucket
constexpr int NEAR_BUCKETS = 16 * 64;  // first try: tokens with more than 2^-16 of the largest probability
constexpr int TOP_KEYS_MAX = 5120;

struct Bins {
  u64 weights[BUCKETS];
  unsigned counts[BUCKETS];
  unsigned members;
  u64 memberKeys[MEMBERS_MAX];
  u64 memberWeights[MEMBERS_MAX];
};

struct Tops {
  unsigned count;
  u64 keys[TOP_KEYS_MAX];
};

struct Found {
  int bin;            // -1: all bins together stay below the target
  u64 before;         // measure of the bins before it
  u64 measure;        // its own
  u64 weightBefore;   // weight of the bins before it
};

// Shared memory of one block, which chooses from one row.
struct Draw {
  union {
    Bins bins;
    Tops tops;
  };
  double table[64];
  u64 warpSums[32];
  u64 warpKeys[32];
  Found found;
  u64 lastKey;     // last key that is kept
  u64 keptWeight;  // of its bucket
  int token;
  unsigned rank;
};

// What find_bin and its kin add up: tokens for top_k, their weights for top_p.
enum Measure { BY_COUNT, BY_WEIGHT };

DEVICE void clear_bins(Bins& bins) {
  for (int i = threadIdx.x; i < BUCKETS; i += blockDim.x) {
    bins.weights[i] = 0;
    bins.counts[i] = 0;
  }
  __syncthreads();
}

// One token per lane, bin -1: none. Where all tokens of a warp fall into one bin (equal logits), they are added up first.
DEVICE void add_to_bins(Bins& bins, int bin, u64 weight) {
  unsigned having = __ballot_sync(WARP, bin >= 0);
  if (having == 0) return;
  int leader = __ffs(having) - 1;
  int common = __shfl_sync(WARP, bin, leader);
  if (__popc(having) > 8 && __ballot_sync(WARP, bin == common) == having) {
    weight = warp_sum(bin >= 0 ? weight : 0);
    if (lane_index() == leader) {
      atomicAdd(&bins.weights[bin], weight);
      atomicAdd(&bins.counts[bin], static_cast<unsigned>(__popc(having)));
    }
  } else if (bin >= 0) {
    atomicAdd(&bins.weights[bin], weight);
    atomicAdd(&bins.counts[bin], 1u);
  }
}

// Calls each(id, logit, weighed) with whole warps for kept tokens in buckets up to `bucket`, and for others with bucket
// BUCKETS.
template <class Each>
DEVICE void for_kept(const Candidates& all, int bucket, Each each) {
  float reach = all.reach(bucket);
  stream_fours<1>(all.logits, {0, all.vocab}, 4 * threadIdx.x, 4 * blockDim.x, [&](int id, const Four& four) {
    if (__ballot_sync(WARP, !(largest(four) - all.max < reach)) == 0) return;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      Weighed weighed = all.weigh(four.x[j]);
      if (weighed.bucket > bucket || !all.keeps(weighed, four.x[j], id + j)) weighed = {0, BUCKETS};
      each(id + j, four.x[j], weighed);
    }
  });
}

// The first bin up to which `measure` reaches the target (at least 1). Not inlined: a call leaves sample_draw within its
// 64 registers, and it is made a few times a row.
static __device__ __noinline__ Found find_bin(Draw& draw, int bins, u64 target, Measure measure) {
  int each = (bins + blockDim.x - 1) / blockDim.x;
  int begin = min(static_cast<int>(threadIdx.x) * each, bins), end = min(begin + each, bins);
  u64 count = 0, weight = 0;
  for (int bin = begin; bin < end; bin++) {
    count += draw.bins.counts[bin];
    weight += draw.bins.weights[bin];
  }
  if (threadIdx.x == 0) draw.found.bin = -1;
  Scan weights = block_scan(draw.warpSums, weight);
  Scan counts = block_scan(draw.warpSums, count);
  u64 weightBefore = weights.before;
  u64 before = measure == BY_COUNT ? counts.before : weights.before;
  for (int bin = begin; bin < end; bin++) {
    u64 own = measure == BY_COUNT ? draw.bins.counts[bin] : draw.bins.weights[bin];
    if (before < target && target <= before + own) draw.found = {bin, before, own, weightBefore};
    before += own;
    weightBefore += draw.bins.weights[bin];
  }
  __syncthreads();
  Found found = draw.found;
  if (found.bin < 0) found.weightBefore = weights.total;
  __syncthreads();
  return found;
}

// Cuts through the bin that was found. Returns the weight that is kept; bins are wrong afterwards if `narrowed`.
DEVICE u64 cut_within(Draw& draw, Candidates& all, Found found, u64 target, Measure measure, bool countsAll,
                      bool& narrowed) {
  Bins& bins = draw.bins;
  int bucket = found.bin;
  target -= found.before;
  narrowed = false;
  if (target == found.measure) {
    if (bucket != all.lastBucket) {
      all.lastBucket = bucket;
      all.lastKey = KEY_LAST;
    }
    u64 keptWeight = found.weightBefore + bins.weights[bucket];
    __syncthreads();
    return keptWeight;
  }
  u64 keptWeight = found.weightBefore;
  int shift = 64;  // members are the bucket's tokens whose key >> shift is `prefix`
  u64 prefix = 0;
  unsigned count = bins.counts[bucket];
  auto isMember = [&](const Weighed& weighed, u64 key) {
    return weighed.bucket == bucket && (countsAll || weighed.weight > 0) && (shift == 64 || key >> shift == prefix);
  };
  while (count > MEMBERS_MAX) {
    __syncthreads();
    clear_bins(bins);
    int low = max(shift - DIGIT_BITS, 0), width = shift - low;
    for_kept(all, bucket, [&](int id, float logit, const Weighed& weighed) {
      u64 key = order_key(logit, id);
      int digit = static_cast<int>(key >> low) & ((1 << width) - 1);
      add_to_bins(bins, isMember(weighed, key) ? digit : -1, weighed.weight);
    });
    __syncthreads();
    found = find_bin(draw, 1 << DIGIT_BITS, target, measure);
    target -= found.before;
    keptWeight += found.weightBefore;
    prefix = prefix << width | static_cast<unsigned>(found.bin);
    shift = low;
    count = bins.counts[found.bin];
    narrowed = true;
  }
  if (threadIdx.x == 0) bins.members = 0;
  __syncthreads();
  for_kept(all, bucket, [&](int id, float logit, const Weighed& weighed) {
    u64 key = order_key(logit, id);
    if (!isMember(weighed, key)) return;
    unsigned place = atomicAdd(&bins.members, 1u);
    bins.memberKeys[place] = key;
    bins.memberWeights[place] = weighed.weight;
  });
  __syncthreads();
  int members = bins.members;
  for (int i = threadIdx.x; i < members; i += blockDim.x) {
    u64 key = bins.memberKeys[i], own = bins.memberWeights[i];
    u64 countBefore = 0, weightBefore = 0;
    for (int other = 0; other < members; other++) {
      if (bins.memberKeys[other] < key) {
        countBefore++;
        weightBefore += bins.memberWeights[other];
      }
    }
    u64 before = measure == BY_COUNT ? countBefore : weightBefore;
    if (before < target && target <= before + (measure == BY_COUNT ? 1 : own)) {
      draw.lastKey = key;
      draw.keptWeight = keptWeight + weightBefore + own;
    }
  }
  __syncthreads();
  all.lastBucket = bucket;
  all.lastKey = draw.lastKey;
  return draw.keptWeight;
}

// The part of the total that top_p asks for; at least one unit, so that one token stays.
DEVICE u64 share(float topP, u64 total) {
  long long units = __double2ll_ru(__dmul_rn(topP, __ll2double_rn(static_cast<long long>(total))));
  return units < 1 ? 1 : static_cast<u64>(units);
}

// top_k, then top_p of what it left. total: weight of all tokens, where top_k is off. Returns the weight that is kept.
//
// As in Candidates.java nothing is sorted: the row falls into buckets, and only the bucket that a limit cuts through is
// looked at token by token. At first only tokens near the largest logit are looked at, since they nearly always suffice;
// most others then cost one comparison.
DEVICE u64 cut(Draw& draw, Candidates& all, const Request& request, u64 total) {
  Bins& bins = draw.bins;
  bool byCount = request.cuts_by_count(all.vocab), byShare = request.cuts_by_share();
  int topK = request.integer(SAMPLE_TOP_K);
  bool countsAll = byCount && topK <= SHORT_LIST_MAX;
  int limit = NEAR_BUCKETS;
  bool binned = false;
  while (byCount || byShare) {
    if (!binned) {
      clear_bins(bins);
      for_kept(all, limit - 1, [&](int id, float logit, const Weighed& weighed) {
        bool counts = weighed.bucket < BUCKETS && (countsAll || weighed.weight > 0);
        add_to_bins(bins, counts ? weighed.bucket : -1, weighed.weight);
      });
      __syncthreads();
      binned = true;
    }
    Measure measure = byCount ? BY_COUNT : BY_WEIGHT;
    u64 target = byCount ? topK : share(request.real(SAMPLE_TOP_P), total);
    Found found = find_bin(draw, min(limit, all.lastBucket + 1), target, measure);
    if (found.bin < 0 && limit < BUCKETS) {
      limit = BUCKETS;
      binned = false;
      continue;
    }
    if (found.bin >= 0) {
      bool narrowed;
      total = cut_within(draw, all, found, target, measure, countsAll, narrowed);
      binned = !narrowed;  // the bin still shows what was cut off it, which top_p, asking for less, does not reach
    } else if (byCount) {
      total = found.weightBefore;
    }
    if (byCount) {
      byCount = false;
    } else {
      byShare = false;
    }
  }
  return total;
}

// The token at which the running sum of the kept weights in the range, by ascending id, passes `left`.
DEVICE int token_at(Draw& draw, const Candidates& all, Range range, u64 left) {
  while (range.end - range.begin > 4 * static_cast<int>(blockDim.x)) {
    Range own = part_of(range, warp_index(), warp_count());
    u64 sum = warp_sum(sum_weights(all, own, 4 * lane_index(), 128));
    __syncthreads();
    if (lane_index() == 0) draw.warpSums[warp_index()] = sum;
    __syncthreads();
    int part = 0;
    while (part + 1 < warp_count() && left >= draw.warpSums[part]) left -= draw.warpSums[part++];
    range = part_of(range, part, warp_count());
  }
  int id = range.begin + 4 * threadIdx.x;
  Four four = load_four(all.logits, id, range.end);
  u64 weights[4], sum = 0;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    Weighed weighed = all.weigh(four.x[j]);
    weights[j] = all.keeps(weighed, four.x[j], id + j) ? weighed.weight : 0;
    sum += weights[j];
  }
  u64 before = block_scan(draw.warpSums, sum).before;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    if (before <= left && left < before + weights[j]) draw.token = id + j;
    before += weights[j];
  }
  __syncthreads();
  return draw.token;
}

DEVICE int draw_token(Draw& draw, Candidates& all, const Request& request, const SamplePartial* partials, int chunks) {
  u64 total = 0;
  for (int chunk = 0; chunk < chunks; chunk++) total += partials[chunk].drawSum;
  bool cuts = request.cuts_by_count(all.vocab) || request.cuts_by_share();
  if (cuts) total = cut(draw, all, request, total);
  u64 seed = static_cast<u64>(static_cast<unsigned>(request.integer(SAMPLE_SEED_HIGH))) << 32 |
             static_cast<unsigned>(request.integer(SAMPLE_SEED_LOW));
  u64 left = __umul64hi(philox_bits(seed, request.integer(SAMPLE_POSITION)), total);
  Range range = {0, all.vocab};
  if (!cuts) {
    int chunk = 0;
    while (chunk + 1 < chunks && left >= partials[chunk].drawSum) left -= partials[chunk++].drawSum;
    range = part_of(range, chunk, chunks);
  }
  return token_at(draw, all, range, left);
}

// Counts the tokens before `token` in the raw row, and gives the first key among this thread's tokens.
DEVICE u64 rank_token(Draw& draw, const float* raw, int vocab, int token) {
  float logit = raw[token];
  unsigned before = 0;
  int own = 4 * threadIdx.x;
  Extremes seen = {negative_infinity(), own < vocab ? own : -1, NOT_BROKEN};
  if (threadIdx.x == 0) draw.rank = 1;
  __syncthreads();
  stream_fours<2>(raw, {0, vocab}, own, 4 * blockDim.x, [&](int id, const Four& four) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      before += four.x[j] > logit || (four.x[j] == logit && id + j < token);
      see(seen, four.x[j], id + j);
    }
  });
  before = static_cast<unsigned>(warp_sum(before));
  if (lane_index() == 0) atomicAdd(&draw.rank, before);
  return seen.first();
}

// The key that has `place` smaller ones in shared `keys`, one per thread or KEY_LAST; KEY_LAST if there is none.
DEVICE u64 key_at(Draw& draw, const u64* keys, int count, int place) {
  if (threadIdx.x == 0) draw.lastKey = KEY_LAST;
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    int before = 0;
    for (int other = 0; other < count; other++) before += keys[other] < keys[i];
    if (before == place && keys[i] != KEY_LAST) draw.lastKey = keys[i];
  }
  __syncthreads();
  u64 key = draw.lastKey;
  __syncthreads();
  return key;
}

// Appends to the list, by as many threads as hold a key.
DEVICE void list_key(Tops& tops, u64 key) {
  unsigned place = atomicAdd(&tops.count, 1u);
  if (place < TOP_KEYS_MAX) tops.keys[place] = key;
}

DEVICE void start_list(Tops& tops) {
  __syncthreads();
  if (threadIdx.x == 0) tops.count = 0;
  __syncthreads();
}

// The first `wanted` tokens of the raw row in order, to topIds and topLogits. ownFirst: the first key among the tokens
// this thread reads. The wanted-th first of all threads' own firsts is no earlier than the wanted-th token of the row, so
// that all wanted tokens are up to it, and they belong to at most `wanted` threads: the list cannot overflow, and is
// nearly always short. That bound is found in two rounds, of warps and of the threads that are left.
DEVICE void find_tops(Draw& draw, const float* raw, int vocab, int wanted, u64 ownFirst, int* topIds, float* topLogits) {
  Tops& tops = draw.tops;
  u64 warpFirst = warp_min(ownFirst);
  if (lane_index() == 0) draw.warpKeys[warp_index()] = warpFirst;
  u64 bound = key_at(draw, draw.warpKeys, warp_count(), wanted - 1);
  start_list(tops);
  if (ownFirst <= bound && ownFirst != KEY_LAST) list_key(tops, ownFirst);
  __syncthreads();
  bound = key_at(draw, tops.keys, tops.count, wanted - 1);
  float least = bound == KEY_LAST ? negative_infinity() : key_logit(bound);
  start_list(tops);
  stream_fours<2>(raw, {0, vocab}, 4 * threadIdx.x, 4 * blockDim.x, [&](int id, const Four& four) {
    if (largest(four) < least) return;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      u64 key = order_key(four.x[j], id + j);
      if (key <= bound && id + j < vocab) list_key(tops, key);
    }
  });
  __syncthreads();
  int count = min(tops.count, static_cast<unsigned>(TOP_KEYS_MAX));
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    int place = 0;
    for (int other = 0; other < count && place < wanted; other++) place += tops.keys[other] < tops.keys[i];
    if (place < wanted) {
      topIds[place] = key_id(tops.keys[i]);
      topLogits[place] = raw[key_id(tops.keys[i])];
    }
  }
}

// By thread 0: what the host and the next step need.
DEVICE void report(const Request& request, int* result, SampleStatus status, int token, float logit,
                   unsigned* tokenCounts, int vocab, int* nextTokens) {
  result[RESULT_STATUS] = status;
  result[RESULT_TOKEN] = token;
  result[RESULT_LOGIT] = __float_as_int(logit);
  if (request.integer(SAMPLE_GIVEN) >= 0) return;
  int next = request.integer(SAMPLE_NEXT_ROW), table = request.integer(SAMPLE_COUNTS);
  if (nextTokens != nullptr && next >= 0) nextTokens[next] = status == STATUS_OK ? token : 0;
  if (table >= 0 && status == STATUS_OK) {
    unsigned& count = tokenCounts[static_cast<int64_t>(table) * vocab + token];
    count = (count + 2) | 1;
  }
}

// By thread 0: what the row's log probabilities are relative to.
DEVICE void report_sum(int* result, float max, const SamplePartial* partials, int chunks) {
  u64 sum = 0;
  for (int chunk = 0; chunk < chunks; chunk++) sum += partials[chunk].scoreSum;
  result[RESULT_MAX] = __float_as_int(max);
  result[RESULT_SUM_LOW] = static_cast<int>(sum);
  result[RESULT_SUM_HIGH] = static_cast<int>(sum >> 32);
}

// grid rows, block 1024 (any multiple of 64 from 128 on works; list bounds below are for 1024).
// chunks: gridDim.x of the other two, which filled `partials`. results i32 [rows][RESULT_INTS]; topIds i32 and topLogits
// f32 [rows][TOPS_MAX], written as far as asked for; tokenCounts as in sample_extremes, the chosen token is added;
// nextTokens i32 or null. The caller sees to it that SAMPLE_LOGPROBS * 4 * ceil(vocab / 4096) <= TOP_KEYS_MAX.
KERNEL_BOUNDS(sample_draw, 1024, 1, const int* counts, const int* rows, int rowsStride, const float* logits,
              int logitsStride, int vocab, const float* staged, const SamplePartial* partials, int chunks,
              unsigned* tokenCounts, int* results, int* topIds, float* topLogits, int* nextTokens) {
  SHARED Draw draw;
  load_exp_table(draw.table);
  pdl_wait();
  pdl_launch();
  int row = blockIdx.x;
  if (row >= counts[COUNT_LOGIT_ROWS]) return;
  Request request = {rows + row, rowsStride};
  const float* raw = logits + static_cast<int64_t>(row) * logitsStride;
  int* result = results + row * RESULT_INTS;
  partials += row * CHUNKS_MAX;
  Summary summary = summary_of(partials, chunks);
  SampleStatus status = summary.status(request);
  if (status != STATUS_OK) {
    bool isBroken = status == STATUS_BROKEN_LOGIT;
    int token = isBroken ? summary.rawBroken : 0;
    float refused = summary.stagedBroken == 0 ? not_a_number() : positive_infinity();
    if (threadIdx.x == 0) {
      report(request, result, status, token, isBroken ? raw[token] : refused, tokenCounts, vocab, nextTokens);
    }
    return;
  }
  if (request.is_scored() && threadIdx.x == 0) report_sum(result, key_logit(summary.rawFirst), partials, chunks);
  __syncthreads();
  int token = request.integer(SAMPLE_GIVEN);
  if (token < 0 && !request.is_drawn()) {
    token = key_id(request.is_staged() ? summary.stagedFirst : summary.rawFirst);
  } else if (token < 0) {
    Candidates all = drawn(request, raw, staged, logitsStride, vocab, summary, draw.table);
    token = draw_token(draw, all, request, partials, chunks);
  }
  if (threadIdx.x == 0) report(request, result, status, token, raw[token], tokenCounts, vocab, nextTokens);
  if (!request.is_scored()) return;

  u64 ownFirst = rank_token(draw, raw, vocab, token);
  int wanted = min(min(request.integer(SAMPLE_LOGPROBS), TOPS_MAX), vocab);
  if (wanted > 0) find_tops(draw, raw, vocab, wanted, ownFirst, topIds + row * TOPS_MAX, topLogits + row * TOPS_MAX);
  __syncthreads();
  if (threadIdx.x != 0) return;
  result[RESULT_RANK] = static_cast<int>(draw.rank);
  result[RESULT_TOPS] = wanted;
}

// ---------------------------------------------------------------------------------------------------------------------
// count_tokens
// ---------------------------------------------------------------------------------------------------------------------

// Adds known tokens, the first promptTokens of them not generated, to a table of zeros (u32 [vocab], see penalized). When
// a sequence with penalties starts or comes back; sample_draw goes on from there. Any grid and block.
KERNEL(count_tokens, unsigned* table, const int* tokens, int promptTokens, int count) {
  pdl_wait();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
    atomicOr(&table[tokens[i]], 1u);
    if (i >= promptTokens) atomicAdd(&table[tokens[i]], 2u);
  }
}
