// attention.cu and elementwise.cu on a GPU: first checks, then times. Exits with 1 where a check fails.
//
//   nvcc -std=c++17 -O3 -arch=sm_90a attention_bench.cu -o attention-bench && ./attention-bench
//
// Checks: a row's bits from prefill, from prefill cut elsewhere, from decode, from decode split by chunk and from decode
// that rotates and stores by itself; closeness to a plain kernel; rotation and storing against float64. Times: a layer
// of Llama-3.1-8B and -1B, decode beside a bandwidth probe, prefill in TFLOP/s, both with programmatic launches inside a
// graph, as a step runs them; decode with a cache of e4m3 too.
//
// Compiled as the tests are (-DVERDIER_EMULATED) it does the checks alone, on small shapes: so the checks are checked
// too.
#include "../../main/cuda/attention.cu"
#include "../../main/cuda/elementwise.cu"
#include "attention_lists.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

// ---------------------------------------------------------------------------------------------------------------------
// Kernels of the benchmark
// ---------------------------------------------------------------------------------------------------------------------

// One row and head: softmax over its keys in two passes, f32 throughout. Grid (rows, heads), 128 threads.
KERNEL(reference_attention, const bf16* queries, const bf16* cache, const int* tables, const int* rows,
       const int* positions, float* out, int heads, int kvHeads, int headDim, int paddedDim, int blockTokens,
       int window, float scale) {
  SHARED float weights[128];
  SHARED float highest[128];
  int row = rows[blockIdx.x], position = positions[blockIdx.x], head = blockIdx.y, thread = threadIdx.x;
  int kvHead = head / (heads / kvHeads);
  const bf16* query = queries + (static_cast<int64_t>(row) * heads + head) * paddedDim;
  int begin = window == 0 || position < window ? 0 : position - window + 1;
  float top = -1e30f, total = 0.0f, sums[2] = {0.0f, 0.0f};
  for (int pass = 0; pass < 2; pass++) {
    for (int base = begin; base <= position; base += 128) {
      int key = base + thread;
      const bf16* block = cache;
      float score = -1e30f;
      if (key <= position) {
        block += (static_cast<int64_t>(tables[key / blockTokens]) * kvHeads + kvHead) * 2 * blockTokens * paddedDim;
        score = 0.0f;
        for (int d = 0; d < headDim; d++) {
          float q = to_float(query[(d & ~31) + attention::fragment_place(d & 31)]);
          score += q * to_float(block[attention::key_place(key % blockTokens, d, paddedDim)]);
        }
        score *= scale;
      }
      if (pass == 0) {
        top = fmaxf(top, score);
        continue;
      }
      weights[thread] = key <= position ? exp2f(score - top) : 0.0f;
      __syncthreads();
      for (int i = 0; i < 128 && base + i <= position; i++) {
        total += weights[i];
        const bf16* of = cache + (static_cast<int64_t>(tables[(base + i) / blockTokens]) * kvHeads + kvHead) * 2 *
                                     blockTokens * paddedDim;
        for (int j = 0; j < 2; j++) {
          int d = thread + j * 128;
          if (d >= headDim) break;
          int at = blockTokens * paddedDim + attention::value_place((base + i) % blockTokens, d, paddedDim);
          sums[j] += weights[i] * to_float(of[at]);
        }
      }
      __syncthreads();
    }
    if (pass == 0) {
      highest[thread] = top;
      __syncthreads();
      for (int i = 0; i < 128; i++) top = fmaxf(top, highest[i]);
    }
  }
  for (int j = 0; j < 2; j++) {
    int d = thread + j * 128;
    if (d < headDim) out[(static_cast<int64_t>(blockIdx.x) * heads + head) * headDim + d] = sums[j] / total;
  }
}

// Random bf16 in (-1, 1), by a hash of the index.
KERNEL(fill_random, uint32_t* data, int64_t words, uint32_t seed) {
  int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < words; i += step) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u + seed;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    h ^= h >> 16;
    data[i] = pack2((static_cast<int>(h & 0xffff) - 32768) / 32768.0f, (static_cast<int>(h >> 16) - 32768) / 32768.0f);
  }
}

// Reads everything, 16 bytes a lane, eight loads under way.
KERNEL(read_probe, const uint4* data, int64_t pieces, uint32_t* out) {
  uint32_t sum = 0;
  int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  for (; i + 7 * step < pieces; i += 8 * step) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = ldg_stream(data + i + j * step);
#pragma unroll
    for (int j = 0; j < 8; j++) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678) *out = sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// The device
