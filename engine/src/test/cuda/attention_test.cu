// attention.cu under emulation: rotation and storing against float64, attention against float64 loops, and the bits of
// a row whichever kernel, tile, step, block table and neighbours it had.
//
//   g++ -std=c++17 -O2 -ffp-contract=off -DVERDIER_EMULATED -x c++ attention_test.cu -o attention-test -pthread
//   ./attention-test
//
// Tolerances. Rotated values are compared with float64 within one rounding to bf16 (2^-8 of the value, two roundings
// apart at worst) plus 1e-5; in a cache of e4m3 keys and values within 2^-4 plus 2^-10. Results are compared with float64 sums over the very bf16 queries, keys and values that
// were stored: what remains is the rounding of weights and of the result to bf16, at most 2^-8 of the largest value
// each.
#include "../../main/cuda/attention.cu"
#include "attention_lists.h"

#include <math.h>
#include <stdio.h>

#include <numeric>
#include <random>

namespace {

int failures = 0;

#define CHECK(condition, ...)                       \
  do {                                              \
    if (!(condition) && failures++ < 20) {          \
      printf("FAILED %s:%d: ", __FILE__, __LINE__); \
      printf(__VA_ARGS__);                          \
      printf("\n");                                 \
    }                                               \
  } while (0)

typedef int Launcher(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

template <class... Arguments>
void launch(Launcher* kernel, unsigned gx, unsigned gy, unsigned threads, unsigned sharedBytes,
            Arguments... arguments) {
  void* params[] = {&arguments...};
  int failed = kernel(gx, gy, 1, threads, 1, 1, sharedBytes, params);
  CHECK(!failed, "%s", verdier_emulated_error());
}

struct Shape {
  int heads, kvHeads, headDim, window, blockTokens;
  bool fp8;  // keys and values are e4m3

  int bytes() const { return fp8 ? 1 : 2; }
  int group() const { return heads / kvHeads; }
  int paddedDim() const { return headDim > 128 ? 256 : (headDim + 31) / 32 * 32; }
  int tileRows() const { return paddedDim() == 256 ? 64 : 128; }
  int vectors() const { return heads + 2 * kvHeads; }
  float scale() const { return float(1.4426950408889634 / sqrt(headDim)); }
};

#define BY_DIM(name)                                                             \
  Launcher* name(const Shape& s) {                                               \
    switch (s.paddedDim()) {                                                     \
      case 32: return s.fp8 ? verdier_launch_##name##_fp8_32 : verdier_launch_##name##_32;    \
      case 64: return s.fp8 ? verdier_launch_##name##_fp8_64 : verdier_launch_##name##_64;    \
      case 96: return s.fp8 ? verdier_launch_##name##_fp8_96 : verdier_launch_##name##_96;    \
      case 128: return s.fp8 ? verdier_launch_##name##_fp8_128 : verdier_launch_##name##_128; \
      default: return s.fp8 ? verdier_launch_##name##_fp8_256 : verdier_launch_##name##_256;  \
    }                                                                            \
  }
BY_DIM(attend_prefill)
BY_DIM(attend_decode)
BY_DIM(rotate_attend)

Launcher* attend_fold(const Shape& s) {
  switch (s.paddedDim()) {
    case 32: return verdier_launch_attend_fold_32;
    case 64: return verdier_launch_attend_fold_64;
    case 96: return verdier_launch_attend_fold_96;
    case 128: return verdier_launch_attend_fold_128;
    default: return verdier_launch_attend_fold_256;
  }
}

template <class Cache>
unsigned sharedBytes(int paddedDim) {
  return paddedDim == 256 ? attention::Prefill<256, 1, Cache>::SHARED_BYTES
         : paddedDim == 128 ? attention::Prefill<128, 2, Cache>::SHARED_BYTES
         : paddedDim == 96  ? attention::Prefill<96, 2, Cache>::SHARED_BYTES
         : paddedDim == 64  ? attention::Prefill<64, 2, Cache>::SHARED_BYTES
                            : attention::Prefill<32, 2, Cache>::SHARED_BYTES;
}

unsigned prefillSharedBytes(const Shape& s) {
  return s.fp8 ? sharedBytes<attention::E4m3>(s.paddedDim()) : sharedBytes<attention::Bf16>(s.paddedDim());
}

// Element of a fragment, written down from the layout and not by the kernels' formulas: lane l = n % 8 * 4 + t holds
// registers r; each is two neighbouring k. Keys: n = token, k = dimension, two k16 steps. Values: n = dimension of one
// of two n8 tiles, k = token of one k16 step.
float at(const bf16* piece, int j) { return to_float(piece[j]); }

// e4m3: registers 0 and 1 of a lane are its bytes 0 2 and 1 3, registers 2 and 3 its bytes 4 6 and 5 7.
float at(const uint8_t* piece, int j) {
  const int bytes[8] = {0, 2, 1, 3, 4, 6, 5, 7};
  return e4m3_to_float(piece[bytes[j]]);
}

template <class Element>
float keyAt(const Element* keys, int paddedDim, int token, int dim) {
  for (int t = 0; t < 4; t++) {
    int dims[8] = {2 * t, 2 * t + 1, 2 * t + 8, 2 * t + 9, 16 + 2 * t, 17 + 2 * t, 24 + 2 * t, 25 + 2 * t};
    for (int j = 0; j < 8; j++) {
      if (dims[j] != dim % 32) continue;
      int piece = token / 8 * (paddedDim / 32) + dim / 32;
      return at(keys + piece * 256 + (token % 8 * 4 + t) * 8, j);
    }
  }
  return NAN;
}

template <class Element>
float valueAt(const Element* values, int paddedDim, int token, int dim) {
  for (int t = 0; t < 4; t++) {
    int tokens[4] = {2 * t, 2 * t + 1, 2 * t + 8, 2 * t + 9};
    for (int j = 0; j < 8; j++) {
      if (tokens[j % 4] != token % 16 || j / 4 != dim % 16 / 8) continue;
      int piece = token / 16 * (paddedDim / 16) + dim / 16;
      return at(values + piece * 256 + (dim % 8 * 4 + t) * 8, j);
    }
  }
  return NAN;
}

enum class Way { PREFILL, DECODE, SPLIT, ANY };

struct Plan {
  const char* name;
  int tokensMax;  // of a slice in a step; 0: random
  Way way;
  int chunksMax;  // of a decode item; 0: random
  int seed;       // of blocks and choices
  bool poison;    // fills the cache with NaN first
  bool rotates;   // in attention itself, where every slice of a step is one token
};

// Sequences with random inputs, and what became of them.
struct Case {
  Shape shape;
  std::vector<int> lengths;
  std::vector<int> first;     // row of a sequence's position 0 among all tokens
  std::vector<float> inputs;  // [tokens][stride]
  std::vector<float> queryGain, keyGain;
  std::vector<double> frequencies;
  std::vector<float2> angles;
  int tokens = 0;
  int stride;
  std::vector<bf16> queries;         // [tokens][heads][paddedDim], as attention read them
  std::vector<float> keys, values;   // [tokens][kvHeads][paddedDim], as stored
  static constexpr float EPSILON = 1e-5f;

  Case(const Shape& s, const std::vector<int>& l, std::mt19937& random) : shape(s), lengths(l) {
    for (int length : lengths) {
      first.push_back(tokens);
      tokens += length;
    }
    stride = shape.vectors() * shape.headDim + 4;
    std::normal_distribution<float> normal;
    inputs.resize(size_t(tokens) * stride);
    for (float& x : inputs) x = normal(random);
    for (int i = 0; i < shape.headDim; i++) {
      queryGain.push_back(1.5f + 0.5f * normal(random));
      keyGain.push_back(1 + 0.3f * normal(random));
    }
    for (int i = 0; i < shape.headDim / 2; i++) frequencies.push_back(pow(10000.0, -2.0 * i / shape.headDim));
    frequencies.push_back(1.25);
    int longest = *std::max_element(lengths.begin(), lengths.end());
    angles.resize(size_t(longest) * (shape.headDim / 2));
    launch(verdier_launch_rope_table, 3, 1, 256, 0, angles.data(), (const double*)frequencies.data(),
           shape.headDim / 2, 0, longest);
  }

  // Runs every sequence to its end and returns the result bits [tokens][heads * headDim].
  std::vector<uint16_t> run(const Plan& plan) {
    const Shape& s = shape;
    std::mt19937 random(plan.seed);
    int HD = s.paddedDim();
    int longest = *std::max_element(lengths.begin(), lengths.end());
    int perSequence = (longest + s.blockTokens - 1) / s.blockTokens;
    int blockCount = perSequence * int(lengths.size()) + 3;
    std::vector<int> blocks(blockCount);
    std::iota(blocks.begin(), blocks.end(), 0);
    std::shuffle(blocks.begin(), blocks.end(), random);
    size_t blockElements = size_t(2) * s.kvHeads * s.blockTokens * HD;
    std::vector<uint4> cache(blockCount * blockElements * s.bytes() / 16);
    void* aligned = cache.data();
    uint16_t* words = static_cast<uint16_t*>(aligned);
    for (size_t i = 0; i < cache.size() * 8; i++) {
      words[i] = !plan.poison ? 0 : s.fp8 ? uint16_t(random() % 2 ? 0x7fff : 0xff7e) : uint16_t(0xffff - random() % 8);
    }

    int columns = s.heads * s.headDim;
    std::vector<uint16_t> results(size_t(tokens) * columns, 0xdead);
    if (!plan.rotates) queries.assign(size_t(tokens) * s.heads * HD, bf16_from_bits(0));
    std::vector<int> done(lengths.size());
    while (true) {
      // One step: some tokens of some sequences.
      std::vector<int> rowTokens, positions, slots, tables;
      bool areTokens = true;
      lists::Lists work{s.heads, s.kvHeads, {}, {}, {}, 0, 1 + int(random() % 4)};
      for (size_t q = 0; q < lengths.size(); q++) {
        int left = lengths[q] - done[q];
        if (left == 0 || (plan.way == Way::ANY && random() % 4 == 0)) continue;
        int most = plan.tokensMax ? plan.tokensMax : random() % 2 ? 1 : 1 + int(random() % 40);
        lists::Slice slice{int(positions.size()), done[q], std::min(most, left), int(tables.size())};
        for (int i = 0; i < slice.tokens; i++) {
          int position = done[q] + i;
          positions.push_back(position);
          rowTokens.push_back(first[q] + position);
          int block = blocks[q * perSequence + position / s.blockTokens];
          slots.push_back(block * s.blockTokens + position % s.blockTokens);
        }
        // Entries that nobody may read: behind the slice, and before every window.
        int begin = s.window ? std::max(0, done[q] - s.window + 1) : 0;
        for (int b = 0; b < perSequence; b++) {
          bool needed = b * s.blockTokens < done[q] + slice.tokens && (b + 1) * s.blockTokens > begin;
          tables.push_back(needed ? blocks[q * perSequence + b] : 1 << 28);
        }
        bool prefill = plan.way == Way::PREFILL || (plan.way == Way::ANY && random() % 2);
        if (prefill) {
          work.addPrefill(slice, s.tileRows());
        } else {
          work.addDecode(slice, plan.chunksMax ? plan.chunksMax : 1 + int(random() % 4));
        }
        areTokens = areTokens && slice.tokens == 1;
        done[q] += slice.tokens;
      }
      if (positions.empty()) {
        if (done == lengths) break;
        continue;
      }
      work.sort();
      step(plan, work, areTokens, rowTokens, positions, slots, tables, aligned, results);
    }
    readBack(aligned, blocks, perSequence);
    return results;
  }

  // areTokens: whether every slice is one.
  void step(const Plan& plan, lists::Lists& work, bool areTokens, const std::vector<int>& rowTokens,
            const std::vector<int>& positions, const std::vector<int>& slots, const std::vector<int>& tables,
            void* cache, std::vector<uint16_t>& results) {
    const Shape& s = shape;
    int HD = s.paddedDim(), rows = int(positions.size()), rowsPad = (rows + 255) / 256 * 256;
    int spare = 2;  // rows of the graph beyond the batch
    int counts[8] = {rows, 0, work.tileCount(), 0, work.itemCount(), work.foldCount()};
    std::vector<float> projected(size_t(rows) * stride);
    for (int r = 0; r < rows; r++) {
      std::copy_n(&inputs[size_t(rowTokens[r]) * stride], stride, &projected[size_t(r) * stride]);
    }
    std::vector<uint4> packed(size_t(rows) * s.heads * HD / 8 + 1);
    bf16* packedQueries = reinterpret_cast<bf16*>(packed.data());
    memset(packed.data(), 0xff, packed.size() * 16);
    bool rotates = plan.rotates && areTokens && work.tileCount() == 0;
    if (!rotates) {
      unsigned vectorBlocks = (s.vectors() + 7) / 8;
      launch(s.fp8 ? verdier_launch_rotate_store_fp8 : verdier_launch_rotate_store, rows + spare, vectorBlocks, 256, 0, (const float*)projected.data(), stride,
             packedQueries, cache, (const float2*)angles.data(), (const float*)queryGain.data(),
             (const float*)keyGain.data(), EPSILON, (const int*)counts, positions.data(), slots.data(), s.heads,
             s.kvHeads, s.headDim, HD, s.blockTokens);
      for (int r = 0; r < rows && !plan.rotates; r++) {
        int width = s.heads * HD;
        std::copy_n(packedQueries + size_t(r) * width, width, &queries[size_t(rowTokens[r]) * width]);
      }
    }

    int columns = s.heads * s.headDim, columnsPad = (columns + 63) / 64 * 64;
    std::vector<uint4> operand(size_t(columnsPad) * rowsPad / 8);
    memset(operand.data(), 0xff, operand.size() * 16);
    void* out = operand.data();
    std::vector<float2> partialSums(size_t(work.records) * HD / 2 + 1, make_float2(NAN, NAN));
    std::vector<float2> partialStates(work.records + 1, make_float2(NAN, NAN));
    float* sums = &partialSums[0].x;
    std::vector<int> arrivals(size_t(rows) * s.kvHeads);
    work.tiles.resize(work.tiles.size() + 16);
    work.items.resize(work.items.size() + 16);
    const bf16* constQueries = packedQueries;
    const void* constCache = cache;
    if (work.tileCount() > 2) {
      launch(attend_prefill(s), s.kvHeads, work.tileCount(), 128, prefillSharedBytes(s), constQueries, constCache,
             tables.data(), (const int*)work.tiles.data(), (const int*)counts, out, rowsPad, s.heads, s.kvHeads,
             s.headDim, s.blockTokens, s.window, s.scale());
    }
    if (rotates) {
      launch(rotate_attend(s), s.kvHeads, work.itemCount(), HD, 0, (const float*)projected.data(), stride,
             (const float2*)angles.data(), (const float*)queryGain.data(), (const float*)keyGain.data(), EPSILON, cache,
             tables.data(), (const int*)work.items.data(), (const int*)counts, arrivals.data(), sums,
             partialStates.data(), out, rowsPad, s.heads, s.kvHeads, s.headDim, s.blockTokens, s.window, s.scale());
    } else if (work.itemCount() > 2) {
      launch(attend_decode(s), s.kvHeads, work.itemCount(), HD, 0, constQueries, constCache, tables.data(),
             (const int*)work.items.data(), (const int*)counts, arrivals.data(), sums, partialStates.data(), out,
             rowsPad, s.heads, s.kvHeads, s.headDim, s.blockTokens, s.window, s.scale());
    }
    if (work.foldCount() > 0) {
      launch(attend_fold(s), 1 + int(random() % 40), 1, 128, 0, (const float*)sums, (const float2*)partialStates.data(),
             (const int*)work.folds.data(), (const int*)counts, out, rowsPad, s.heads, s.kvHeads, s.headDim, s.window);
    }
    CHECK(arrivals == std::vector<int>(arrivals.size()), "%s: arrivals are left", plan.name);

    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columnsPad; c++) {
        uint16_t bits = bf16_bits(*operand_at(out, rowsPad, r, c));
        if (c < columns) {
          results[size_t(rowTokens[r]) * columns + c] = bits;
        } else {
          CHECK(bits == 0, "%s: padding column %d is %04x", plan.name, c, bits);
        }
      }
    }
  }

