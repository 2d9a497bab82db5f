// The emulation against plain loops: every primitive of verdier.cuh, for several orders of threads and all timings of
// asynchronous copies, the errors it must report, and what it costs.
//
//   g++ -std=c++17 -O2 -Wall -Wextra -ffp-contract=off -DVERDIER_EMULATED -I engine/src/main/cuda -x c++
//       engine/src/test/cuda/emulation_test.cu -o emulation_test -pthread && ./emulation_test
//
// Kernels and their checks stand together; a check is one row of TESTS at the bottom.
#include "verdier.cuh"

#include <algorithm>
#include <chrono>
#include <random>
#include <string>

namespace {

int failures;
std::string setting;  // printed with failures

#define EXPECT(condition)                                                                          \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      if (failures++ < 20)                                                                         \
        printf("%s:%d: not so (%s): %s\n", __FILE__, __LINE__, setting.c_str(), #condition);       \
    }                                                                                              \
  } while (false)

typedef int (*Entry)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

template <class... A>
int run(Entry entry, dim3 grid, dim3 block, unsigned shared_bytes, A... arguments) {
  void* params[] = {&arguments..., nullptr};
  return entry(grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, params);
}

template <class... A>
void expect_ok(Entry entry, dim3 grid, dim3 block, unsigned shared_bytes, A... arguments) {
  int rc = run(entry, grid, block, shared_bytes, arguments...);
  EXPECT(rc == 0);
  if (rc) printf("  %s\n", verdier_emulated_error());
}

// The launch fails and says `text`.
template <class... A>
void expect_error(const char* text, Entry entry, dim3 block, unsigned shared_bytes, A... arguments) {
  int rc = run(entry, dim3(1), block, shared_bytes, arguments...);
  bool said = rc == 1 && strstr(verdier_emulated_error(), text);
  EXPECT(said);
  if (!said) printf("  rc %d, wanted \"%s\": %s\n", rc, text, verdier_emulated_error());
}

// Equal bits, so that NaN is what it is.
bool same(float a, float b) { return __float_as_uint(a) == __float_as_uint(b); }

std::mt19937 generator(7);

float random_float() { return std::normal_distribution<float>()(generator); }

std::vector<bf16> random_bf16(size_t count) {
  std::vector<bf16> values(count);
  for (bf16& value : values) value = from_float_rn(random_float());
  return values;
}

// ---------------------------------------------------------------------------------------------------------------------
// Indices, barriers, early exits
// ---------------------------------------------------------------------------------------------------------------------

KERNEL(indices, unsigned* out) {
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += block * 1000 + thread;
}

void indices_everyThread_runsOnce() {
  std::vector<unsigned> out(3 * 4 * 5 * 60);
  expect_ok(verdier_launch_indices, dim3(3, 4, 5), dim3(5, 4, 3), 0, out.data());
  for (unsigned i = 0; i < out.size(); i++) EXPECT(out[i] == i / 60 * 1000 + i % 60);
}

// Rotates values through shared memory; thread t returns after `rounds[t]` rounds, so that ever fewer meet.
KERNEL(barrier_loop, const int* rounds, int* out) {
  SHARED int slots[2][256];
  unsigned t = threadIdx.x;
  for (int round = 0; round < rounds[t]; round++) {
    slots[round % 2][t] = int(t) * 100 + round;
    __syncthreads();
    unsigned other = t / 2;  // returns no earlier than t does
    DEVICE_ASSERT(slots[round % 2][other] == int(other) * 100 + round);
    out[t] += slots[round % 2][other];
  }
}

void syncthreads_someReturnEarly_othersGoOn() {
  std::vector<int> rounds(200), out(200), wanted(200);
  for (int t = 0; t < 200; t++) rounds[t] = 20 - t / 10;
  for (int t = 0; t < 200; t++)
    for (int round = 0; round < rounds[t]; round++) wanted[t] += t / 2 * 100 + round;
  expect_ok(verdier_launch_barrier_loop, 1, 200, 0, rounds.data(), out.data());
  EXPECT(out == wanted);
}

KERNEL(barrier_votes, int* out) {
  int t = int(threadIdx.x);
  if (t >= 90) return;
  out[t * 5] = __syncthreads_count(t % 3 == 0);
  out[t * 5 + 1] = __syncthreads_or(t == 77);
  out[t * 5 + 2] = __syncthreads_or(t == 95);
  out[t * 5 + 3] = __syncthreads_and(t < 90);
  out[t * 5 + 4] = __syncthreads_and(t != 3);
}

void syncthreads_predicates_areCounted() {
  std::vector<int> out(90 * 5);
  expect_ok(verdier_launch_barrier_votes, 1, 100, 0, out.data());
  for (int t = 0; t < 90; t++) {
    EXPECT(out[t * 5] == 30);
    EXPECT(out[t * 5 + 1] && !out[t * 5 + 2]);
    EXPECT(out[t * 5 + 3] && !out[t * 5 + 4]);
  }
}