// ---------------------------------------------------------------------------------------------------------------------

namespace {

int failures = 0;

#define CHECK(condition, ...)        \
  do {                               \
    if (!(condition)) {              \
      if (failures++ < 20) {         \
        printf("FAILED: ");          \
        printf(__VA_ARGS__);         \
        printf("\n");                \
      }                              \
    }                                \
  } while (0)

#ifdef VERDIER_EMULATED
typedef int (*Kernel)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);
#define ENTRY(name) verdier_launch_##name

void* allocate(size_t bytes) { return aligned_alloc(256, (bytes + 511) / 256 * 256); }
void release(void* p) { free(p); }
void copyIn(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); }
void copyOut(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); }
void fillBytes(void* to, int value, size_t bytes) { memset(to, value, bytes); }

template <class... Arguments>
void launch(Kernel kernel, dim3 grid, unsigned threads, unsigned sharedBytes, Arguments... arguments) {
  void* params[] = {&arguments...};
  CHECK(!kernel(grid.x, grid.y, grid.z, threads, 1, 1, sharedBytes, params), "%s", verdier_emulated_error());
}
#else
typedef const void* Kernel;
#define ENTRY(name) reinterpret_cast<const void*>(name)

void succeed(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  printf("FAILED: %s: %s\n", what, cudaGetErrorString(result));
  exit(1);
}
#define CUDA(call) succeed(call, #call)

cudaStream_t stream;

void* allocate(size_t bytes) {
  void* p;
  CUDA(cudaMalloc(&p, bytes + 256));
  return p;
}
void release(void* p) { CUDA(cudaFree(p)); }
void copyIn(void* to, const void* from, size_t bytes) {
  CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream));
  CUDA(cudaStreamSynchronize(stream));
}
void copyOut(void* to, const void* from, size_t bytes) {
  CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream));
  CUDA(cudaStreamSynchronize(stream));
}
void fillBytes(void* to, int value, size_t bytes) { CUDA(cudaMemsetAsync(to, value, bytes, stream)); }

template <class... Arguments>
void launch(Kernel kernel, dim3 grid, unsigned threads, unsigned sharedBytes, Arguments... arguments) {
  void* params[] = {&arguments...};
  if (sharedBytes > 40 * 1024) {  // 48 KB, what a kernel declares by itself included, need no asking
    CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(sharedBytes)));
  }
  cudaLaunchAttribute programmatic = {};
  programmatic.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  programmatic.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = sharedBytes;
  config.stream = stream;
  config.attrs = &programmatic;
  config.numAttrs = 1;
  CUDA(cudaLaunchKernelExC(&config, kernel, params));
}
#endif

// An array on the device.
template <class T>
struct Array {
  T* data;
  size_t count;

  explicit Array(size_t count) : data(static_cast<T*>(allocate(count * sizeof(T) + 16))), count(count) {}
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    copyIn(data, values.data(), count * sizeof(T));
  }
  Array(const Array&) = delete;
  ~Array() { release(data); }

  void fill(int byte) { fillBytes(data, byte, count * sizeof(T)); }
  std::vector<T> read() const {
    std::vector<T> values(count);
    copyOut(values.data(), data, count * sizeof(T));
    return values;
  }
};

struct Shape {
  int heads, kvHeads, headDim, window, blockTokens;
  bool fp8;  // keys and values are e4m3

  int paddedDim() const { return headDim > 128 ? 256 : (headDim + 31) / 32 * 32; }
  int tileRows() const { return paddedDim() == 256 ? 64 : 128; }
  int vectors() const { return heads + 2 * kvHeads; }
  int columns() const { return heads * headDim; }
  float scale() const { return float(1.4426950408889634 / sqrt(headDim)); }
  int bytes() const { return fp8 ? 1 : 2; }                    // of an element of the cache
  size_t blockBytes() const { return size_t(2) * kvHeads * blockTokens * paddedDim() * bytes(); }
  double keyBytes() const { return 2.0 * kvHeads * headDim * bytes(); }  // keys and values of one token
};