  void readBack(const void* cache, const std::vector<int>& blocks, int perSequence) {
    if (shape.fp8) {
      readBack(static_cast<const uint8_t*>(cache), blocks, perSequence);
    } else {
      readBack(static_cast<const bf16*>(cache), blocks, perSequence);
    }
  }

  template <class Element>
  void readBack(const Element* cache, const std::vector<int>& blocks, int perSequence) {
    const Shape& s = shape;
    int HD = s.paddedDim();
    keys.assign(size_t(tokens) * s.kvHeads * HD, NAN);
    values = keys;
    for (size_t q = 0; q < lengths.size(); q++) {
      for (int p = 0; p < lengths[q]; p++) {
        for (int h = 0; h < s.kvHeads; h++) {
          size_t block = blocks[q * perSequence + p / s.blockTokens];
          const Element* k = cache + (block * s.kvHeads + h) * 2 * s.blockTokens * HD;
          const Element* v = k + s.blockTokens * HD;
          for (int d = 0; d < HD; d++) {
            size_t at = (size_t(first[q] + p) * s.kvHeads + h) * HD + d;
            keys[at] = keyAt(k, HD, p % s.blockTokens, d);
            values[at] = valueAt(v, HD, p % s.blockTokens, d);
          }
        }
      }
    }
  }

