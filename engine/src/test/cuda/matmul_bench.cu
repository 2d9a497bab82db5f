// The matmul kernels on a real GPU: are the bits of all kernels equal, are they right, and how fast are they? Shapes of Llama-3.1-8B.
//
//   nvcc -std=c++17 -O3 -arch=sm_90a -I engine/src/main/cuda engine/src/test/cuda/matmul_bench.cu -o matmul_bench
//   ./matmul_bench              everything, below 30 s: bits and values, layers, each product with a sweep of its launches, layers again
//   ./matmul_bench check        only bits and values
//   ./matmul_bench quant        bits, then decode with weights of fewer bits, below 30 s: each product with a sweep of its launches, layers
//   ./matmul_bench time fp8 64  only times, of one format and number of tokens, with a sweep of launches
//   ./matmul_bench profile fp8 64   each kernel that may serve so many tokens once for each product, for a profiler
//   ./matmul_bench tiny         one small product by every kernel, for compute-sanitizer
//
// Weights rotate through a pool of several times the L2 cache, so that every launch reads them from memory. A time is the median of several
// replays of a graph of launches; GB/s counts the weights once, TFLOP/s 2 * tokens * N * K. Shares are of what two probes of the
// same run reach: reading the pool, and wgmma on registers and shared memory alone. Exit status 1: some kernel is wrong.
#include "matmul_small.cu"
#include "matmul_tile.cu"
#include "matmul_wgmma.cu"
#include "pack.cu"
#include "probe.cu"

#include "matmul_plan.h"

#include <cuda_runtime.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

// ---------------------------------------------------------------------------------------------------------------- probes and references

/// X as bf16 of normal numbers with a few large ones, all rows of the operand.
KERNEL(fill_operand, void* operand, int operandRows, int k, long long seed) {
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < static_cast<long long>(operandRows) * k;
       i += static_cast<long long>(gridDim.x) * blockDim.x) {
    int row = static_cast<int>(i / k), column = static_cast<int>(i % k);
    float x = random_normal(seed, row, column);
    *operand_at(operand, operandRows, row, column) = from_float_rn(column % 997 == 0 ? 30 * x : x);
  }
}

/// Words of normal numbers as fp8, and a scale for all rows. As int8 they are numbers too, if not normal ones.
KERNEL(fill_fp8, uint32_t* weights, int groups, float* scales, int rows, long long seed) {
  for (int i = threadIdx.x; blockIdx.x == 0 && i < rows; i += blockDim.x) scales[i] = 0.02f / 128;
  for (int group = blockIdx.x; group < groups; group += gridDim.x) {
    uint8_t codes[4];
    for (int i = 0; i < 4; i++) codes[i] = e4m3_from_float(128 * random_normal(seed, group, static_cast<int>(threadIdx.x) * 4 + i));
    weights[static_cast<long long>(group) * 256 + threadIdx.x] = e4m3x4_pack(codes[0], codes[1], codes[2], codes[3]);
  }
}

/// Groups of any codes and of values of code 0 from 1/16 to 1/8.
KERNEL(fill_int4, unsigned char* weights, int groups, long long seed) {
  for (int group = blockIdx.x; group < groups; group += gridDim.x) {
    uint32_t* words = reinterpret_cast<uint32_t*>(weights + static_cast<long long>(group) * Int4Weights::GROUP_BYTES);
    for (int i = threadIdx.x; i < Int4Weights::GROUP_BYTES / 4; i += blockDim.x) {
      uint32_t any = __float_as_uint(random_normal(seed, group, i)) * 0x9e3779b1u;
      words[i] = i < 128 ? any ^ any >> 15 : 0x3d803d80u | (any & 0x807f807fu);
    }
  }
}

KERNEL(fill_f32, float* out, long long count) {
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<long long>(gridDim.x) * blockDim.x)
    out[i] = 0.25f * static_cast<float>(i % 37 - 18);
}

/// How many words differ, and by how much at most when they are floats: the last bits, or anything?
KERNEL(compare_bits, const float* a, const float* b, long long count, unsigned long long* different, float* worst) {
  unsigned mine = 0;
  float most = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<long long>(gridDim.x) * blockDim.x) {
    if (__float_as_uint(a[i]) == __float_as_uint(b[i])) continue;
    mine++;
    most = fmaxf(most, fabsf(a[i] - b[i]));
  }
  if (mine) {
    atomicAdd(different, static_cast<unsigned long long>(mine));
    atomicMax(reinterpret_cast<int*>(worst), __float_as_int(most));
  }
}