// Warps 0 and 1 hand values to warps 2 and 3 through two named barriers: full (producers only arrive) and empty.
KERNEL(named_barriers, int* out) {
  SHARED int slots[64];
  unsigned t = threadIdx.x;
  for (int round = 0; round < 10; round++) {
    if (t < 64) {
      if (round > 0) barrier_sync(2, 128);
      slots[t] = int(t) + 1000 * round;
      barrier_arrive(1, 128);
    } else {
      barrier_sync(1, 128);
      out[round * 64 + t - 64] = slots[127 - t];
      if (round < 9) barrier_arrive(2, 128);
    }
  }
}

void barrier_arriveAndSync_handOver() {
  std::vector<int> out(640);
  expect_ok(verdier_launch_named_barriers, 1, 128, 0, out.data());
  for (int i = 0; i < 640; i++) EXPECT(out[i] == 63 - i % 64 + i / 64 * 1000);
}

// ---------------------------------------------------------------------------------------------------------------------
// Warps
// ---------------------------------------------------------------------------------------------------------------------

KERNEL(shuffles, int* out) {
  int lane = int(threadIdx.x) % 32, value = int(threadIdx.x) * 3, i = 0;
  for (int width = 2; width <= 32; width *= 2) {
    out[threadIdx.x + 256 * i++] = __shfl_sync(0xffffffffu, value, lane * 7 + 5, width);
    out[threadIdx.x + 256 * i++] = __shfl_xor_sync(0xffffffffu, value, 3, width);
    out[threadIdx.x + 256 * i++] = __shfl_up_sync(0xffffffffu, value, 3, width);
    out[threadIdx.x + 256 * i++] = __shfl_down_sync(0xffffffffu, value, 3, width);
  }
  double wide = __shfl_xor_sync(0xffffffffu, double(value) + 0.25, 16);
  DEVICE_ASSERT(wide == (int(threadIdx.x) ^ 16) * 3 + 0.25);
  float narrow = __shfl_sync(0xffffffffu, float(value), 9);
  DEVICE_ASSERT(narrow == float(threadIdx.x / 32 * 32 + 9) * 3);
}

void shuffle_allWidths_followTheDefinition() {
  std::vector<int> out(256 * 20);
  expect_ok(verdier_launch_shuffles, 1, 256, 0, out.data());
  for (int t = 0; t < 256; t++)
    for (int i = 0; i < 20; i++) {
      int width = 2 << i / 4, lane = t % 32, first = lane / width * width, source = 0;
      if (i % 4 == 0) source = first + (lane * 7 + 5) % width;
      if (i % 4 == 1) source = (lane ^ 3) < first + width ? lane ^ 3 : lane;
      if (i % 4 == 2) source = lane - 3 >= first ? lane - 3 : lane;
      if (i % 4 == 3) source = lane + 3 < first + width ? lane + 3 : lane;
      EXPECT(out[t + 256 * i] == (t / 32 * 32 + source) * 3);
    }
}

// Legal divergence: the halves of a warp sum over masks of their own, a different number of times, odd lanes shuffle
// among themselves, then all meet again; the last three lanes of the block return first.
KERNEL(divergent, int* out) {
  int t = int(threadIdx.x), lane = t % 32, value = t;
  if (t >= 93) return;
  if (lane < 16) {
    for (int i = 0; i < 4; i++) value += __shfl_xor_sync(0x0000ffffu, value, 1 << i);
  } else if (t < 64) {
    for (int i = 0; i < 3; i++) value += __shfl_xor_sync(0xffff0000u, value, 1 << i);
  }
  if (lane % 2) value -= __shfl_sync(0xaaaaaaaau, value, 5);
  __syncwarp();
  unsigned even = __ballot_sync(0xffffffffu, value % 2 == 0);
  out[t] = value;
  out[128 + t] = int(even);
}

void shuffle_divergentMasks_meetApart() {
  std::vector<int> out(256), wanted(256);
  expect_ok(verdier_launch_divergent, 1, 96, 0, out.data());
  for (int t = 0; t < 93; t++) {
    int lane = t % 32, warp = t / 32 * 32;
    auto summed = [&](int i) {
      if (i < 16) return 16 * warp + 120;
      if (warp == 64) return warp + i;
      int first = i / 8 * 8;
      return 8 * (warp + first) + 28;
    };
    wanted[t] = summed(lane) - (lane % 2 ? summed(5) : 0);
  }
  for (int t = 0; t < 93; t++) {
    unsigned even = 0;
    for (int lane = 0; lane < 32 && t / 32 * 32 + lane < 93; lane++)
      even |= unsigned(wanted[t / 32 * 32 + lane] % 2 == 0) << lane;
    EXPECT(out[t] == wanted[t]);
    EXPECT(unsigned(out[128 + t]) == even);
  }
}

KERNEL(warp_votes, unsigned* out) {
  int lane = int(threadIdx.x) % 32;
  unsigned mask = lane < 24 ? 0x00ffffffu : 0xff000000u;
  unsigned* mine = out + threadIdx.x * 8;
  mine[0] = unsigned(__any_sync(mask, lane == 30)) * 2 + unsigned(__all_sync(mask, lane < 24));
  mine[1] = __reduce_add_sync(mask, unsigned(lane));
  mine[2] = unsigned(__reduce_min_sync(mask, lane - 5));
  mine[3] = __reduce_max_sync(mask, unsigned(lane));
  mine[4] = __match_any_sync(mask, lane % 5);
  mine[5] = __reduce_or_sync(mask, 1u << lane);
  unsigned before = atomicAdd(out + 64 * 8, 1u);
  DEVICE_ASSERT(before < 64);
}