  // A stored query's dimension: a query row lies like token 0 of 8-token key tiles of 32 lanes, pieces 32 apart.
  float queryAt(int token, int head, int d) const {
    const bf16* row = &queries[(size_t(token) * shape.heads + head) * shape.paddedDim()];
    bf16 piece[256];
    std::copy_n(row + d / 32 * 32, 32, piece);
    return keyAt(piece, 32, 0, d % 32);
  }

  // Rotation, norm and storing against float64.
  void checkStored() const {
    const Shape& s = shape;
    int HD = s.paddedDim(), half = s.headDim / 2;
    for (size_t q = 0; q < lengths.size(); q++) {
      for (int p = 0; p < lengths[q]; p++) {
        int token = first[q] + p;
        for (int vector = 0; vector < s.vectors(); vector++) {
          const float* x = &inputs[size_t(token) * stride + vector * s.headDim];
          bool isQuery = vector < s.heads, isValue = vector >= s.heads + s.kvHeads;
          const std::vector<float>& gain = isQuery ? queryGain : keyGain;
          double mean = 0;
          for (int i = 0; i < s.headDim; i++) mean += double(x[i]) * x[i] / s.headDim;
          double factor = 1 / sqrt(mean + EPSILON);
          for (int d = 0; d < HD; d++) {
            double expected = 0;
            if (d < s.headDim && isValue) expected = x[d];
            if (d < s.headDim && !isValue) {
              int i = d % half;
              double low = x[i] * factor * gain[i], high = x[i + half] * factor * gain[i + half];
              double angle = p * frequencies[i];
              double rotated = d < half ? low * cos(angle) - high * sin(angle) : high * cos(angle) + low * sin(angle);
              expected = rotated * frequencies[half];
            }
            int kvHead = isValue ? vector - s.heads - s.kvHeads : vector - s.heads;
            size_t at = (size_t(token) * s.kvHeads + kvHead) * HD + d;
            float actual = isQuery ? queryAt(token, vector, d) : isValue ? values[at] : keys[at];
            bool isWide = isQuery || !s.fp8;
            CHECK(fabs(actual - expected) <= fabs(expected) / (isWide ? 256 : 16) + (isWide ? 1e-5 : 0x1p-10),
                  "stored vector %d of token %d dimension %d: %g, expected %g", vector, token, d, actual, expected);
          }
        }
      }
    }
  }