template <class Format>
DEVICE void reference(const void* weights, const float* scales, const void* operand, int operandRows, int n, int k, int rowStep, const float* out,
                      int outStride, unsigned long long* wrong, float* worst) {
  int row = blockIdx.x * rowStep, token = blockIdx.y;
  double sum = 0, magnitude = 0;
  for (int i = threadIdx.x; i < k; i += 32) {
    double product = static_cast<double>(element<Format>(weights, row, i, k / 64)) * static_cast<double>(to_float(*operand_at(operand, operandRows, token, i)));
    sum += product;
    magnitude += product * product;
  }
  for (int lane = 16; lane > 0; lane /= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    magnitude += __shfl_xor_sync(0xffffffffu, magnitude, lane);
  }
  if (threadIdx.x != 0) return;
  double scale = scales == nullptr ? 1.0 : static_cast<double>(scales[row]);
  double error = fabs(static_cast<double>(out[static_cast<long long>(token) * outStride + row]) - sum * scale) / (sqrt(magnitude) * scale + 1e-30);
  atomicMax(reinterpret_cast<int*>(worst), __float_as_int(static_cast<float>(error)));
  if (error > 1e-4) atomicAdd(wrong, 1ull);  // K / 16 steps, each truncated to 2^-23 or so of the partial sum
}

/// A thread a code of fp8, of int8, and one of int4 with one of many scales, against plain arithmetic: do subnormal bf16 count here?
KERNEL(check_codes, unsigned long long* wrong) {
  uint8_t code = static_cast<uint8_t>(threadIdx.x);
  uint32_t first, second;
  e4m3x4_to_bf16(e4m3x4_pack(code, 0, 0, code), first, second);
  float magnitude = code % 128 < 8 ? static_cast<float>(code % 8) / 512 : static_cast<float>(8 + code % 8) * exp2f(static_cast<float>(code % 128 / 8 - 10));
  bool good = low_to_float(first) == (code < 128 ? magnitude : -magnitude) && high_to_float(second) == low_to_float(first);
  excess128x4_to_bf16(bytes_pack(code, 0, 0, code), first, second);
  good &= low_to_float(first) == static_cast<float>(code - 128) / 64 && high_to_float(second) == low_to_float(first);
  uint32_t zero = static_cast<uint32_t>(0x2e80 + blockIdx.x * 16 + threadIdx.x / 16 + threadIdx.x % 2 * 0x8000);  // 2^-34 to below 1/4
  float product = static_cast<float>(8 - static_cast<int>(threadIdx.x % 16)) * low_to_float(zero) / 8;
  int4x4_to_bf16(threadIdx.x % 16 * 0x00010010u, Int4Scale(zero * 0x10001u), first, second);
  good &= high_to_float(first) == to_float(from_float_rn(product)) && low_to_float(second) == high_to_float(first);
  if (!good) atomicAdd(wrong, 1ull);
}

/// Every rowStep-th weight row against a float64 sum. block 32. error is relative to the root of the sum of squared products.
KERNEL(reference_bf16, const void* weights, const float* scales, const void* operand, int operandRows, int n, int k, int rowStep,
       const float* out, int outStride, unsigned long long* wrong, float* worst) {
  reference<Bf16Weights>(weights, scales, operand, operandRows, n, k, rowStep, out, outStride, wrong, worst);
}
KERNEL(reference_int8, const void* weights, const float* scales, const void* operand, int operandRows, int n, int k, int rowStep,
       const float* out, int outStride, unsigned long long* wrong, float* worst) {
  reference<Int8Weights>(weights, scales, operand, operandRows, n, k, rowStep, out, outStride, wrong, worst);
}
KERNEL(reference_int4, const void* weights, const float* scales, const void* operand, int operandRows, int n, int k, int rowStep,
       const float* out, int outStride, unsigned long long* wrong, float* worst) {
  reference<Int4Weights>(weights, scales, operand, operandRows, n, k, rowStep, out, outStride, wrong, worst);
}
KERNEL(reference_fp8, const void* weights, const float* scales, const void* operand, int operandRows, int n, int k, int rowStep,
       const float* out, int outStride, unsigned long long* wrong, float* worst) {
  reference<Fp8Weights>(weights, scales, operand, operandRows, n, k, rowStep, out, outStride, wrong, worst);
}

// ---------------------------------------------------------------------------------------------------------------- host

namespace {

#define CUDA(call)                                                                                  \
  do {                                                                                              \
    cudaError_t error = call;                                                                       \
    if (error != cudaSuccess) {                                                                     \
      printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error));              \
      exit(2);                                                                                      \
    }                                                                                               \
  } while (false)

enum Format { BF16, FP8, INT8, INT4 };
const int FORMATS = 4;
const char* const FORMAT_NAMES[] = {"bf16", "fp8", "int8", "int4"};
const int GROUP_BYTES[] = {2048, 1024, 1024, 544};

/// Kernels are tried in this order, what is least likely to hang first.
enum class Stage { MMA, WGMMA };

struct Kernel {
  const char* name;
  const void* function;
  MatmulKernel kind;
  Format format;
  int tokens;
  int split;

