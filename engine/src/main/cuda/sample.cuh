// What the sampling kernels are made of: the numbers of io.verdier.engine.sample (FixedExp, Order, Philox), the same to
// the bit, and sums over a block. Nothing here may be contracted into fused operations or reordered: every step on
// doubles is named by its rounding, and every sum over tokens is one of integers, exact in any order.
#pragma once

#include "verdier.cuh"

typedef unsigned long long u64;

// ---------------------------------------------------------------------------------------------------------------------
// Order: larger logits first, of equal ones the lower id; -0 and 0 are equal. Smaller key, earlier token
// ---------------------------------------------------------------------------------------------------------------------

constexpr u64 KEY_LAST = ~0ull;

DEVICE u64 order_key(float logit, int id) {
  unsigned bits = __float_as_uint(__fadd_rn(logit, 0.0f));
  unsigned ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return static_cast<u64>(~ascending) << 32 | static_cast<unsigned>(id);
}

DEVICE int key_id(u64 key) { return static_cast<int>(key); }

DEVICE float key_logit(u64 key) {
  unsigned ascending = ~static_cast<unsigned>(key >> 32);
  return __uint_as_float(ascending >> 31 ? ascending & 0x7fffffffu : ~ascending);
}

DEVICE float negative_infinity() { return __uint_as_float(0xff800000u); }

DEVICE float positive_infinity() { return __uint_as_float(0x7f800000u); }
DEVICE float not_a_number() { return __uint_as_float(0x7fc00000u); }

// False for NaN too.
DEVICE bool below_infinity(float x) { return x < positive_infinity(); }

// ---------------------------------------------------------------------------------------------------------------------
// FixedExp: weight = about 2^43 * exp(x) for x <= 0, as an integer; x in steps of ln 2 / 64
// ---------------------------------------------------------------------------------------------------------------------

constexpr double FIXED_ONE = 0x1p43;
constexpr int BUCKETS = 43 * 64 + 1;                    // buckets of tokens with a weight are below this
constexpr double STEPS_LOWEST = -(BUCKETS - 0.5);       // what is not above has weight 0
constexpr double STEPS_PER_LOGIT = 0x1.71547652b82fep6; // 64 / ln 2

// 2^43 * 2^(j/64), as StrictMath.pow rounds it.
static __device__ const double EXP_TABLE[64] = {
    0x1.0p43, 0x1.02c9a3e778061p43, 0x1.059b0d3158574p43, 0x1.0874518759bc8p43,
    0x1.0b5586cf9890fp43, 0x1.0e3ec32d3d1a2p43, 0x1.11301d0125b51p43, 0x1.1429aaea92dep43,
    0x1.172b83c7d517bp43, 0x1.1a35beb6fcb75p43, 0x1.1d4873168b9aap43, 0x1.2063b88628cd6p43,
    0x1.2387a6e756238p43, 0x1.26b4565e27cddp43, 0x1.29e9df51fdee1p43, 0x1.2d285a6e4030bp43,
    0x1.306fe0a31b715p43, 0x1.33c08b26416ffp43, 0x1.371a7373aa9cbp43, 0x1.3a7db34e59ff7p43,
    0x1.3dea64c123422p43, 0x1.4160a21f72e2ap43, 0x1.44e086061892dp43, 0x1.486a2b5c13cdp43,
    0x1.4bfdad5362a27p43, 0x1.4f9b2769d2ca7p43, 0x1.5342b569d4f82p43, 0x1.56f4736b527dap43,
    0x1.5ab07dd485429p43, 0x1.5e76f15ad2148p43, 0x1.6247eb03a5585p43, 0x1.6623882552224p43,
    0x1.6a09e667f3bcdp43, 0x1.6dfb23c651a2fp43, 0x1.71f75e8ec5f74p43, 0x1.75feb564267c8p43,
    0x1.7a11473eb0187p43, 0x1.7e2f336cf4e62p43, 0x1.82589994cce12p43, 0x1.868d99b4492ecp43,
    0x1.8ace5422aa0dcp43, 0x1.8f1ae99157736p43, 0x1.93737b0cdc5e5p43, 0x1.97d829fde4e5p43,
    0x1.9c49182a3f09p43, 0x1.a0c667b5de565p43, 0x1.a5503b23e255cp43, 0x1.a9e6b5579fdbfp43,
    0x1.ae89f995ad3aep43, 0x1.b33a2b84f15fbp43, 0x1.b7f76f2fb5e47p43, 0x1.bcc1e904bc1d2p43,
    0x1.c199bdd85529cp43, 0x1.c67f12e57d14bp43, 0x1.cb720dcef9069p43, 0x1.d072d4a07897cp43,
    0x1.d5818dcfba487p43, 0x1.da9e603db3286p43, 0x1.dfc97337b9b5fp43, 0x1.e502ee78b3ff6p43,
    0x1.ea4afa2a490dap43, 0x1.efa1bee615a27p43, 0x1.f50765b6e454p43, 0x1.fa7c1819e90d8p43};