  void checkResults(const std::vector<uint16_t>& results) const {
    const Shape& s = shape;
    int HD = s.paddedDim();
    double worst = 0;
    for (size_t q = 0; q < lengths.size(); q++) {
      for (int p = 0; p < lengths[q]; p++) {
        int begin = s.window ? std::max(0, p - s.window + 1) : 0;
        for (int h = 0; h < s.heads; h++) {
          int kvHead = h / s.group();
          std::vector<double> weights(p + 1);
          double total = 0, largest = 0, top = -INFINITY;
          for (int k = begin; k <= p; k++) {
            double dot = 0;
            for (int d = 0; d < s.headDim; d++) {
              dot += double(queryAt(first[q] + p, h, d)) * keys[(size_t(first[q] + k) * s.kvHeads + kvHead) * HD + d];
            }
            weights[k] = dot * s.scale();
            top = std::max(top, weights[k]);
          }
          for (int k = begin; k <= p; k++) total += weights[k] = exp2(weights[k] - top);
          for (int d = 0; d < s.headDim; d++) {
            double sum = 0;
            for (int k = begin; k <= p; k++) {
              double v = values[(size_t(first[q] + k) * s.kvHeads + kvHead) * HD + d];
              sum += weights[k] / total * v;
              largest = std::max(largest, fabs(v));
            }
            size_t at = (size_t(first[q] + p) * s.heads + h) * s.headDim + d;
            float actual = to_float(bf16_from_bits(results[at]));
            double error = fabs(actual - sum) / largest;
            worst = std::max(worst, error);
            CHECK(error <= 1.0 / 128, "token %d of sequence %zu, head %d, dimension %d: %g, expected %g", p, q, h, d,
                  actual, sum);
          }
        }
      }
    }
    printf("  largest error %.1e of the largest value\n", worst);
  }
};