  Stage stage() const { return kind == MatmulKernel::WGMMA ? Stage::WGMMA : Stage::MMA; }
};

#define SMALL(format, F, t, s) {"small_" #t "x" #s, (const void*)matmul_small_##format##_##t##x##s, MatmulKernel::SMALL, F, t, s},
#define TILE(format, F, t) {"tile_" #t, (const void*)matmul_tile_##format##_##t, MatmulKernel::TILE, F, t, 0},
#define WGMMA(format, F, t, w) {"wgmma_" #t "x" #w, (const void*)matmul_wgmma_##format##_##t##x##w, MatmulKernel::WGMMA, F, t, w},
#define ALL(format, F)                                                                                                             \
  TILE(format, F, 128) TILE(format, F, 64) TILE(format, F, 32) TILE(format, F, 16) TILE(format, F, 8)                             \
  SMALL(format, F, 8, 1) SMALL(format, F, 16, 1) SMALL(format, F, 32, 1) SMALL(format, F, 64, 2)                                  \
  WGMMA(format, F, 64, 1) WGMMA(format, F, 64, 2) WGMMA(format, F, 128, 1) WGMMA(format, F, 128, 2) WGMMA(format, F, 256, 2)
#define FEW_BITS(format, F) ALL(format, F) SMALL(format, F, 32, 2) WGMMA(format, F, 64, 4)

const Kernel KERNELS[] = {ALL(bf16, BF16) FEW_BITS(fp8, FP8) FEW_BITS(int8, INT8) FEW_BITS(int4, INT4)};

const struct Shape {
  const char* name;
  int n, k;
  int epilogue;
} SHAPES[] = {
    {"qkv", 6144, 4096, EPILOGUE_STORE},
    {"o", 4096, 4096, EPILOGUE_ADD},
    {"gate_up", 28672, 4096, EPILOGUE_GATE},
    {"down", 4096, 14336, EPILOGUE_ADD},
};

const Shape TINY = {"tiny", 576, 320, EPILOGUE_GATE};

const int TOKENS[] = {1, 8, 16, 32, 64, 128, 256, 1024, 4096};
const int TOKEN_COUNTS = sizeof TOKENS / sizeof *TOKENS;
const int TOKENS_MAX = 4096;
const long long POOL = 768ll << 20;

MatmulDevice device;
cudaStream_t stream;
unsigned char* pool[FORMATS];  // weights of each format, any run of groups of which is a matrix; fp8 and int8 share one
float* scales;                // of all but bf16, the same for all rows
unsigned char* operand;       // [14336 / 64][4096][64]
float *out, *expected;        // [4096][28672]
int* counts;
unsigned long long* different;
float* worst;
bool failed;
bool graphs = true;            // launches are timed in graphs; false where capture or instantiation fails

double elapsed(cudaEvent_t a, cudaEvent_t b) {
  float ms;
  CUDA(cudaEventElapsedTime(&ms, a, b));
  return ms * 1e-3;
}

long long weight_bytes(const Shape& shape, Format format) { return static_cast<long long>(shape.n) / 16 * (shape.k / 64) * GROUP_BYTES[format]; }

/// As the rule would launch it, or a small kernel with another ring and so many weight tiles a block.
MatmulPlan small_plan(const Kernel& kernel, const Shape& shape, int tokens, int stages = 0, int pieceBytes = 0, int blockTiles = 0) {
  MatmulPlan plan = matmul_small_plan(kernel.tokens, kernel.split, shape.n, GROUP_BYTES[kernel.format], device, stages, pieceBytes, blockTiles);
  plan.gridY = matmul_ceil(tokens, kernel.tokens);
  return plan;
}

MatmulPlan plan_of(const Kernel& kernel, const Shape& shape, int tokens) {
  int group = GROUP_BYTES[kernel.format];
  if (kernel.kind == MatmulKernel::SMALL) return small_plan(kernel, shape, tokens);
  if (kernel.kind == MatmulKernel::TILE) return matmul_tile_plan(kernel.tokens, tokens, shape.n, group, device.multiprocessors);
  return matmul_wgmma_plan(kernel.tokens, kernel.split, tokens, shape.n, group, device);
}

/// One launch; `where` picks the piece of the pool. pdl: may start while its predecessor runs.
void launch(const Kernel& kernel, const MatmulPlan& plan, const Shape& shape, long long where, void* to, int countIndex, int epilogue, bool pdl) {
  const void* weights = pool[kernel.format] + where;
  const float* scale = kernel.format == BF16 ? nullptr : scales;
  const float* bias = nullptr;
  const void* x = operand;
  int operandRows = TOKENS_MAX, outStride = epilogue == EPILOGUE_GATE ? TOKENS_MAX : shape.n, n = shape.n, k = shape.k, stages = plan.stages,
      stageGroups = plan.stageGroups;
  const int* count = counts;
  const void* none = nullptr;  // addend, its places
  void* arguments[] = {&weights,    &scale, &bias, &x,        &operandRows, &to,          &outStride, &count,
                       &countIndex, &n,     &k,    &epilogue, &stages,      &stageGroups, &none,      &none};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(plan.gridX, plan.gridY);
  config.blockDim = dim3(plan.block);
  config.dynamicSmemBytes = plan.sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = pdl ? 1 : 0;
  CUDA(cudaLaunchKernelExC(&config, kernel.function, arguments));
}