#define BY_DIM(name)                                                        \
  Kernel name##_of(const Shape& s) {                                        \
    switch (s.paddedDim()) {                                                \
      case 32: return s.fp8 ? ENTRY(name##_fp8_32) : ENTRY(name##_32);      \
      case 64: return s.fp8 ? ENTRY(name##_fp8_64) : ENTRY(name##_64);      \
      case 96: return s.fp8 ? ENTRY(name##_fp8_96) : ENTRY(name##_96);      \
      case 128: return s.fp8 ? ENTRY(name##_fp8_128) : ENTRY(name##_128);   \
      default: return s.fp8 ? ENTRY(name##_fp8_256) : ENTRY(name##_256);    \
    }                                                                       \
  }
BY_DIM(attend_prefill)
BY_DIM(attend_decode)
BY_DIM(rotate_attend)

Kernel attend_fold_of(const Shape& s) {
  switch (s.paddedDim()) {
    case 32: return ENTRY(attend_fold_32);
    case 64: return ENTRY(attend_fold_64);
    case 96: return ENTRY(attend_fold_96);
    case 128: return ENTRY(attend_fold_128);
    default: return ENTRY(attend_fold_256);
  }
}

Kernel rotate_store_of(const Shape& s) { return s.fp8 ? ENTRY(rotate_store_fp8) : ENTRY(rotate_store); }

unsigned prefillSharedBytes(int paddedDim) { return (paddedDim == 256 ? 64 + 256 : 128 + 256) * paddedDim * 2; }

// What a step's attention reads and writes.
struct Step {
  const Shape shape;
  int rowsPad;
  Array<int> tiles, items, folds, counts, tables, arrivals;
  Array<float> sums;
  Array<float> states;
  Array<uint4> result;

  Step(const Shape& shape, const lists::Lists& work, const std::vector<int>& tables, int rows)
      : shape(shape),
        rowsPad((rows + 255) / 256 * 256),
        tiles(work.tiles),
        items(work.items),
        folds(work.folds),
        counts({rows, 0, work.tileCount(), 0, work.itemCount(), work.foldCount()}),
        tables(tables),
        arrivals(std::vector<int>(size_t(rows) * shape.kvHeads)),
        sums(size_t(work.records) * shape.paddedDim()),
        states(size_t(work.records) * 2),
        result(size_t((shape.columns() + 63) / 64) * rowsPad * 8) {
    sums.fill(0xff);
    states.fill(0xff);
    result.fill(0xff);
  }

  void run(const bf16* queries, const void* cache) const {
    const Shape& s = shape;
    int HD = s.paddedDim();
    if (tiles.count) {
      launch(attend_prefill_of(s), dim3(s.kvHeads, unsigned(tiles.count / 8)), 128, prefillSharedBytes(HD), queries,
             cache, tables.data, tiles.data, counts.data, (void*)result.data, rowsPad, s.heads, s.kvHeads, s.headDim,
             s.blockTokens, s.window, s.scale());
    }
    if (items.count) {
      launch(attend_decode_of(s), dim3(s.kvHeads, unsigned(items.count / 8)), HD, 0, queries, cache, tables.data,
             items.data, counts.data, arrivals.data, sums.data, states.data, (void*)result.data, rowsPad, s.heads,
             s.kvHeads, s.headDim, s.blockTokens, s.window, s.scale());
      fold();
    }
  }

  void fold() const {
    const Shape& s = shape;
    if (folds.count == 0) return;
    unsigned jobs = unsigned(folds.count / 8 * s.heads * s.paddedDim() / 32);
    launch(attend_fold_of(s), dim3(std::min(jobs, 1024u)), 128, 0, sums.data, states.data, folds.data, counts.data,
           (void*)result.data, rowsPad, s.heads, s.kvHeads, s.headDim, s.window);
  }

  // Rotation, storing and attention at once. projected: [rows][vectors * headDim].
  void runAtOnce(const float* projected, const float2* angles, const float* gain, void* cache) const {
    const Shape& s = shape;
    int HD = s.paddedDim();
    launch(rotate_attend_of(s), dim3(s.kvHeads, unsigned(items.count / 8)), HD, 0, projected,
           s.vectors() * s.headDim, angles, gain, gain, 1e-5f, cache, tables.data, items.data, counts.data,
           arrivals.data, sums.data, states.data, (void*)result.data, rowsPad, s.heads, s.kvHeads, s.headDim,
           s.blockTokens, s.window, s.scale());
    fold();
  }

  std::vector<uint16_t> bits(int rows) const {
    std::vector<uint4> operand = result.read();
    std::vector<uint16_t> values(size_t(rows) * shape.columns());
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < shape.columns(); c++) {
        const char* base = reinterpret_cast<const char*>(operand.data());
        size_t at = (size_t(c / 64) * rowsPad + r) * 128 + ((c % 64 / 8) ^ (r & 7)) * 16 + c % 8 * 2;
        memcpy(&values[size_t(r) * shape.columns() + c], base + at, 2);
      }
    }
    return values;
  }
};

float widened(uint16_t bits) {
  uint32_t word = uint32_t(bits) << 16;
  float x;
  memcpy(&x, &word, 4);
  return x;
}

// ---------------------------------------------------------------------------------------------------------------------
// Checks
// ---------------------------------------------------------------------------------------------------------------------

// A sequence of `tokens`, its keys and values stored by rotate_store in shuffled blocks of a cache full of NaN.
struct Sequence {
  const Shape shape;
  int tokens;
  int stride;
  std::vector<int> table;
  std::vector<float> inputs;
  std::vector<double> frequencies;
  Array<uint16_t> cache;
  Array<bf16> queries;

  Sequence(const Shape& shape, int tokens, unsigned seed)
      : shape(shape),
        tokens(tokens),
        stride(shape.vectors() * shape.headDim),
        table((tokens + shape.blockTokens - 1) / shape.blockTokens),
        cache((table.size() + 2) * shape.blockBytes() / 2),
        queries(size_t(tokens) * shape.heads * shape.paddedDim()) {
    std::mt19937 random(seed);
    std::iota(table.begin(), table.end(), 1);
    std::shuffle(table.begin(), table.end(), random);
    std::normal_distribution<float> normal;
    inputs.resize(size_t(tokens) * stride);
    for (float& x : inputs) x = normal(random);
    int half = shape.headDim / 2;
    for (int i = 0; i < half; i++) frequencies.push_back(pow(500000.0, -2.0 * i / shape.headDim));
    frequencies.push_back(1);
    std::vector<int> positions(tokens), slots(tokens);
    for (int p = 0; p < tokens; p++) {
      positions[p] = p;
      slots[p] = table[p / shape.blockTokens] * shape.blockTokens + p % shape.blockTokens;
    }
    cache.fill(0xff);
    queries.fill(0xff);
    Array<float> projected(inputs), gain(std::vector<float>(shape.headDim, 1.25f));
    Array<double> deviceFrequencies(frequencies);
    Array<float2> angles(size_t(tokens) * half);
    Array<int> devicePositions(positions), deviceSlots(slots), counts({tokens, 1, 0, 0, 0, 0});
    launch(ENTRY(rope_table), dim3(64), 256, 0, angles.data, deviceFrequencies.data, half, 0, tokens);
    launch(rotate_store_of(shape), dim3(tokens, (shape.vectors() + 7) / 8), 256, 0, projected.data, stride,
           queries.data, (void*)cache.data, angles.data, gain.data, gain.data, 1e-5f, counts.data, devicePositions.data, deviceSlots.data,
           shape.heads, shape.kvHeads, shape.headDim, shape.paddedDim(), shape.blockTokens);
    if (!shape.fp8) checkStored();
  }

  // Some vectors of some tokens against float64.
  void checkStored() const {
    std::vector<uint16_t> stored = cache.read();
    std::vector<bf16> rotated = queries.read();
    int HD = shape.paddedDim(), half = shape.headDim / 2;
    for (int p = 0; p < tokens; p += 13) {
      for (int vector = 0; vector < shape.vectors(); vector++) {
        const float* x = &inputs[size_t(p) * stride + vector * shape.headDim];
        bool isQuery = vector < shape.heads, isValue = vector >= shape.heads + shape.kvHeads;
        int kvHead = vector - shape.heads - (isValue ? shape.kvHeads : 0);
        double mean = 0;
        for (int i = 0; i < shape.headDim; i++) mean += double(x[i]) * x[i] / shape.headDim;
        double factor = 1.25 / sqrt(mean + 1e-5);
        for (int d = 0; d < HD; d++) {
          double expected = 0;
          if (d < shape.headDim) {
            int i = d % half;
            double angle = p * frequencies[i];
            expected = isValue    ? x[d]
                       : d < half ? (x[i] * cos(angle) - x[i + half] * sin(angle)) * factor
                                  : (x[i + half] * cos(angle) + x[i] * sin(angle)) * factor;
          }
          int token = p % shape.blockTokens;
          size_t block = (size_t(table[p / shape.blockTokens]) * shape.kvHeads + kvHead) * 2 * shape.blockTokens * HD;
          int in = d & 31, piece = (in % 8 / 2) * 8 + in / 8 * 2 + in % 2;
          size_t key = block + size_t(token / 8 * (HD / 32) + d / 32) * 256 + token % 8 * 32 + piece;
          int reg = d % 16 / 8 * 2 + token % 16 / 8;
          size_t value = block + size_t(shape.blockTokens) * HD + size_t(token / 16 * (HD / 16) + d / 16) * 256 +
                         (d % 8 * 4 + token % 8 / 2) * 8 + reg * 2 + token % 2;
          size_t query = (size_t(p) * shape.heads + vector) * HD + d / 32 * 32 + piece;
          uint16_t bits = stored[isQuery ? 0 : isValue ? value : key];
          if (isQuery) memcpy(&bits, &rotated[query], 2);
          CHECK(fabs(widened(bits) - expected) <= fabs(expected) / 256 + 1e-5,
                "head dim %d: stored vector %d of token %d, dimension %d: %g, expected %g", shape.headDim, vector, p, d,
                widened(bits), expected);
        }
      }
    }
  }

  std::vector<uint16_t> attend(lists::Lists work) const {
    work.sort();
    Step step(shape, work, table, tokens);
    step.run(queries.data, cache.data);
    return step.bits(tokens);
  }

  // The first tokens one by one, each rotated and stored by the kernel that attends.
  std::vector<uint16_t> attendAtOnce(int count, int chunksMax) const {
    Array<uint16_t> fresh(cache.count);
    fresh.fill(0xff);
    Array<float> projected(inputs), gain(std::vector<float>(shape.headDim, 1.25f));
    Array<double> deviceFrequencies(frequencies);
    Array<float2> angles(size_t(tokens) * (shape.headDim / 2));
    launch(ENTRY(rope_table), dim3(64), 256, 0, angles.data, deviceFrequencies.data, shape.headDim / 2, 0, tokens);
    std::vector<uint16_t> all;
    for (int p = 0; p < count; p++) {
      lists::Lists work{shape.heads, shape.kvHeads};
      work.addDecode({0, p, 1, 0}, chunksMax);
      Step step(shape, work, table, 1);
      step.runAtOnce(projected.data + size_t(p) * stride, angles.data, gain.data, (void*)fresh.data);
      std::vector<uint16_t> row = step.bits(1);
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }

  void checkReference(const std::vector<uint16_t>& bits) const {
    std::vector<int> rows;
    for (int p = 0; p < tokens; p += 29) rows.push_back(p);
    rows.push_back(tokens - 1);
    Array<int> deviceRows(rows), deviceTable(table);
    Array<float> out(rows.size() * shape.columns());
    launch(ENTRY(reference_attention), dim3(unsigned(rows.size()), shape.heads), 128, 0, queries.data,
           reinterpret_cast<const bf16*>(cache.data),
           deviceTable.data, deviceRows.data, deviceRows.data, out.data, shape.heads, shape.kvHeads, shape.headDim,
           shape.paddedDim(), shape.blockTokens, shape.window, shape.scale());
    std::vector<float> expected = out.read();
    double worst = 0;
    for (size_t i = 0; i < expected.size(); i++) {
      float actual = widened(bits[size_t(rows[i / shape.columns()]) * shape.columns() + i % shape.columns()]);
      double error = fabs(actual - expected[i]);
      worst = error <= worst ? worst : error;
      CHECK(error <= 0.01 + fabs(expected[i]) / 128, "head dim %d: row %d column %zu: %g, plain kernel %g",
            shape.headDim, rows[i / shape.columns()], i % shape.columns(), actual, expected[i]);
    }
    printf("  largest difference from the plain kernel %.1e\n", worst);
  }
};

void checkShape(const Shape& shape, int tokens) {
  printf("check %d/%d heads of %d, window %d, blocks of %d%s, %d tokens\n", shape.heads, shape.kvHeads, shape.headDim,
         shape.window, shape.blockTokens, shape.fp8 ? ", e4m3" : "", tokens);
  Sequence sequence(shape, tokens, 1 + shape.headDim);
  lists::Lists none{shape.heads, shape.kvHeads};
  lists::Lists work = none;
  work.addPrefill({0, 0, tokens, 0}, shape.tileRows());
  std::vector<uint16_t> whole = sequence.attend(work);
  if (!shape.fp8) sequence.checkReference(whole);

  auto expectBits = [&](const std::vector<uint16_t>& bits, const char* name) {
    size_t different = 0, first = 0;
    for (size_t i = 0; i < bits.size(); i++) {
      if (bits[i] != whole[i] && different++ == 0) first = i;
    }
    int columns = shape.columns();
    CHECK(different == 0, "head dim %d: %s differs in %zu of %zu, first row %zu column %zu: %04x, prefill gave %04x",
          shape.headDim, name, different, bits.size(), first / columns, first % columns, bits[first], whole[first]);
  };
  auto expectSame = [&](const lists::Lists& other, const char* name) { expectBits(sequence.attend(other), name); };
  std::mt19937 random(3);
  work = none;
  for (int p = 0; p < tokens;) {
    int count = std::min(tokens - p, 1 + int(random() % 100));
    work.addPrefill({p, p, count, 0}, shape.tileRows());
    p += count;
  }
  expectSame(work, "prefill in pieces");
  for (int chunksMax : {1 << 20, 1, 3}) {
    work = none;
    for (int p = 0; p < tokens; p++) work.addDecode({p, p, 1, 0}, chunksMax);
    expectSame(work, chunksMax == 1 ? "decode by chunk" : chunksMax == 3 ? "decode by three chunks" : "decode");
  }
  work = none;
  for (int p = 0; p < tokens;) {
    int count = std::min(tokens - p, 1 + int(random() % 9));
    if (random() % 3) {
      work.addDecode({p, p, count, 0}, 1 + int(random() % 5));
    } else {
      work.addPrefill({p, p, count, 0}, shape.tileRows());
    }
    p += count;
  }
  expectSame(work, "a mixture");
  int some = std::min(tokens, 260);
  expectBits(sequence.attendAtOnce(some, 1 << 20), "rotating decode");
  expectBits(sequence.attendAtOnce(some, 1), "rotating decode by chunk");
}

#ifndef VERDIER_EMULATED
// ---------------------------------------------------------------------------------------------------------------------
// Times
// ---------------------------------------------------------------------------------------------------------------------

int multiprocessors;
double bandwidth;  // GB/s that the probe reads

// Microseconds of one call out of `calls` in a graph; the best of several replays.
template <class Call>
double microseconds(int calls, Call call) {
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  call(0);
  CUDA(cudaStreamSynchronize(stream));
  CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < calls; i++) call(i);
  CUDA(cudaStreamEndCapture(stream, &graph));
  CUDA(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin, end;
  CUDA(cudaEventCreate(&begin));
  CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < 7; i++) {
    CUDA(cudaEventRecord(begin, stream));
    CUDA(cudaGraphLaunch(executable, stream));
    CUDA(cudaEventRecord(end, stream));
    CUDA(cudaEventSynchronize(end));
    float milliseconds;
    CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    if (i > 0) times.push_back(milliseconds);
  }
  std::sort(times.begin(), times.end());
  CUDA(cudaGraphExecDestroy(executable));
  CUDA(cudaGraphDestroy(graph));
  CUDA(cudaEventDestroy(begin));
  CUDA(cudaEventDestroy(end));
  return times[times.size() / 2] * 1000.0 / calls;
}

void fillRandom(void* data, size_t bytes, uint32_t seed) {
  launch(ENTRY(fill_random), dim3(2048), 256, 0, static_cast<uint32_t*>(data), int64_t(bytes / 4), seed);
}

// 4 GB of keys and values, random; layers follow one another in it, so that no call finds its layer in L2.
struct Storage {
  static constexpr size_t BYTES = size_t(4) << 30;
  Array<uint4> data{BYTES / 16};

  Storage() { fillRandom(data.data, BYTES, 1); }

  void* layer(size_t bytes, int index) const {
    size_t count = BYTES / bytes;
    return reinterpret_cast<char*>(data.data) + bytes * (size_t(index) % count);
  }
};

void probe(const Storage& storage) {
  Array<uint32_t> out(1);
  double best = 1e30;
  for (int blocks : {2, 4, 8}) {
    best = std::min(best, microseconds(2, [&](int) {
      launch(ENTRY(read_probe), dim3(multiprocessors * blocks), 256, 0, storage.data.data, int64_t(Storage::BYTES / 16),
             out.data);
    }));
  }
  bandwidth = Storage::BYTES / best / 1e3;
  printf("read probe: %.0f GB/s\n", bandwidth);
}

// A layer's attention in a step of one token a sequence, from the QKV product on: in two launches, and in one.
// chunksMax: 0 for the balanced choice.
void timeDecode(const Shape& s, const Storage& storage, int batch, int context, int chunksMax) {
  int perSequence = (context + s.blockTokens - 1) / s.blockTokens;
  std::vector<int> table(size_t(batch) * perSequence);
  std::iota(table.begin(), table.end(), 0);
  std::shuffle(table.begin(), table.end(), std::mt19937(4));
  lists::Lists work{s.heads, s.kvHeads};
  int chunks = (context + 63) / 64;
  int most = chunksMax ? chunksMax : lists::chunksPerItem(batch, chunks, s.kvHeads, multiprocessors);
  std::vector<int> positions(batch, context - 1), slots(batch);
  for (int i = 0; i < batch; i++) {
    work.addDecode({i, context - 1, 1, i * perSequence}, most);
    slots[i] = table[size_t(i + 1) * perSequence - 1] * s.blockTokens + (context - 1) % s.blockTokens;
  }
  work.sort();
  Step step(s, work, table, batch);
  Array<bf16> queries(size_t(batch) * s.heads * s.paddedDim());
  int stride = s.vectors() * s.headDim;
  Array<float> projected(size_t(batch) * stride);
  Array<float2> angles(size_t(context) * s.headDim / 2);
  Array<int> devicePositions(positions), deviceSlots(slots);
  projected.fill(0);
  angles.fill(0);
  const float* noGain = nullptr;
  size_t layerBytes = table.size() * s.blockBytes();
  double bytes = double(batch) * context * s.keyBytes();
  int calls = std::max(4, std::min(64, int(2e10 / bytes)));
  double two = microseconds(calls, [&](int i) {
    launch(rotate_store_of(s), dim3(batch, (s.vectors() + 7) / 8), 256, 0, projected.data, stride, queries.data,
           storage.layer(layerBytes, i), angles.data, noGain, noGain, 1e-5f, step.counts.data, devicePositions.data,
           deviceSlots.data, s.heads, s.kvHeads, s.headDim, s.paddedDim(), s.blockTokens);
    step.run(queries.data, storage.layer(layerBytes, i));
  });
  double one = microseconds(calls, [&](int i) {
    step.runAtOnce(projected.data, angles.data, noGain, storage.layer(layerBytes, i));
  });
  printf("decode %d/%d x %d%s, batch %3d x %6d: %8.1f us (rotate_store, attend_decode), %8.1f us (rotate_attend):"
         " %5.0f GB/s, %3.0f %% of the probe", s.heads, s.kvHeads, s.headDim, s.fp8 ? " e4m3" : "", batch, context, two, one, bytes / one / 1e3,
         bytes / one / 10.0 / bandwidth);
  printf(" (%d items of at most %d chunks%s)\n", work.itemCount(), most, work.records ? ", folded" : "");
}

void timePrefill(const Shape& s, const Storage& storage, int batch, int tokens) {
  int perSequence = (tokens + s.blockTokens - 1) / s.blockTokens;
  std::vector<int> table(size_t(batch) * perSequence);
  std::iota(table.begin(), table.end(), 0);
  lists::Lists work{s.heads, s.kvHeads};
  for (int i = 0; i < batch; i++) work.addPrefill({i * tokens, 0, tokens, i * perSequence}, s.tileRows());
  work.sort();
  Step step(s, work, table, batch * tokens);
  Array<bf16> queries(size_t(batch) * tokens * s.heads * s.paddedDim());
  fillRandom(queries.data, queries.count * 2, 2);
  double operations = 4.0 * s.headDim * s.heads * batch * (tokens * (tokens + 1.0) / 2);
  size_t layerBytes = table.size() * s.blockBytes();
  double time = microseconds(10, [&](int i) { step.run(queries.data, storage.layer(layerBytes, i)); });
  printf("prefill %d/%d x %d%s, batch %d x %d: %8.1f us, %4.0f TFLOP/s\n", s.heads, s.kvHeads, s.headDim,
         s.fp8 ? " e4m3" : "", batch, tokens,
         time, operations / time / 1e6);
}

void timeRows(int rows) {
  Shape s = {32, 8, 128, 0, 16};
  int hidden = 4096, rowsPad = (rows + 255) / 256 * 256;
  int stride = s.vectors() * s.headDim;
  Array<float> projected(size_t(rows) * stride), residual(size_t(rows) * hidden);
  Array<float> gain(std::vector<float>(hidden, 1.0f)), angles(size_t(4096) * s.headDim);
  Array<uint4> operand(size_t(rowsPad) * hidden / 8);
  std::vector<int> identity(rows);
  std::iota(identity.begin(), identity.end(), 0);
  Array<int> positions(identity), counts({rows, rows, 0, rows, 0, 0});
  Array<bf16> queries(size_t(rows) * s.heads * 128), cache((rows / 16 + 1) * s.blockBytes() / 2);
  projected.fill(0);
  residual.fill(0);
  angles.fill(0);
  const float* noGain = nullptr;
  const int* noSource = nullptr;
  double store = microseconds(50, [&](int) {
    launch(ENTRY(rotate_store), dim3(rows, 6), 256, 0, projected.data, stride, queries.data, cache.data, angles.data,
           noGain, noGain, 1e-5f, counts.data, positions.data, positions.data, s.heads, s.kvHeads, s.headDim, 128,
           s.blockTokens);
  });
  double norm = microseconds(50, [&](int) {
    launch(ENTRY(rms_norm), dim3(rows), 512, hidden * 4, (void*)operand.data, rowsPad, residual.data, hidden, noSource,
           gain.data, hidden, 1e-5f, counts.data);
  });
  printf("%4d rows of 8B: rotate_store %6.2f us, rms_norm %6.2f us\n", rows, store, norm);
}

void times() {
  Storage storage;
  probe(storage);
  const Shape shapes[] = {{32, 8, 128, 0, 16}, {32, 8, 128, 0, 16, true}, {32, 8, 64, 0, 16}};
  for (const Shape& s : shapes) {
    timeDecode(s, storage, 1, 128, 0);
    timeDecode(s, storage, 1, 1024, 0);
    timeDecode(s, storage, 1, 8192, 0);
    timeDecode(s, storage, 1, 65536, 0);
    timeDecode(s, storage, 16, 1024, 0);
    timeDecode(s, storage, 64, 1024, 0);
    timeDecode(s, storage, 256, 1024, 0);
    timePrefill(s, storage, 1, 512);
    timePrefill(s, storage, 8, 512);
    timePrefill(s, storage, 1, 4096);
  }
  printf("other cuts\n");
  for (int context : {128, 192, 256, 384}) {
    for (int chunksMax : {1, 2, 1 << 20}) timeDecode(shapes[0], storage, 1, context, chunksMax);
  }
  timeDecode(shapes[0], storage, 1, 8192, 1);
  timeDecode(shapes[0], storage, 1, 8192, 4);
  timeDecode(shapes[0], storage, 1, 8192, 8);
  timeDecode(shapes[0], storage, 1, 65536, 16);
  timeDecode(shapes[0], storage, 1, 65536, 64);
  timeDecode(shapes[0], storage, 16, 1024, 1 << 20);
  Shape wide = shapes[0];
  wide.blockTokens = 64;
  timeDecode(wide, storage, 64, 1024, 0);
  for (int rows : {1, 64, 4096}) timeRows(rows);
}
#endif

}  // namespace

int main() {
#ifdef VERDIER_EMULATED
  checkShape({8, 2, 128, 0, 16}, 150);
  checkShape({7, 1, 64, 40, 32}, 200);
  checkShape({8, 2, 128, 0, 16, true}, 150);
#else
  cudaDeviceProp properties;
  CUDA(cudaGetDeviceProperties(&properties, 0));
  CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  multiprocessors = properties.multiProcessorCount;
  printf("%s, %d multiprocessors\n", properties.name, multiprocessors);
  const struct {
    Shape shape;
    int tokens;
  } cases[] = {
      {{32, 8, 128, 0, 16}, 1500}, {{32, 8, 64, 0, 16}, 1500},  {{8, 1, 128, 200, 32}, 700}, {{6, 2, 96, 0, 64}, 500},
      {{4, 4, 32, 0, 16}, 400},    {{8, 4, 256, 0, 16}, 500},   {{16, 1, 128, 0, 16}, 500},  {{28, 4, 128, 0, 16}, 700},
      {{5, 5, 80, 64, 48}, 300},    {{32, 8, 128, 0, 16, true}, 700}, {{8, 2, 64, 100, 32, true}, 400},
  };
  for (const auto& c : cases) checkShape(c.shape, c.tokens);
  fflush(stdout);
  times();
#endif
  printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