void attention_anyShape_matchesOracleAndItself(const Shape& shape, const std::vector<int>& lengths, int seed) {
  printf("%d/%d heads of %d, window %d, blocks of %d%s\n", shape.heads, shape.kvHeads, shape.headDim, shape.window,
         shape.blockTokens, shape.fp8 ? ", e4m3" : "");
  std::mt19937 random(seed);
  Case c(shape, lengths, random);
  std::vector<uint16_t> whole = c.run({"whole prompts", 1 << 20, Way::PREFILL, 1, 1, false});
  c.checkStored();
  c.checkResults(whole);
  const Plan plans[] = {
      {"whole prompts, poisoned", 1 << 20, Way::PREFILL, 1, 2, true},
      {"steps of 7, prefill", 7, Way::PREFILL, 1, 3, true},
      {"steps of 7, decode", 7, Way::DECODE, 1 << 20, 4, true},
      {"token by token, decode", 1, Way::DECODE, 1 << 20, 5, true},
      {"token by token, split by chunk", 1, Way::SPLIT, 1, 6, true},
      {"steps of 5, split by two", 5, Way::SPLIT, 2, 7, true},
      {"mixed", 0, Way::ANY, 0, 8, true},
      {"mixed again", 0, Way::ANY, 0, 9, true},
      {"rotating, token by token", 1, Way::DECODE, 1 << 20, 10, true, true},
      {"rotating, split by chunk", 1, Way::SPLIT, 1, 11, true, true},
      {"rotating, some sequences at a time", 1, Way::ANY, 0, 12, true, true},
      {"rotating where it may", 0, Way::ANY, 0, 13, true, true},
  };
  for (const Plan& plan : plans) {
    std::vector<uint16_t> other = c.run(plan);
    size_t different = 0, at = 0;
    for (size_t i = 0; i < whole.size(); i++) {
      if (whole[i] != other[i] && different++ == 0) at = i;
    }
    int columns = shape.heads * shape.headDim;
    if (plan.rotates) c.checkStored();
    CHECK(different == 0, "%s: %zu of %zu bits patterns differ, first token %zu column %zu: %04x, was %04x", plan.name,
          different, whole.size(), at / columns, at % columns, other[at], whole[at]);
  }
}