/// counts[i] = i for small i, so that any number of tokens is an index.
int count_index(int tokens) { return tokens; }

/// The work as a graph, or null and from then on none at all: an older driver may not capture programmatic launches.
template <class Work>
cudaGraphExec_t captured(Work work) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  work();
  cudaError_t error = cudaStreamEndCapture(stream, &graph);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&exec, graph, 0);
  if (graph) CUDA(cudaGraphDestroy(graph));
  if (error == cudaSuccess) return exec;
  printf("no graphs: %s\n", cudaGetErrorString(error));
  cudaGetLastError();
  graphs = false;
  return nullptr;
}

/// Seconds of one launch of `work`, which enqueues `launches` of them: median of `replays` replays.
template <class Work>
double seconds(int launches, int replays, Work work) {
  cudaGraphExec_t exec = graphs ? captured(work) : nullptr;
  cudaEvent_t start, stop;
  CUDA(cudaEventCreate(&start));
  CUDA(cudaEventCreate(&stop));
  std::vector<double> times;
  for (int i = 0; i <= replays; i++) {
    CUDA(cudaEventRecord(start, stream));
    if (exec) {
      CUDA(cudaGraphLaunch(exec, stream));
    } else {
      work();
    }
    CUDA(cudaEventRecord(stop, stream));
    CUDA(cudaEventSynchronize(stop));
    if (i > 0) times.push_back(elapsed(start, stop));  // the first one uploads the graph
  }
  CUDA(cudaEventDestroy(start));
  CUDA(cudaEventDestroy(stop));
  if (exec) CUDA(cudaGraphExecDestroy(exec));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] / launches;
}

/// Seconds of one matmul, weights from memory.
double time_kernel(const Kernel& kernel, const MatmulPlan& plan, const Shape& shape, int tokens) {
  long long bytes = weight_bytes(shape, kernel.format);
  double guess = std::max(bytes / 4e12, 2.0 * tokens * shape.n * shape.k / 5e14);
  int launches = std::max(2, std::min(40, static_cast<int>(0.6e-3 / guess)));
  int copies = static_cast<int>(POOL / bytes);
  return seconds(launches, guess > 5e-4 ? 3 : 5, [&] {
    for (int i = 0; i < launches; i++)
      launch(kernel, plan, shape, i % copies * bytes, shape.epilogue == EPILOGUE_GATE ? (void*)expected : (void*)out, count_index(tokens),
             shape.epilogue, i > 0);
  });
}

unsigned long long compare(const void* a, const void* b, long long bytes) {
  CUDA(cudaMemsetAsync(different, 0, 8, stream));
  CUDA(cudaMemsetAsync(worst, 0, 4, stream));
  compare_bits<<<1056, 256, 0, stream>>>((const float*)a, (const float*)b, bytes / 4, different, worst);
  unsigned long long count = 0;
  CUDA(cudaMemcpyAsync(&count, different, 8, cudaMemcpyDeviceToHost, stream));
  CUDA(cudaStreamSynchronize(stream));
  return count;
}

int reports;

void report_failure(const char* what, const Kernel& kernel, const Shape& shape, int tokens, unsigned long long count) {
  failed = true;
  if (++reports > 40) return;
  float most = 0;
  CUDA(cudaMemcpy(&most, worst, 4, cudaMemcpyDeviceToHost));
  printf("MISMATCH %s: %s %s %s tokens %d: %llu, at most by %g\n", what, FORMAT_NAMES[kernel.format], kernel.name, shape.name, tokens, count, most);
}