void votes_twoMasks_seeTheirLanes() {
  std::vector<unsigned> out(64 * 8 + 1);
  expect_ok(verdier_launch_warp_votes, 1, 64, 0, out.data());
  for (int t = 0; t < 64; t++) {
    int lane = t % 32;
    bool low = lane < 24;
    unsigned match = 0;
    for (int other = low ? 0 : 24; other < (low ? 24 : 32); other++) match |= unsigned(other % 5 == lane % 5) << other;
    const unsigned* mine = &out[t * 8];
    EXPECT(mine[0] == (low ? 1 : 2));
    EXPECT(mine[1] == (low ? 276 : 220));
    EXPECT(int(mine[2]) == (low ? -5 : 19));
    EXPECT(mine[3] == (low ? 23 : 31));
    EXPECT(mine[4] == match);
    EXPECT(mine[5] == (low ? 0x00ffffffu : 0xff000000u));
  }
  EXPECT(out[64 * 8] == 64);
}

KERNEL(absent_lane, float* out) {
  if (threadIdx.x == 5) return;
  out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.0f, 5);
}

void shuffle_fromReturnedLane_isGarbage() {
  std::vector<float> out(32);
  expect_ok(verdier_launch_absent_lane, 1, 32, 0, out.data());
  EXPECT(isnan(out[0]) && isnan(out[31]));
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers and layouts
// ---------------------------------------------------------------------------------------------------------------------

void bf16_conversions_roundToNearestEven() {
  for (unsigned bits = 0; bits < 65536; bits++) {
    float exact = to_float(bf16_from_bits(uint16_t(bits)));
    if (isnan(exact)) {
      EXPECT(bf16_bits(from_float_rn(exact)) == 0x7fff);
      continue;
    }
    EXPECT(bf16_bits(from_float_rn(exact)) == bits);
    // Halfway to the next larger magnitude goes to the even one, a little more or less to the nearer.
    if ((bits & 0x7fff) >= 0x7f80) continue;
    unsigned half = bits << 16 | 0x8000;
    EXPECT(bf16_bits(from_float_rn(__uint_as_float(half))) == bits + (bits & 1));
    EXPECT(bf16_bits(from_float_rn(__uint_as_float(half - 1))) == bits);
    EXPECT(bf16_bits(from_float_rn(__uint_as_float(half + 1))) == bits + 1);
  }
  uint32_t packed = pack2(1.5f, -2.0f);
  EXPECT(packed == 0xc0003fc0u && low_to_float(packed) == 1.5f && high_to_float(packed) == -2.0f);
}

void e4m3_allCodes_areExact() {
  for (unsigned code = 0; code < 256; code++) {
    unsigned exponent = code >> 3 & 15, mantissa = code & 7;
    float value = float(exponent ? ldexp(8 + mantissa, int(exponent) - 10) : ldexp(mantissa, -9));
    if (code & 128) value = -value;
    uint32_t first, second;
    e4m3x4_to_bf16(e4m3x4_pack(uint8_t(code), 0x38, 0x80, uint8_t(code)), first, second);
    EXPECT(same(low_to_float(first), value) && high_to_float(first) == 1 && second == (0x8000u | (first & 0xffffu) << 16));
    e4m3x4_to_bf16(e4m3x4_pack(0x40, uint8_t(code), uint8_t(code), 0), first, second);
    EXPECT(low_to_float(first) == 2 && same(high_to_float(first), value) && second == first >> 16);
  }
}

void excess128_allBytes_areExact() {
  for (unsigned u = 0; u < 256; u++) {
    float value = (float(u) - 128) / 64;
    uint32_t first, second;
    excess128x4_to_bf16(bytes_pack(uint8_t(u), 192, 0, uint8_t(u)), first, second);
    EXPECT(low_to_float(first) == value && high_to_float(first) == 1 && low_to_float(second) == -2 && high_to_float(second) == value);
    excess128x4_to_bf16(bytes_pack(64, uint8_t(u), uint8_t(u), 255), first, second);
    EXPECT(low_to_float(first) == -1 && high_to_float(first) == value && low_to_float(second) == value && high_to_float(second) == 127 / 64.0f);
  }
}

void operand_layout_isTheNotes() {
  const int rowsPad = 256, columns = 192;
  std::vector<bool> seen(rowsPad * columns);
  for (int row = 0; row < rowsPad; row++)
    for (int k = 0; k < columns; k++) {
      int64_t wanted = (int64_t(k / 64) * rowsPad + row) * 128 + ((((k % 64) / 8) ^ (row & 7)) * 16) + (k % 8) * 2;
      EXPECT(operand_offset(rowsPad, row, k) == wanted);
      EXPECT(!seen[size_t(wanted / 2)]);
      seen[size_t(wanted / 2)] = true;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Matrix products
// ---------------------------------------------------------------------------------------------------------------------

// Element (row, k) of A in the registers of mma.m16n8k16 for rows 16w.. and columns 16s..
DEVICE uint32_t fragment(const bf16* a, int stride, int row, int k) {
  const bf16* pair = a + row * stride + k;
  return bf16_bits(pair[0]) | uint32_t(bf16_bits(pair[1])) << 16;
}

DEVICE void load_a(uint32_t (&r)[4], const bf16* a, int stride, int row, int k) {
  int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4 * 2;
  r[0] = fragment(a, stride, row + g, k + t);
  r[1] = fragment(a, stride, row + g + 8, k + t);
  r[2] = fragment(a, stride, row + g, k + t + 8);
  r[3] = fragment(a, stride, row + g + 8, k + t + 8);
}

DEVICE void store_d(const float* d, float* c, int stride, int row, int column) {
  int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4 * 2;
  for (int i = 0; i < 4; i++) c[(row + g + i / 2 * 8) * stride + column + t + i % 2] = d[i];
}

// c[16 * warps][8] = a[16 * warps][k] * b[8][k]
KERNEL(mma_kernel, const bf16* a, const bf16* b, float* c, int k) {
  int row = int(threadIdx.x) / 32 * 16, g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4 * 2;
  float d[4] = {0, 0, 0, 0};
  for (int step = 0; step < k; step += 16) {
    uint32_t r[4];
    load_a(r, a, k, row, step);
    mma16816(d, r, fragment(b, k, g, step + t), fragment(b, k, g, step + t + 8));
  }
  store_d(d, c, 8, row, 0);
}

// The oracle: one chain of fused multiply-adds per output.
std::vector<float> product(const std::vector<bf16>& a, const std::vector<bf16>& b, int rows, int columns, int k) {
  std::vector<float> c(size_t(rows) * columns);
  for (int row = 0; row < rows; row++)
    for (int column = 0; column < columns; column++) {
      float sum = 0;
      for (int i = 0; i < k; i++) sum = fmaf(to_float(a[row * k + i]), to_float(b[column * k + i]), sum);
      c[row * columns + column] = sum;
    }
  return c;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

void mma_randomMatrices_equalLoops() {
  std::vector<bf16> a = random_bf16(48 * 80), b = random_bf16(8 * 80);
  std::vector<float> c(48 * 8);
  expect_ok(verdier_launch_mma_kernel, 1, 96, 0, a.data(), b.data(), c.data(), 80);
  EXPECT(same(c, product(a, b, 48, 8, 80)));
}

// Reads a [32 rows][64] operand chunk as B fragments: out[row][k] must be what went in.
KERNEL(ldmatrix_kernel, const unsigned char* operand, uint32_t* out) {
  DYNAMIC_SHARED(tile);
  unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 32 * 8; i += 32) cp_async16(tile + i * 16, operand + i * 16);
  cp_async_commit();
  cp_async_wait<0>();
  __syncwarp();
  for (unsigned row = 0; row < 32; row += 8)
    for (unsigned k = 0; k < 64; k += 32) {
      uint32_t r[4];  // 8 rows, four pieces of 8 columns
      ldmatrix_x4(r, tile + swizzled(row + lane % 8, k + lane / 8 * 8));
      for (unsigned i = 0; i < 4; i++) out[((row + lane / 4) * 64 + k + i * 8 + lane % 4 * 2) / 2] = r[i];
    }
}

void ldmatrix_swizzledTile_givesRows() {
  std::vector<bf16> x = random_bf16(32 * 64), out(32 * 64);
  std::vector<bf16> operand(32 * 64);
  for (int row = 0; row < 32; row++)
    for (int k = 0; k < 64; k++) *operand_at(operand.data(), 32, row, k) = x[row * 64 + k];
  expect_ok(verdier_launch_ldmatrix_kernel, 1, 32, 32 * 128, operand.data(), out.data());
  EXPECT(memcmp(x.data(), out.data(), x.size() * 2) == 0);
}

// c[128][N] = a[128][k] * b[N][k] by two warpgroups; b in operand layout, one chunk of 64 columns in flight while the
// other is being multiplied.
template <int N>
DEVICE void wgmma_product(const bf16* a, const bf16* operand, float* c, int k) {
  DYNAMIC_SHARED(tiles);
  SHARED mbarrier full[2], empty[2];
  const uint32_t bytes = N * 128, spacing = (bytes + 1023) / 1024 * 1024;
  int row = int(threadIdx.x) / 32 * 16, chunks = k / 64;
  if (threadIdx.x == 0)
    for (int i = 0; i < 2; i++) mbar_init(&full[i], 1), mbar_init(&empty[i], 256);
  __syncthreads();
  auto fetch = [&](int chunk) {
    int stage = chunk % 2;
    if (chunk >= 2) mbar_wait(&empty[stage], uint32_t(chunk / 2 - 1) & 1);
    mbar_expect_tx(&full[stage], bytes);
    bulk_copy(tiles + stage * spacing, operand_at(operand, N, 0, chunk * 64), bytes, &full[stage]);
  };
  if (threadIdx.x == 0) fetch(0);
  float d[N / 2];
  for (int i = 0; i < N / 2; i++) d[i] = 0;
  for (int chunk = 0; chunk < chunks; chunk++) {
    if (threadIdx.x == 0 && chunk + 1 < chunks) fetch(chunk + 1);
    mbar_wait(&full[chunk % 2], uint32_t(chunk / 2) & 1);
    uint32_t r[4][4];
    for (int step = 0; step < 4; step++) load_a(r[step], a, k, row, chunk * 64 + step * 16);
    wgmma_fence();
    for (int step = 0; step < 4; step++) {
      wgmma_rs<N>(d, r[step], wgmma_descriptor(tiles + chunk % 2 * spacing, step));
      wgmma_commit();
    }
    wgmma_wait<1>();
    wgmma_wait<0>();
    wgmma_settled(d);
    mbar_arrive(&empty[chunk % 2]);
  }
  for (int column = 0; column < N; column += 8) store_d(d + column / 2, c, N, row, column);
}

#define WGMMA_KERNEL(N)                                                                    \
  KERNEL_BOUNDS(wgmma_kernel_##N, 256, 1, const bf16* a, const bf16* b, float* c, int k) { \
    wgmma_product<N>(a, b, c, k);                                                          \
  }
WGMMA_KERNEL(8)
WGMMA_KERNEL(16)
WGMMA_KERNEL(32)
WGMMA_KERNEL(64)
WGMMA_KERNEL(128)
WGMMA_KERNEL(256)

void wgmma_allShapes_equalLoops() {
  const std::pair<int, Entry> shapes[] = {
      {8, verdier_launch_wgmma_kernel_8},     {16, verdier_launch_wgmma_kernel_16},
      {32, verdier_launch_wgmma_kernel_32},   {64, verdier_launch_wgmma_kernel_64},
      {128, verdier_launch_wgmma_kernel_128}, {256, verdier_launch_wgmma_kernel_256},
  };
  const int k = 320;
  for (auto [n, entry] : shapes) {
    std::vector<bf16> a = random_bf16(128 * k), b = random_bf16(size_t(n) * k), operand(size_t(n) * k);
    for (int row = 0; row < n; row++)
      for (int i = 0; i < k; i++) *operand_at(operand.data(), n, row, i) = b[row * k + i];
    std::vector<float> c(size_t(128) * n);
    expect_ok(entry, 1, 256, unsigned(2 * std::max(n * 128, 1024)), a.data(), operand.data(), c.data(), k);
    EXPECT(same(c, product(a, b, 128, n, k)));
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Asynchronous copies
// ---------------------------------------------------------------------------------------------------------------------

// out[i] = sum over stages of in[stage][i], three stages in flight; every second one comes as zeros.
KERNEL(cp_async_pipeline, const float4* in, float4* out, int stages) {
  DYNAMIC_SHARED(bytes);
  float4* slots = reinterpret_cast<float4*>(bytes);
  unsigned t = threadIdx.x, n = blockDim.x;
  auto fetch = [&](int stage) {
    if (stage < stages) cp_async16_or_zero(slots + stage % 4 * n + t, in + stage * n + t, stage % 2 == 0);
    cp_async_commit();
  };
  for (int stage = 0; stage < 3; stage++) fetch(stage);
  float4 sum = make_float4(0, 0, 0, 0);
  for (int stage = 0; stage < stages; stage++) {
    cp_async_wait<2>();
    __syncthreads();
    float4 other = slots[stage % 4 * n + (n - 1 - t)];
    sum.x += other.x, sum.y += other.y, sum.z += other.z, sum.w += other.w;
    fetch(stage + 3);
  }
  out[t] = sum;
}

void cpAsync_pipeline_addsAllStages() {
  const int stages = 9, n = 96;
  std::vector<float> in(stages * n * 4), out(n * 4);
  for (size_t i = 0; i < in.size(); i++) in[i] = float(generator() % 1000);
  std::vector<float4> in4(stages * n), out4(n);
  memcpy(in4.data(), in.data(), in.size() * 4);
  expect_ok(verdier_launch_cp_async_pipeline, 1, n, 4 * n * 16, in4.data(), out4.data(), stages);
  memcpy(out.data(), out4.data(), out.size() * 4);
  for (int t = 0; t < n; t++)
    for (int i = 0; i < 4; i++) {
      float sum = 0;
      for (int stage = 0; stage < stages; stage += 2) sum += in[(stage * n + n - 1 - t) * 4 + i];
      EXPECT(out[t * 4 + i] == sum);
    }
}

// A producer warp feeds three consumer warps through a ring of bulk copies.
KERNEL(bulk_ring, const int* in, int* out, int pieces) {
  constexpr int STAGES = 3, INTS = 96;
  DYNAMIC_SHARED(bytes);
  SHARED mbarrier full[STAGES], empty[STAGES];
  int* ring = reinterpret_cast<int*>(bytes);
  if (threadIdx.x == 0)
    for (int i = 0; i < STAGES; i++) mbar_init(&full[i], 1), mbar_init(&empty[i], 96);
  __syncthreads();
  pdl_wait();
  if (threadIdx.x >= 96) {
    if (threadIdx.x > 96) return;
    for (int piece = 0; piece < pieces; piece++) {
      int stage = piece % STAGES;
      mbar_wait(&empty[stage], uint32_t(piece / STAGES & 1) ^ 1);
      mbar_expect_tx(&full[stage], INTS * 4);
      // In two copies, of which either may come first.
      bulk_copy(ring + stage * INTS, in + piece * INTS, 128, &full[stage]);
      bulk_copy(ring + stage * INTS + 32, in + piece * INTS + 32, INTS * 4 - 128, &full[stage]);
    }
    pdl_launch();
  } else {
    int sum = 0;
    for (int piece = 0; piece < pieces; piece++) {
      int stage = piece % STAGES;
      mbar_wait(&full[stage], uint32_t(piece / STAGES & 1));
      sum = sum * 3 + ring[stage * INTS + 95 - threadIdx.x];
      mbar_arrive(&empty[stage]);
    }
    out[blockIdx.x * 96 + threadIdx.x] = sum;
  }
}

void bulkCopy_ringOfThree_bringsPiecesInOrder() {
  const int pieces = 11;
  std::vector<uint4> storage(pieces * 24);
  int* in = reinterpret_cast<int*>(storage.data());
  for (int i = 0; i < pieces * 96; i++) in[i] = int(generator() % 100);
  std::vector<int> out(5 * 96);
  expect_ok(verdier_launch_bulk_ring, 5, 128, 3 * 96 * 4, in, out.data(), pieces);
  for (int i = 0; i < 5 * 96; i++) {
    int sum = 0;
    for (int piece = 0; piece < pieces; piece++) sum = sum * 3 + in[piece * 96 + 95 - i % 96];
    EXPECT(out[i] == sum);
  }
}

KERNEL(no_wait, const float4* in, float* out) {
  DYNAMIC_SHARED(bytes);
  cp_async16(bytes + 16 * threadIdx.x, in + threadIdx.x);
  cp_async_commit();
  out[threadIdx.x] = reinterpret_cast<float4*>(bytes)[threadIdx.x].x;
}

void cpAsync_withoutWait_readsGarbage() {
  setenv("VERDIER_EMULATED_ASYNC", "late", 1);
  std::vector<float4> in(32, make_float4(1, 1, 1, 1));
  std::vector<float> out(32);
  expect_ok(verdier_launch_no_wait, 1, 32, 512, in.data(), out.data());
  EXPECT(isnan(out[0]) && isnan(out[31]));
}

// ---------------------------------------------------------------------------------------------------------------------
// Memory
// ---------------------------------------------------------------------------------------------------------------------

KERNEL(garbage, float* out) {
  SHARED float fixed[64];
  DYNAMIC_SHARED(bytes);
  float* dynamic = reinterpret_cast<float*>(bytes);
  out[(blockIdx.x * 64 + threadIdx.x) * 2] = fixed[threadIdx.x];
  out[(blockIdx.x * 64 + threadIdx.x) * 2 + 1] = dynamic[threadIdx.x];
  __syncthreads();
  fixed[threadIdx.x] = dynamic[threadIdx.x] = 1;
}

void shared_notWritten_isNaNInEveryBlock() {
  std::vector<float> out(10 * 64 * 2);
  expect_ok(verdier_launch_garbage, 10, 64, 256, out.data());
  for (float x : out) EXPECT(isnan(x));
}

void launches_fromOtherThreads_takeTurns() {
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> outs(3, std::vector<float>(10 * 64 * 2));
  for (std::vector<float>& out : outs)
    threads.emplace_back([&] { run(verdier_launch_garbage, 10, 64, 256, out.data()); });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& out : outs)
    for (float x : out) EXPECT(isnan(x));
}

// Lacks a barrier: right only while warps start in ascending order.
KERNEL(racy, int* out) {
  SHARED int slots[128];
  slots[threadIdx.x] = int(threadIdx.x);
  out[threadIdx.x] = slots[threadIdx.x / 2];
}

void missingBarrier_someSeed_shows() {
  std::vector<int> out(128), wanted(128);
  for (int i = 0; i < 128; i++) wanted[i] = i / 2;
  bool shows = false;
  for (int seed = 0; seed < 4; seed++) {
    setenv("VERDIER_EMULATED_SEED", std::to_string(seed).c_str(), 1);
    expect_ok(verdier_launch_racy, 1, 128, 0, out.data());
    if (seed == 0) EXPECT(out == wanted);
    shows |= out != wanted;
  }
  EXPECT(shows);
}

KERNEL(atomics, int* sums, unsigned* counts, unsigned long long* wide, float* real) {
  atomicAdd(sums, int(threadIdx.x) - 5);
  atomicMax(sums + 1, int(blockIdx.x * 1000 + threadIdx.x));
  atomicMin(sums + 2, -int(blockIdx.x * 1000 + threadIdx.x));
  atomicAdd(wide, 0x100000000ull);
  atomicOr(counts + 1, 1u << threadIdx.x % 32);
  atomicAdd(real, 1.0f);
  // The last block of the grid sees what all others did.
  SHARED bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(counts, 1u) == gridDim.x - 1;
  __syncthreads();
  if (last && threadIdx.x == 0) counts[2] = unsigned(*wide >> 32);
}

void atomics_manyBlocks_loseNothing() {
  std::vector<int> sums = {0, -1, 1};
  std::vector<unsigned> counts(3);
  unsigned long long wide = 0;
  float real = 0;
  expect_ok(verdier_launch_atomics, 50, 64, 0, sums.data(), counts.data(), &wide, &real);
  EXPECT(sums[0] == 50 * (64 * 63 / 2 - 5 * 64));
  EXPECT(sums[1] == 49063 && sums[2] == -49063);
  EXPECT(counts[0] == 50 && counts[1] == ~0u && counts[2] == 3200);
  EXPECT(wide >> 32 == 3200 && real == 3200);
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

KERNEL(stuck, int* out) {
  if (threadIdx.x < 40)
    __syncthreads();
  else if (threadIdx.x < 64)
    barrier_sync(3, 64);
  else if (threadIdx.x == 70)
    __shfl_sync(0xffffffffu, 1, 0);
  else if (threadIdx.x < 96)
    __syncwarp();
  *out = 1;
}
KERNEL(wrong_mask, int* out) { *out = __shfl_sync(0xffff0000u, 1, 20); }
KERNEL(torn_mma, int* out) {
  if (threadIdx.x == 3) return;
  float d[4] = {0, 0, 0, 0};
  uint32_t a[4] = {0, 0, 0, 0};
  mma16816(d, a, 0, 0);
  *out = int(d[0]);
}
KERNEL(overrun) {
  DYNAMIC_SHARED(bytes);
  bytes[100 + threadIdx.x] = 1;
}
KERNEL(misaligned, const char* in) {
  DYNAMIC_SHARED(bytes);
  cp_async16(bytes + 8, in);
}
KERNEL(wrong_space, char* in) { cp_async16(in, in); }
KERNEL(no_fence) {
  DYNAMIC_SHARED(bytes);
  float d[4] = {0, 0, 0, 0};
  uint32_t a[4] = {0, 0, 0, 0};
  wgmma_rs<8>(d, a, wgmma_descriptor(bytes, 0));
}
KERNEL(no_init) {
  SHARED mbarrier bar;
  mbar_wait(&bar, 0);
}
KERNEL(left_copy, const char* in) {
  DYNAMIC_SHARED(bytes);
  SHARED mbarrier bar;
  mbar_init(&bar, 1);
  mbar_expect_tx(&bar, 64);
  bulk_copy(bytes, in, 64, &bar);
}
KERNEL(left_products) {
  DYNAMIC_SHARED(bytes);
  float d[4] = {0, 0, 0, 0};
  uint32_t a[4] = {0, 0, 0, 0};
  wgmma_fence();
  wgmma_rs<8>(d, a, wgmma_descriptor(bytes, 0));
  wgmma_commit();
}
KERNEL(never_comes) {
  SHARED mbarrier bar;
  if (threadIdx.x == 0) mbar_init(&bar, 2);
  __syncthreads();
  if (threadIdx.x == 0) mbar_arrive(&bar);
  mbar_wait(&bar, 0);
}
KERNEL(assertion, int limit) { DEVICE_ASSERT(int(threadIdx.x) < limit); }
KERNEL_BOUNDS(bounded, 64, 1, int* out) { *out = 1; }

void errors_areToldAndDoNotLast() {
  int out = 0;
  uint4 memory[4] = {};
  setenv("VERDIER_EMULATED_ASYNC", "late", 1);
  expect_error("deadlock, 32 of 128 threads returned", verdier_launch_stuck, 128, 0, &out);
  EXPECT(strstr(verdier_emulated_error(), "40 at __syncthreads (first: thread 0)"));
  EXPECT(strstr(verdier_emulated_error(), "24 at barrier_sync (first: thread 40)"));
  EXPECT(strstr(verdier_emulated_error(), "31 at __syncwarp (first: thread 64)"));
  EXPECT(strstr(verdier_emulated_error(), "1 at a shuffle (first: thread 70)"));
  expect_error("without the calling lane", verdier_launch_wrong_mask, 32, 0, &out);
  expect_error("lane", verdier_launch_torn_mma, 32, 0, &out);
  expect_error("mma16816 needs the whole warp", verdier_launch_torn_mma, 31, 0, &out);
  expect_error("past the end of dynamic shared memory", verdier_launch_overrun, 32, 120);
  expect_error("not aligned", verdier_launch_misaligned, 1, 64, memory);
  expect_error("not shared memory", verdier_launch_wrong_space, 1, 64, memory);
  expect_error("wgmma_fence", verdier_launch_no_fence, 128, 1024);
  expect_error("before mbar_init", verdier_launch_no_init, 1, 0);
  expect_error("bulk copy under way", verdier_launch_left_copy, 1, 64, memory);
  expect_error("wgmma under way", verdier_launch_left_products, 128, 1024);
  expect_error("32 at mbar_wait", verdier_launch_never_comes, 32, 0);
  expect_error("thread (7,0,0): ", verdier_launch_assertion, 8, 0, 7);
  expect_error("65 threads in a block, of 1 to 64", verdier_launch_bounded, 65, 0, &out);
  expect_error("of dynamic shared memory", verdier_launch_bounded, 64, 300000, &out);
  expect_ok(verdier_launch_overrun, 1, 20, 120);
  expect_ok(verdier_launch_bounded, 1, 64, 0, &out);
  EXPECT(out == 1);
}

void kernels_areListed() {
  bool found = false;
  for (int i = 0; i < verdier_kernel_count(); i++) found |= !strcmp(verdier_kernel_name(i), "bulk_ring");
  EXPECT(found);
}

// ---------------------------------------------------------------------------------------------------------------------
// Cost
// ---------------------------------------------------------------------------------------------------------------------

KERNEL(cost_mma, float* out, int steps) {
  float d[4] = {0, 0, 0, 0};
  uint32_t a[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
  for (int i = 0; i < steps; i++) mma16816(d, a, 0x3f803f80, 0x3f803f80);
  out[threadIdx.x] = d[0];
}
KERNEL(cost_wgmma, float* out, int steps) {
  DYNAMIC_SHARED(bytes);
  float d[32];
  uint32_t a[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
  for (int i = 0; i < 32; i++) d[i] = 0;
  for (unsigned i = threadIdx.x; i < 2048; i += 128) reinterpret_cast<uint32_t*>(bytes)[i] = 0x3f803f80;
  __syncthreads();
  for (int i = 0; i < steps; i++) {
    wgmma_fence();
    wgmma_rs<64>(d, a, wgmma_descriptor(bytes, i % 4));
    wgmma_commit();
    wgmma_wait<0>();
  }
  out[threadIdx.x] = d[0];
}
KERNEL(cost_syncwarp, int steps) {
  for (int i = 0; i < steps; i++) __syncwarp();
}
KERNEL(cost_syncthreads, int steps) {
  for (int i = 0; i < steps; i++) __syncthreads();
}
KERNEL(cost_thread, int* out) { out[threadIdx.x] = int(blockIdx.x); }

// Best of 15, in microseconds.
template <class F>
double best(F work) {
  double least = 1e30;
  for (int i = 0; i < 15; i++) {
    auto start = std::chrono::steady_clock::now();
    work();
    std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    least = std::min(least, taken.count());
  }
  return least;
}

void report_cost() {
  std::vector<float> out(256);
  std::vector<int> sink(256);
  const int steps = 10000;
  printf("mma16816           %6.3f us a warp\n",
         best([&] { run(verdier_launch_cost_mma, 1, 128, 0, out.data(), steps); }) / steps / 4);
  printf("wgmma m64n64k16    %6.3f us a 16x8x16\n",
         best([&] { run(verdier_launch_cost_wgmma, 1, 128, 8192, out.data(), steps / 8); }) / (steps / 8) / 32);
  printf("__syncwarp         %6.3f us a warp\n",
         best([&] { run(verdier_launch_cost_syncwarp, 1, 128, 0, steps); }) / steps / 4);
  printf("__syncthreads      %6.3f us a warp\n",
         best([&] { run(verdier_launch_cost_syncthreads, 1, 256, 0, steps); }) / steps / 8);
  printf("block of 256       %6.3f us\n",
         best([&] { run(verdier_launch_cost_thread, 1000, 256, 0, sink.data()); }) / 1000);
  printf("launch of 1 block  %6.3f us\n",
         best([&] { for (int i = 0; i < 100; i++) run(verdier_launch_cost_thread, 1, 32, 0, sink.data()); }) / 100);
}

#define ROW(test) {#test, test}
const struct {
  const char* name;
  void (*test)();
} TESTS[] = {
    ROW(indices_everyThread_runsOnce),
    ROW(syncthreads_someReturnEarly_othersGoOn),
    ROW(syncthreads_predicates_areCounted),
    ROW(barrier_arriveAndSync_handOver),
    ROW(shuffle_allWidths_followTheDefinition),
    ROW(shuffle_divergentMasks_meetApart),
    ROW(votes_twoMasks_seeTheirLanes),
    ROW(shuffle_fromReturnedLane_isGarbage),
    ROW(bf16_conversions_roundToNearestEven),
    ROW(e4m3_allCodes_areExact),
    ROW(excess128_allBytes_areExact),
    ROW(operand_layout_isTheNotes),
    ROW(mma_randomMatrices_equalLoops),
    ROW(ldmatrix_swizzledTile_givesRows),
    ROW(wgmma_allShapes_equalLoops),
    ROW(cpAsync_pipeline_addsAllStages),
    ROW(cpAsync_withoutWait_readsGarbage),
    ROW(bulkCopy_ringOfThree_bringsPiecesInOrder),
    ROW(shared_notWritten_isNaNInEveryBlock),
    ROW(launches_fromOtherThreads_takeTurns),
    ROW(missingBarrier_someSeed_shows),
    ROW(atomics_manyBlocks_loseNothing),
    ROW(errors_areToldAndDoNotLast),
    ROW(kernels_areListed),
};

}  // namespace

int main() {
  for (const char* async : {"mixed", "early", "late"})
    for (const char* seed : {"0", "1", "2", "3"})
      for (const auto& row : TESTS) {
        setenv("VERDIER_EMULATED_ASYNC", async, 1);
        setenv("VERDIER_EMULATED_SEED", seed, 1);
        setting = std::string(row.name) + ", async " + async + ", seed " + seed;
        row.test();
      }
  setenv("VERDIER_EMULATED_ASYNC", "mixed", 1);
  setenv("VERDIER_EMULATED_SEED", "0", 1);
  report_cost();
  printf(failures ? "%d FAILED\n" : "all passed\n", failures);
  return failures != 0;
}