// Long enough for several rounds of the fold, and scores so large that most chunks vanish.
void fold_longContext_equalsDirect() {
  Shape shape = {4, 1, 32, 0, 16};
  printf("long context\n");
  std::mt19937 random(77);
  Case c(shape, {64 * 300 + 5}, random);
  for (float& gain : c.queryGain) gain *= 6;
  // Only the last token attends; the tokens before it are stored in the same step.
  lists::Slice last{64 * 300 + 4, 64 * 300 + 4, 1, 0};
  std::vector<int> rows(c.tokens), blocks((c.tokens + 15) / 16);
  std::iota(rows.begin(), rows.end(), 0);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<uint4> cache(blocks.size() * 2 * 16 * 32 / 8);
  std::vector<uint16_t> bits[4];
  int chunksMax[] = {1 << 20, 1, 128, 129};
  for (int i = 0; i < 4; i++) {
    lists::Lists work{shape.heads, shape.kvHeads};
    work.addDecode(last, chunksMax[i]);
    c.queries.resize(size_t(c.tokens) * shape.heads * 32);
    std::vector<uint16_t> results(size_t(c.tokens) * shape.heads * 32);
    c.step({"long", 0, Way::SPLIT, 0, 0, false}, work, false, rows, rows, rows, blocks,
           cache.data(), results);
    bits[i].assign(results.end() - shape.heads * 32, results.end());
  }
  for (int i = 1; i < 4; i++) CHECK(bits[i] == bits[0], "items of %d chunks", chunksMax[i]);
}

}  // namespace