/// The kernels of a stage against the tile kernel, bit for bit, and that one against float64.
void check(Format format, const Shape& shape, Stage stage) {
  const Kernel* tile = nullptr;
  for (const Kernel& kernel : KERNELS)
    if (kernel.format == format && kernel.kind == MatmulKernel::TILE && kernel.tokens == 128) tile = &kernel;
  const int all = 300;
  int equal = 0, kernels = 0;
  long long bytes = 4ll * all * shape.n;
  fill_f32<<<1056, 256, 0, stream>>>(expected, bytes / 4);
  launch(*tile, plan_of(*tile, shape, all), shape, 0, expected, count_index(all), EPILOGUE_STORE, false);
  CUDA(cudaMemsetAsync(different, 0, 8, stream));
  CUDA(cudaMemsetAsync(worst, 0, 4, stream));
  auto* ref = format == BF16 ? reference_bf16 : format == FP8 ? reference_fp8 : format == INT8 ? reference_int8 : reference_int4;
  ref<<<dim3(shape.n / 61, all), 32, 0, stream>>>(pool[format], format == BF16 ? nullptr : scales, operand, TOKENS_MAX, shape.n, shape.k, 61,
                                                  expected, shape.n, different, worst);
  unsigned long long wrong = 0;
  float error = 0;
  CUDA(cudaMemcpyAsync(&wrong, different, 8, cudaMemcpyDeviceToHost, stream));
  CUDA(cudaMemcpyAsync(&error, worst, 4, cudaMemcpyDeviceToHost, stream));
  CUDA(cudaStreamSynchronize(stream));
  if (wrong) report_failure("against float64", *tile, shape, all, wrong);

  for (const Kernel& kernel : KERNELS) {
    if (kernel.format != format || kernel.stage() != stage) continue;
    kernels++;
    bool good = true;
    for (int tokens : {1, 7, 8, 40, 129, all}) {
      if (tokens != all && tokens > 4 * kernel.tokens) continue;
      // beyond the real tokens the output keeps what was there
      fill_f32<<<1056, 256, 0, stream>>>(out, bytes / 4);
      launch(kernel, plan_of(kernel, shape, tokens), shape, 0, out, count_index(tokens), EPILOGUE_STORE, false);
      unsigned long long count = compare(out, expected, 4ll * tokens * shape.n);
      if (count) report_failure("bits", kernel, shape, tokens, count), good = false;
      float* before = expected + static_cast<long long>(all) * shape.n;
      fill_f32<<<1056, 256, 0, stream>>>(before, bytes / 4);
      count = compare(out + static_cast<long long>(tokens) * shape.n, before + static_cast<long long>(tokens) * shape.n, 4ll * (all - tokens) * shape.n);
      if (count) report_failure("written beyond the tokens", kernel, shape, tokens, count), good = false;
    }
    equal += good;
  }

  // The shape's own epilogue.
  if (shape.epilogue != EPILOGUE_STORE) {
    for (const Kernel& kernel : KERNELS) {
      if (kernel.format != format || (kernel.stage() != stage && &kernel != tile)) continue;
      float* to = &kernel == tile ? expected : out;
      fill_f32<<<1056, 256, 0, stream>>>(to, 4ll * TOKENS_MAX * shape.n / 8);
      launch(kernel, plan_of(kernel, shape, all), shape, 0, to, count_index(all), shape.epilogue, false);
      unsigned long long count = compare(out, expected, shape.epilogue == EPILOGUE_GATE ? 1ll * TOKENS_MAX * shape.n : bytes);
      if (&kernel != tile && count) report_failure(shape.epilogue == EPILOGUE_GATE ? "gate" : "add", kernel, shape, all, count);
    }
  }
  printf("check %-8s %-4s %2d of %2d kernels have the tile kernel's bits, which are within %.1e of float64\n", shape.name, FORMAT_NAMES[format], equal,
         kernels, error);
  fflush(stdout);
}

void check_conversions() {
  CUDA(cudaMemsetAsync(different, 0, 8, stream));
  check_codes<<<256, 256, 0, stream>>>(different);
  unsigned long long wrong = 0;
  CUDA(cudaMemcpyAsync(&wrong, different, 8, cudaMemcpyDeviceToHost, stream));
  CUDA(cudaStreamSynchronize(stream));
  if (wrong) failed = true;
  printf("check codes of fp8, int8, int4: %llu wrong\n", wrong);
}

double read_rate, copy_rate, wgmma_rate;

void probe() {
  unsigned* sink = (unsigned*)different;
  double best = 0;
  for (int blocks : {1, 2, 4, 8})
    for (int threads : {256, 512, 1024})
      if (blocks * threads <= 2048)
        best = std::max(best, POOL / seconds(2, 5, [&] {
                          for (int f = 0; f < 2; f++)
                            probe_read<<<blocks * device.multiprocessors, threads, 0, stream>>>((const uint4*)pool[f], POOL / 16, sink);
                        }));
  read_rate = best;
  copy_rate = 2.0 * (400 << 20) / seconds(1, 5, [&] { CUDA(cudaMemcpyAsync(out, pool[0], 400 << 20, cudaMemcpyDeviceToDevice, stream)); });
  const int rounds = 2000;
  wgmma_rate = 2.0 * 64 * 256 * 16 * 4 * 2 * rounds * device.multiprocessors / seconds(1, 5, [&] {
                 probe_wgmma<<<device.multiprocessors, 256, 65536, stream>>>(operand, (float*)sink, rounds);
               });
  printf("probes: read %.0f GB/s, copy %.0f GB/s (both directions), wgmma %.0f TFLOP/s\n", read_rate * 1e-9, copy_rate * 1e-9, wgmma_rate * 1e-12);
}