// A copy in shared memory: lanes read different entries. By all threads, then a barrier.
DEVICE void load_exp_table(double* table) {
  for (int j = threadIdx.x; j < 64; j += blockDim.x) table[j] = EXP_TABLE[j];
}

struct Weighed {
  u64 weight;
  int bucket;  // BUCKETS where the token is too far below the largest to have a weight
};

// The weight of a logit `steps` below the largest, and its class: a larger logit never has a larger bucket. Without a
// branch: neighbouring tokens lie on both sides of the limit.
DEVICE Weighed fixed_exp(double steps, const double* table) {
  constexpr double ROUND = 0x1.8p52;  // added and taken away again rounds to an integer, which the low bits show
  constexpr double LN2_64 = 0x1.62e42fefa39efp-7, C2 = 0x1.ebfbdff82c58ep-15, C3 = 0x1.c6b08d704a0bfp-23,
                   C4 = 0x1.3b2ab6fba4e77p-31;
  double shifted = __dadd_rn(steps, ROUND);
  int n = static_cast<int>(__double_as_longlong(shifted));
  double r = __dsub_rn(steps, __dsub_rn(shifted, ROUND));
  double power = __dadd_rn(C3, __dmul_rn(r, C4));
  power = __dadd_rn(C2, __dmul_rn(r, power));
  power = __dadd_rn(LN2_64, __dmul_rn(r, power));
  power = __dadd_rn(1.0, __dmul_rn(r, power));
  long long one = __double_as_longlong(__dadd_rn(__dmul_rn(table[n & 63], power), 0x1p52));
  bool isNear = steps > STEPS_LOWEST;  // else n may be anything
  u64 weight = static_cast<u64>(one & ((1ll << 52) - 1)) >> (-(n >> 6) & 63);
  return {isNear ? weight : 0, isNear ? -n : BUCKETS};
}

// ---------------------------------------------------------------------------------------------------------------------
// Philox4x32-10 (Salmon et al., SC 2011): 64 uniform bits for the token at a position of a sequence with this seed
// ---------------------------------------------------------------------------------------------------------------------