int main() {
  const std::vector<int> some = {1, 37, 70, 16, 200};
  const std::vector<int> few = {5, 131, 64};
  const struct {
    Shape shape;
    const std::vector<int>& lengths;
  } cases[] = {
      {{2, 2, 8, 0, 16}, some},    {{6, 2, 32, 0, 16}, some},   {{4, 1, 6, 0, 32}, some},
      {{8, 2, 64, 10, 16}, some},  {{7, 1, 16, 33, 16}, some},  {{3, 3, 40, 1, 16}, few},
      {{4, 1, 128, 0, 64}, some},  {{8, 1, 128, 100, 32}, few}, {{16, 1, 64, 0, 16}, few},
      {{10, 2, 96, 0, 16}, few},   {{4, 2, 80, 64, 48}, few},   {{2, 1, 256, 0, 16}, few},
      {{8, 1, 200, 70, 32}, few},  {{14, 2, 128, 65, 16}, few}, {{1, 1, 64, 128, 16}, some},
      {{6, 2, 32, 0, 16, true}, some},   {{8, 2, 64, 10, 16, true}, some},   {{4, 1, 6, 0, 32, true}, some},
      {{10, 2, 96, 0, 16, true}, few},   {{8, 1, 128, 100, 32, true}, few},  {{4, 2, 80, 64, 48, true}, few},
      {{8, 2, 128, 0, 64, true}, few},   {{8, 1, 200, 70, 32, true}, few},
  };
  int seed = 1;
  for (const auto& c : cases) attention_anyShape_matchesOracleAndItself(c.shape, c.lengths, seed++);
  fold_longContext_equalsDirect();
  printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