/// Which kernels are worth timing for so many tokens. wgmma also with the tokens split over two blocks that share their weights in L2.
bool candidate(const Kernel& kernel, int tokens) {
  if (kernel.kind == MatmulKernel::TILE) return tokens <= 64 ? kernel.tokens >= tokens && kernel.tokens < 2 * tokens + 8 : kernel.tokens == 128;
  if (tokens > 128) return kernel.tokens >= 128;
  if (kernel.kind == MatmulKernel::WGMMA && tokens >= 64 && kernel.tokens * 2 == tokens) return true;
  return kernel.tokens >= tokens && kernel.tokens < 2 * std::max(tokens, 8);
}

/// The rule's plan first.
std::vector<MatmulPlan> plans_of(const Kernel& kernel, const Shape& shape, int tokens) {
  std::vector<MatmulPlan> plans = {plan_of(kernel, shape, tokens)};
  if (kernel.kind == MatmulKernel::SMALL) {
    for (int stages : {3, 4, 6, 8})
      for (int piece : {2048, 4096, 8192, 16384}) {
        MatmulPlan plan = small_plan(kernel, shape, tokens, stages, piece);
        if (plan.stages != stages || plan.stageGroups != matmul_ceil(piece, GROUP_BYTES[kernel.format]) || plan.stageGroups % 2 == 1) continue;
        if (plan.stages != plans[0].stages || plan.stageGroups != plans[0].stageGroups) plans.push_back(plan);
      }
    if (tokens > 8) {
      for (int blockTiles : {2, 3, 4, 5, 6, 7})
        if (blockTiles * device.multiprocessors * 16 >= shape.n && blockTiles * 64 * 16 <= shape.n * 3 / 2 && blockTiles <= 7)
          for (int stages : {3, 4}) plans.push_back(small_plan(kernel, shape, tokens, stages, 0, blockTiles));
    }
  } else if (kernel.kind == MatmulKernel::WGMMA && tokens <= 256) {
    for (int groups : {1, 2, 4}) {
      MatmulPlan plan = matmul_wgmma_plan(kernel.tokens, kernel.split, tokens, shape.n, GROUP_BYTES[kernel.format], device, groups);
      if (plan.stages >= 2 && groups != plans[0].stageGroups) plans.push_back(plan);
    }
  }
  return plans;
}

/// What the sweep found fastest.
struct Best {
  const Kernel* kernel;
  MatmulPlan plan;
  double time;
} bests[FORMATS][4][TOKEN_COUNTS];

std::string text_of(const Kernel& kernel, const MatmulPlan& plan, const MatmulPlan& usual) {
  char text[96];
  int length = snprintf(text, sizeof text, "%s %dx%d", kernel.name, plan.stages, plan.stageGroups);
  if (plan.gridX != usual.gridX) snprintf(text + length, sizeof text - length, " grid %d", plan.gridX);
  return text;
}

void bench(Format format, int shapeIndex, int tokensIndex) {
  const Shape& shape = SHAPES[shapeIndex];
  int tokens = TOKENS[tokensIndex];
  MatmulPlan rule = matmul_plan(tokens, shape.n, GROUP_BYTES[format], device);
  double bytes = weight_bytes(shape, format), flops = 2.0 * tokens * shape.n * shape.k;
  double ruleTime = 0;
  Best best = {nullptr, rule, 1e9};
  std::string bestName, line;
  for (const Kernel& kernel : KERNELS) {
    if (kernel.format != format || !candidate(kernel, tokens)) continue;
    std::vector<MatmulPlan> plans = plans_of(kernel, shape, tokens);
    double kernelBest = 1e9;
    std::string kernelName;
    for (const MatmulPlan& plan : plans) {
      double t = time_kernel(kernel, plan, shape, tokens);
      bool isRule = &plan == &plans[0] && kernel.kind == rule.kernel && kernel.tokens == rule.tokens && kernel.split == rule.split;
      if (isRule) ruleTime = t;
      if (t < kernelBest) kernelBest = t, kernelName = text_of(kernel, plan, plans[0]);
      if (t < best.time) best = Best{&kernel, plan, t}, bestName = text_of(kernel, plan, plans[0]);
    }
    char text[32];
    snprintf(text, sizeof text, " %.1f,", kernelBest * 1e6);
    line += " " + kernelName + text;
  }
  bests[format][shapeIndex][tokensIndex] = best;
  printf("%-8s %-4s %5d  rule %8.1f us %5.0f GB/s %3.0f%% %6.1f TFLOP/s %3.0f%%  best %8.1f us %-24s |%s\n", shape.name, FORMAT_NAMES[format], tokens,
         ruleTime * 1e6, bytes / ruleTime * 1e-9, 100 * bytes / ruleTime / read_rate, flops / ruleTime * 1e-12, 100 * flops / ruleTime / wgmma_rate,
         best.time * 1e6, bestName.c_str(), line.c_str());
  fflush(stdout);
}