DEVICE u64 philox_bits(u64 seed, unsigned position) {
  unsigned c0 = position, c1 = 0, c2 = 0, c3 = 0;
  unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    u64 product0 = static_cast<u64>(0xD2511F53u) * c0;
    u64 product1 = static_cast<u64>(0xCD9E8D57u) * c2;
    c0 = static_cast<unsigned>(product1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<unsigned>(product1);
    c2 = static_cast<unsigned>(product0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<unsigned>(product0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return static_cast<u64>(c1) << 32 | c0;
}

// ---------------------------------------------------------------------------------------------------------------------
// Four neighbouring logits at a time; warps and blocks together. Blocks are whole warps
// ---------------------------------------------------------------------------------------------------------------------

constexpr unsigned WARP = 0xffffffffu;

DEVICE int lane_index() { return threadIdx.x & 31; }
DEVICE int warp_index() { return threadIdx.x >> 5; }
DEVICE int warp_count() { return blockDim.x >> 5; }

struct Four {
  float x[4];
};

// Logits id..id+3, id a multiple of 4, rows padded to a multiple of 4; -Infinity from `end` on. The load is always made,
// of the last four at the latest: without a branch several are under way at once.
DEVICE Four load_four(const float* row, int id, int end) {
  float4 v = *reinterpret_cast<const float4*>(row + min(id, (end - 1) & ~3));
  Four four;
  four.x[0] = id < end ? v.x : negative_infinity();
  four.x[1] = id + 1 < end ? v.y : negative_infinity();
  four.x[2] = id + 2 < end ? v.z : negative_infinity();
  four.x[3] = id + 3 < end ? v.w : negative_infinity();
  return four;
}

DEVICE void store_four(float* row, int id, const Four& four) {
  float4 v;
  v.x = four.x[0];
  v.y = four.x[1];
  v.z = four.x[2];
  v.w = four.x[3];
  *reinterpret_cast<float4*>(row + id) = v;
}

DEVICE float largest(const Four& four) {
  return fmaxf(fmaxf(four.x[0], four.x[1]), fmaxf(four.x[2], four.x[3]));
}

// ids [begin, end) of part `index` of `parts`; begin is a multiple of 128, so that masks and vectors divide evenly.
struct Range {
  int begin, end;
};

DEVICE Range part_of(Range whole, int index, int parts) {
  int length = ((whole.end - whole.begin + parts - 1) / parts + 127) / 128 * 128;
  int begin = min(whole.begin + index * length, whole.end);
  return {begin, min(begin + length, whole.end)};
}

DEVICE u64 warp_sum(u64 value) {
  for (int step = 16; step > 0; step >>= 1) value += __shfl_xor_sync(WARP, value, step);
  return value;
}

DEVICE u64 warp_min(u64 value) {
  for (int step = 16; step > 0; step >>= 1) {
    u64 other = __shfl_xor_sync(WARP, value, step);
    value = other < value ? other : value;
  }
  return value;
}

DEVICE int warp_min(int value) {
  for (int step = 16; step > 0; step >>= 1) value = min(value, __shfl_xor_sync(WARP, value, step));
  return value;
}

// The sum over this lane and those below.
DEVICE u64 warp_inclusive(u64 value) {
  for (int step = 1; step < 32; step <<= 1) {
    u64 below = __shfl_sync(WARP, value, max(lane_index() - step, 0));
    value += lane_index() >= step ? below : 0;
  }
  return value;
}

struct Scan {
  u64 before;  // sum over the threads below this one
  u64 total;   // sum over the block
};

// warpSums: 32 in shared memory, any use of which before is over for all threads once they arrive here.
DEVICE Scan block_scan(u64* warpSums, u64 value) {
  u64 inclusive = warp_inclusive(value);
  __syncthreads();
  if (lane_index() == 31) warpSums[warp_index()] = inclusive;
  __syncthreads();
  u64 warps = warp_inclusive(lane_index() < warp_count() ? warpSums[lane_index()] : 0);
  u64 before = __shfl_sync(WARP, warps, max(warp_index() - 1, 0));
  return {(warp_index() > 0 ? before : 0) + inclusive - value, __shfl_sync(WARP, warps, 31)};
}

// Calls each(id, Four) for ids base + offset.., base = range.begin, += step: the same number of times on all threads for
// which range and step are the same. Loads run AHEAD steps before the work.
template <int AHEAD, class Each>
DEVICE void stream_fours(const float* row, Range range, int offset, int step, Each each) {
  Four ahead[AHEAD];
#pragma unroll
  for (int i = 0; i < AHEAD; i++) ahead[i] = load_four(row, range.begin + i * step + offset, range.end);
  for (int base = range.begin; base < range.end; base += step) {
    Four now = ahead[0];
#pragma unroll
    for (int i = 1; i < AHEAD; i++) ahead[i - 1] = ahead[i];
    ahead[AHEAD - 1] = load_four(row, base + AHEAD * step + offset, range.end);
    each(base + offset, now);
  }
}