const Kernel& kernel_of(Format format, const MatmulPlan& plan) {
  for (const Kernel& kernel : KERNELS)
    if (kernel.format == format && kernel.kind == plan.kernel && kernel.tokens == plan.tokens && kernel.split == plan.split) return kernel;
  abort();
}

/// Seconds of the four products of a layer after each other, eight layers: what decode sees of the gaps between kernels. By the
/// kernels of the plans.
double time_layer(Format format, int tokens, const MatmulPlan (&plans)[4], bool pdl) {
  return seconds(8, 5, [&] {
    long long where = 0;
    for (int i = 0; i < 32; i++) {
      const Shape& shape = SHAPES[i % 4];
      if (where + weight_bytes(shape, format) > POOL) where = 0;
      launch(kernel_of(format, plans[i % 4]), plans[i % 4], shape, where, shape.epilogue == EPILOGUE_GATE ? (void*)expected : (void*)out,
             count_index(tokens), shape.epilogue, pdl && i > 0);
      where += weight_bytes(shape, format);
    }
  });
}

/// The rule's layer with and without programmatic launch, then one idea changed at a time.
void bench_layer(Format format, int tokensIndex) {
  int tokens = TOKENS[tokensIndex];
  double bytes = 0;
  MatmulPlan rule[4], changed[4];
  for (int i = 0; i < 4; i++) {
    bytes += weight_bytes(SHAPES[i], format);
    rule[i] = matmul_plan(tokens, SHAPES[i].n, GROUP_BYTES[format], device);
  }
  auto show = [&](const char* what, double t) { printf("; %s %.1f us %.0f%%", what, t * 1e6, 100 * bytes / t / read_rate); };
  printf("layer    %-4s %5d", FORMAT_NAMES[format], tokens);
  show("rule", time_layer(format, tokens, rule, true));
  show("without programmatic launch", time_layer(format, tokens, rule, false));
  if (rule[0].kernel == MatmulKernel::SMALL) {
    for (int stages : {2, 3, 6}) {
      for (int i = 0; i < 4; i++)
        changed[i] = rule[i].kernel == MatmulKernel::SMALL ? small_plan(kernel_of(format, rule[i]), SHAPES[i], tokens, stages) : rule[i];
      char text[32];
      snprintf(text, sizeof text, "%d stages", stages);
      show(text, time_layer(format, tokens, changed, true));
    }
  }
  if (bests[format][0][tokensIndex].kernel) {
    for (int i = 0; i < 4; i++) changed[i] = bests[format][i][tokensIndex].plan;
    show("best of each", time_layer(format, tokens, changed, true));
    show("without programmatic launch", time_layer(format, tokens, changed, false));
  }
  printf("\n");
  fflush(stdout);
}

void set_up() {
  cudaDeviceProp properties;
  CUDA(cudaGetDeviceProperties(&properties, 0));
  device = MatmulDevice{properties.multiProcessorCount, static_cast<int>(properties.sharedMemPerBlockOptin), properties.major >= 9, properties.major == 9};
  int runtime = 0, driver = 0;
  CUDA(cudaRuntimeGetVersion(&runtime));
  CUDA(cudaDriverGetVersion(&driver));
  printf("%s, %d SMs, L2 %d MB, runtime %d, driver %d\n", properties.name, device.multiprocessors, properties.l2CacheSize >> 20, runtime, driver);
  if (!device.wgmma) {
    printf("needs a GPU of compute capability 9.0\n");
    exit(2);
  }
  CUDA(cudaStreamCreate(&stream));
  CUDA(cudaMalloc(&pool[0], POOL));
  CUDA(cudaMalloc(&pool[1], POOL));
  pool[2] = pool[1];
  CUDA(cudaMalloc(&pool[3], POOL));
  CUDA(cudaMalloc(&scales, 28672 * 4 * 16));
  CUDA(cudaMalloc(&operand, 14336ll * TOKENS_MAX * 2));
  CUDA(cudaMalloc(&out, 4ll * TOKENS_MAX * 28672));
  CUDA(cudaMalloc(&expected, 4ll * TOKENS_MAX * 28672));
  CUDA(cudaMalloc(&counts, 4 * (TOKENS_MAX + 1)));
  CUDA(cudaMalloc(&different, 8));
  CUDA(cudaMalloc(&worst, 4));
  std::vector<int> numbers(TOKENS_MAX + 1);
  for (int i = 0; i <= TOKENS_MAX; i++) numbers[i] = i;
  CUDA(cudaMemcpy(counts, numbers.data(), 4 * (TOKENS_MAX + 1), cudaMemcpyHostToDevice));
  int rows = static_cast<int>(POOL / 2 / 4096);
  fill_random_bf16<<<4096, 256, 0, stream>>>(pool[0], rows, 4096, 1, 0.02f);
  fill_fp8<<<4096, 256, 0, stream>>>(reinterpret_cast<uint32_t*>(pool[1]), static_cast<int>(POOL / 1024), scales, 28672 * 16, 2);
  fill_int4<<<4096, 256, 0, stream>>>(pool[3], static_cast<int>(POOL / Int4Weights::GROUP_BYTES), 4);
  fill_operand<<<4096, 256, 0, stream>>>(operand, TOKENS_MAX, 14336, 3);
  for (const Kernel& kernel : KERNELS)
    CUDA(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.kind == MatmulKernel::TILE ? 160 * 1024 : device.sharedBytesMax - 1024));
  CUDA(cudaFuncSetAttribute(probe_wgmma, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
  CUDA(cudaStreamSynchronize(stream));
}

}  // namespace

void check_all(Stage stage) {
  for (Format format : {BF16, FP8, INT8, INT4})
    for (const Shape& shape : SHAPES) check(format, shape, stage);
}

/// Up to 128 tokens.
void layers() {
  for (Format format : {BF16, FP8})
    for (int i = 0; TOKENS[i] <= 128; i++) bench_layer(format, i);
}

/// A format and a number of tokens by their names, or what there is to choose from.
void chosen(int argc, char** argv, Format& format, int& tokensIndex) {
  for (int f = 0; argc == 4 && f < FORMATS; f++)
    for (int i = 0; i < TOKEN_COUNTS; i++)
      if (FORMAT_NAMES[f] == std::string(argv[2]) && TOKENS[i] == atoi(argv[3])) {
        format = static_cast<Format>(f), tokensIndex = i;
        return;
      }
  printf("a format (bf16, fp8, int8, int4) and 1, 8, 16, 32, 64, 128, 256, 1024 or 4096 tokens are to be named\n");
  exit(2);
}

/// One launch each, the rule's first.
void profile(Format format, int tokens) {
  for (const Shape& shape : SHAPES) {
    MatmulPlan rule = matmul_plan(tokens, shape.n, GROUP_BYTES[format], device);
    const Kernel& usual = kernel_of(format, rule);
    void* to = shape.epilogue == EPILOGUE_GATE ? (void*)expected : (void*)out;
    launch(usual, rule, shape, 0, to, count_index(tokens), shape.epilogue, false);
    for (const Kernel& kernel : KERNELS)
      if (&kernel != &usual && kernel.format == format && candidate(kernel, tokens))
        launch(kernel, plan_of(kernel, shape, tokens), shape, 0, to, count_index(tokens), shape.epilogue, false);
  }
  CUDA(cudaStreamSynchronize(stream));
}

/// A kernel that waits for ever would hold the GPU for ever.
void watch(int seconds) {
  std::thread([seconds] {
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    printf("FAILED: not done after %d s, a kernel hangs\n", seconds);
    fflush(stdout);
    _exit(3);
  }).detach();
}

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "all";
  if (mode == "tiny") {
    set_up();
    for (Stage stage : {Stage::MMA, Stage::WGMMA})
      for (Format format : {BF16, FP8, INT8, INT4}) check(format, TINY, stage);
    return failed;
  }
  watch(100);
  set_up();
  if (mode == "time" || mode == "profile") {
    Format format;
    int tokensIndex;
    chosen(argc, argv, format, tokensIndex);
    if (mode == "profile") {
      profile(format, TOKENS[tokensIndex]);
      return 0;
    }
    probe();
    for (int shape = 0; shape < 4; shape++) bench(format, shape, tokensIndex);
    bench_layer(format, tokensIndex);
    return 0;
  }
  check_conversions();
  probe();
  if (mode == "quant" || mode == "--quant") {
    check_all(Stage::MMA);
    check_all(Stage::WGMMA);
    for (Format format : {FP8, INT8, INT4})
      for (int i = 0; TOKENS[i] <= 128; i++) {
        for (int shape = 0; shape < 4; shape++) bench(format, shape, i);
        bench_layer(format, i);
      }
    printf(failed ? "FAILED: some kernel is wrong, see MISMATCH above\n" : "all kernels agree\n");
    return failed;
  }
  check_all(Stage::MMA);
  check_all(Stage::WGMMA);
  if (mode == "all") {
    layers();
    for (Format format : {BF16, FP8})
      for (int i = 0; i < TOKEN_COUNTS; i++)
        for (int shape = 0; shape < 4; shape++) bench(format, shape, i);
    printf("once more, with the best of each product:\n");
    layers();
  }
  printf(failed ? "FAILED: some kernel is wrong, see MISMATCH above\n" : "all kernels agree\n");
  return failed;
}
