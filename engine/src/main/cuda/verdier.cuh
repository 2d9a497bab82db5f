// Everything a kernel file needs, in both of its lives: compiled by nvcc for a GPU (sm_80 and later), or by g++ with
// -DVERDIER_EMULATED into a shared library whose kernels run on the CPU (emulation.h).
//
// A kernel is plain CUDA C++17 plus the primitives below. Inline PTX lives here and nowhere else, each piece beside an
// emulated twin of the same name in emulation.h, so that what the build checks without a GPU is the same text that runs
// on one. A primitive an architecture lacks traps there: kernels that use it ask VERDIER_HAS_BULK or VERDIER_HAS_WGMMA.
//
//   KERNEL(name, args...) { }                   entry point, extern "C", defined whatever the architecture
//   KERNEL_BOUNDS(name, threadsMax, blocksMin, args...) { }   the same with __launch_bounds__
//   SHARED float x[64];                         static shared memory, 128-byte aligned
//   DYNAMIC_SHARED(bytes);                      declares unsigned char* bytes, 1024-byte aligned
//   DEVICE_ASSERT(condition)                    fails an emulated launch; nothing on a GPU
#pragma once

#ifdef VERDIER_EMULATED
#include "emulation.h"
#else
#include <cuda_bf16.h>
#include <math_constants.h>
#include <stdint.h>
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Entry points, memory spaces, what this architecture has
// ---------------------------------------------------------------------------------------------------------------------

#define DEVICE __device__ __forceinline__

#ifndef VERDIER_EMULATED
#define KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define KERNEL_BOUNDS(name, threadsMax, blocksMin, ...) \
  extern "C" __global__ void __launch_bounds__(threadsMax, blocksMin) name(__VA_ARGS__)
#define SHARED __shared__ __align__(128)
extern __shared__ __align__(1024) unsigned char verdier_dynamic_shared[];
#define DYNAMIC_SHARED(name) unsigned char* name = verdier_dynamic_shared
#define DEVICE_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define VERDIER_HAS_BULK 1
#else
#define VERDIER_HAS_BULK 0
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define VERDIER_HAS_WGMMA 1
#else
#define VERDIER_HAS_WGMMA 0
#endif

typedef __nv_bfloat16 bf16;
typedef uint64_t mbarrier;  // lives in shared memory
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Numbers: bf16, fp8 e4m3
// ---------------------------------------------------------------------------------------------------------------------

#ifndef VERDIER_EMULATED
DEVICE float to_float(bf16 x) { return __bfloat162float(x); }

// To nearest, ties to even.
DEVICE bf16 from_float_rn(float x) { return __float2bfloat16_rn(x); }

DEVICE bf16 bf16_from_bits(uint16_t bits) { return __ushort_as_bfloat16(bits); }
DEVICE uint16_t bf16_bits(bf16 x) { return __bfloat16_as_ushort(x); }

// Two floats rounded to nearest even, lo in the low half.
DEVICE uint32_t pack2(float lo, float hi) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(hi), "f"(lo));
  return packed;
}

// a * b + c in both halves, rounded once, to nearest even. Subnormal numbers count.
DEVICE uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t sum;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  return sum;
}
#endif

DEVICE float low_to_float(uint32_t packed) { return __uint_as_float(packed << 16); }
DEVICE float high_to_float(uint32_t packed) { return __uint_as_float(packed & 0xffff0000u); }

// Four e4m3 codes in a word, to be unpacked with few instructions. In each half: the sign of the first in bit 15 and its
// other seven bits in 10-4; the second's sign in bit 11, its upper three bits of exponent in 14-12 and the rest in 3-0.
// The first pair's lower-numbered code is in the lower half, and so is the second's.
DEVICE uint32_t e4m3x4_pack(uint8_t first0, uint8_t first1, uint8_t second0, uint8_t second1) {
  uint32_t first = first0 | static_cast<uint32_t>(first1) << 16;
  uint32_t second = second0 | static_cast<uint32_t>(second1) << 16;
  return (first & 0x00800080u) << 8 | (first & 0x007f007fu) << 4 | (second & 0x00800080u) << 4 | (second & 0x00700070u) << 8 |
         (second & 0x000f000fu);
}

// Such a word to four bf16. Exact, subnormals included: the seven bits below the sign, put where bf16 has its low exponent
// and high mantissa bits, are the value times 2^-120 (the biases are 7 and 127); adding -0 keeps the signs of zeros. The
// two NaN codes (0x7f, 0xff) become 480 and -480: loaders refuse them. One and a half instructions a value.
DEVICE void e4m3x4_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  first = bf16x2_fma(word & 0x87f087f0u, 0x7b807b80u, 0x80008000u);
  second = bf16x2_fma((word << 4 & 0x80f080f0u) | (word >> 4 & 0x07000700u), 0x7b807b80u, 0x80008000u);
}

// Four bytes u in a word: the first pair are bytes 0 and 2, the second 1 and 3.
DEVICE uint32_t bytes_pack(uint8_t first0, uint8_t first1, uint8_t second0, uint8_t second1) {
  return first0 | static_cast<uint32_t>(second0) << 8 | static_cast<uint32_t>(first1) << 16 | static_cast<uint32_t>(second1) << 24;
}

// Such a word to four bf16 (u - 128) / 64, exactly: as the bits of a bf16, u is u * 2^-133, whether that is a subnormal
// number or not. Times 2^127, minus 2: one instruction a value.
DEVICE void excess128x4_to_bf16(uint32_t word, uint32_t& first, uint32_t& second) {
  first = bf16x2_fma(word & 0x00ff00ffu, 0x7f007f00u, 0xc000c000u);
  second = bf16x2_fma(__byte_perm(word, 0, 0x4341), 0x7f007f00u, 0xc000c000u);
}

// The multipliers and the addend by which two codes u of four bits become zero * (8 - u) / 8, rounded once: in bits 0-3 of
// each half `low`, in bits 4-7 `high`. `zero` is the value of code 0, a bf16 below 1/4 in magnitude. As the bits of a bf16
// the codes are u * 2^-133 and u * 2^-129; the multipliers are -zero times 2^130 and 2^126. Of memory that holds nothing but
// zeros all values are zero.
struct Int4Scale {
  uint32_t low;
  uint32_t high;
  uint32_t zero;

  // The same number in both halves.
  DEVICE explicit Int4Scale(uint32_t zero)
      : low((zero ^ 0x80008000u) + 0x41004100u), high((zero ^ 0x80008000u) + 0x3f003f00u), zero(zero) {}
};

// The codes in bits 0-3 and 4-7 of each half.
DEVICE void int4x4_to_bf16(uint32_t word, const Int4Scale& scale, uint32_t& first, uint32_t& second) {
  first = bf16x2_fma(word & 0x000f000fu, scale.low, scale.zero);
  second = bf16x2_fma(word & 0x00f000f0u, scale.high, scale.zero);
}

// Four e4m3 bytes that were written one by one to four bf16, as exactly as e4m3x4_to_bf16 but in more instructions: `odd`
// holds bytes 1 and 3, `even` bytes 0 and 2 (0 is the lowest).
DEVICE void e4m3_bytes_to_bf16(uint32_t bytes, uint32_t& odd, uint32_t& even) {
  odd = bf16x2_fma((bytes & 0x80008000u) | (bytes & 0x7f007f00u) >> 4, 0x7b807b80u, 0x80008000u);
  even = bf16x2_fma((bytes & 0x00800080u) << 8 | (bytes & 0x007f007fu) << 4, 0x7b807b80u, 0x80008000u);
}

// To e4m3: nearest, ties to even, larger magnitudes become 448. By integer operations, because sm_80 has no such
// conversion and every machine must make the same weights and keys.
DEVICE uint8_t e4m3_from_float(float x) {
  uint8_t sign = static_cast<uint8_t>(__float_as_uint(x) >> 24 & 0x80);
  float magnitude = fminf(fabsf(x), 448.0f);
  if (magnitude < 0.015625f) return sign | static_cast<uint8_t>(rintf(__fmul_rn(magnitude, 512.0f)));  // steps of 2^-9
  uint32_t bits = __float_as_uint(magnitude);
  bits += 0x7ffff + (bits >> 20 & 1);
  return sign | static_cast<uint8_t>((bits >> 20) - (120 << 3));
}

DEVICE float e4m3_to_float(uint8_t byte) {
  uint32_t odd, even;
  e4m3_bytes_to_bf16(byte, odd, even);
  return low_to_float(even);
}

#ifndef VERDIER_EMULATED
// 2^x, within 2 ulp; results below 2^-126 become 0; exp2_fast(-inf) is 0.
DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#endif

// ---------------------------------------------------------------------------------------------------------------------
// The operand layout: [Kpad/64][rowsPad][64] bf16, 16-byte pieces of each 128-byte row exchanged by the row's low bits
// ---------------------------------------------------------------------------------------------------------------------

// Offset in bytes of column `column` (0..63) of row `row` inside one 64-column chunk.
DEVICE uint32_t swizzled(uint32_t row, uint32_t column) {
  return row * 128 + (((column >> 3) ^ (row & 7)) << 4) + (column & 7) * 2;
}

// Offset in bytes of element (row, k) of the whole operand.
DEVICE int64_t operand_offset(int rowsPad, int row, int k) {
  return static_cast<int64_t>(k >> 6) * rowsPad * 128 + swizzled(row, k & 63);
}

DEVICE bf16* operand_at(void* base, int rowsPad, int row, int k) {
  return reinterpret_cast<bf16*>(static_cast<char*>(base) + operand_offset(rowsPad, row, k));
}

DEVICE const bf16* operand_at(const void* base, int rowsPad, int row, int k) {
  return reinterpret_cast<const bf16*>(static_cast<const char*>(base) + operand_offset(rowsPad, row, k));
}

#ifndef VERDIER_EMULATED
// ---------------------------------------------------------------------------------------------------------------------
// Tensor cores of a warp
// ---------------------------------------------------------------------------------------------------------------------

DEVICE uint32_t shared_address(const void* shared) { return static_cast<uint32_t>(__cvta_generic_to_shared(shared)); }

// d[16][8] += a[16][16] * b[16][8]. With g = lane / 4, t = lane % 4:
//   a[0] = (row g, k 2t 2t+1)  a[1] = (g+8, 2t..)  a[2] = (g, 2t+8..)  a[3] = (g+8, 2t+8..)
//   b0 = (k 2t 2t+1, column g)  b1 = (k 2t+8.., g)
//   d[0] d[1] = (row g, columns 2t 2t+1)  d[2] d[3] = (row g+8, the same)
DEVICE void mma16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d = a * b: mma16816 from +0, without registers set to zero first.
DEVICE void mma16816_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

// Four 8x8 matrices of 16-bit values. Lane l names row l%8 of matrix l/8 (16 bytes, aligned); r[i] of each lane
// receives row lane/4, columns 2*(lane%4).. of matrix i. Whole warp.
DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// ---------------------------------------------------------------------------------------------------------------------
// Loads and asynchronous copies of a thread
// ---------------------------------------------------------------------------------------------------------------------

// 16 bytes of read-only memory that is read once: past L1, whole 256-byte pieces into L2.
DEVICE uint4 ldg_stream(const uint4* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

// 16 or 8 bytes that are read once but that a kernel before this one may still be writing when this one starts (see pdl_wait).
DEVICE uint4 load_stream(const uint4* p) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p)
               : "memory");
  return v;
}

DEVICE uint2 load_stream(const uint2* p) {
  uint2 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p) : "memory");
  return v;
}

// 16 bytes, both addresses aligned to 16. Visible to this thread after cp_async_wait, to others after a barrier too.
DEVICE void cp_async16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}

// The same where `valid`, else 16 zero bytes (global is then not read but must be a mapped address).
DEVICE void cp_async16_or_zero(void* shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}

DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most N of this thread's latest groups are under way.
template <int N>
DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// ---------------------------------------------------------------------------------------------------------------------
// Bulk copies and their barriers (sm_90)
// ---------------------------------------------------------------------------------------------------------------------

DEVICE void unsupported() { asm volatile("trap;"); }

// By one thread; then __syncthreads() before anybody else uses it. A phase completes when `arrivals` threads have
// arrived and all expected bytes have come; the barrier then begins its next phase by itself.
DEVICE void mbar_init(mbarrier* bar, uint32_t arrivals) {
#if VERDIER_HAS_BULK
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  unsupported();
#endif
}

DEVICE void mbar_arrive(mbarrier* bar) {
#if VERDIER_HAS_BULK
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar)) : "memory");
#else
  unsupported();
#endif
}

// The same where `wanted`, without a branch.
DEVICE void mbar_arrive_if(mbarrier* bar, bool wanted) {
#if VERDIER_HAS_BULK
  asm volatile(
      "{\n"
      ".reg .pred wanted;\n"
      "setp.ne.u32 wanted, %1, 0;\n"
      "@wanted mbarrier.arrive.shared::cta.b64 _, [%0];\n"
      "}\n" ::"r"(shared_address(bar)),
      "r"(wanted ? 1u : 0u)
      : "memory");
#else
  unsupported();
#endif
}

// Whether the phase of this parity is complete: mbar_wait without waiting.
DEVICE bool mbar_test(mbarrier* bar, uint32_t parity) {
  uint32_t done = 0;
#if VERDIER_HAS_BULK
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 done, [%1], %2;\n"
      "selp.u32 %0, 1, 0, done;\n"
      "}\n"
      : "=r"(done)
      : "r"(shared_address(bar)), "r"(parity)
      : "memory");
#else
  unsupported();
#endif
  return done != 0;
}

// Arrives, and makes the current phase wait for `bytes` more bytes of bulk copies. Before the copies are issued.
DEVICE void mbar_expect_tx(mbarrier* bar, uint32_t bytes) {
#if VERDIER_HAS_BULK
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes)
               : "memory");
#else
  unsupported();
#endif
}

// Makes the current phase wait for `bytes` more bytes, without arriving: arrivals are still to come.
DEVICE void mbar_expect_more(mbarrier* bar, uint32_t bytes) {
#if VERDIER_HAS_BULK
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes) : "memory");
#else
  unsupported();
#endif
}

// Until the phase of this parity is complete: 0 for the first phase, 1 for the second, ... A fresh barrier counts as
// having just completed a phase of parity 1.
DEVICE void mbar_wait(mbarrier* bar, uint32_t parity) {
#if VERDIER_HAS_BULK
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(shared_address(bar)),
      "r"(parity)
      : "memory");
#else
  unsupported();
#endif
}

// By one thread: addresses and bytes multiples of 16; completes `bytes` on the barrier.
DEVICE void bulk_copy(void* shared, const void* global, uint32_t bytes, mbarrier* bar) {
#if VERDIER_HAS_BULK
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(shared_address(bar))
               : "memory");
#else
  unsupported();
#endif
}

// Asks for `bytes` (a multiple of 16, aligned to 16) to be in L2 soon; a hint, nothing waits for it. Nothing before
// sm_90.
DEVICE void prefetch_l2(const void* global, uint32_t bytes) {
#if VERDIER_HAS_BULK
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(global), "r"(bytes) : "memory");
#endif
}

// After ordinary stores to shared memory that wgmma or a bulk copy will read, before the barrier that announces them.
DEVICE void fence_async_proxy() {
#if VERDIER_HAS_BULK
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// ---------------------------------------------------------------------------------------------------------------------
// Barriers of part of a block
// ---------------------------------------------------------------------------------------------------------------------

// Barrier `id` (1..15; 0 is __syncthreads) of `threads` threads, a multiple of 32: whole warps wait, or only arrive.
DEVICE void barrier_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DEVICE void barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---------------------------------------------------------------------------------------------------------------------
// Blocks that meet in memory
// ---------------------------------------------------------------------------------------------------------------------

// Adds 1 to a counter in global memory and returns what it was. What this thread wrote before, and what others had
// written before a barrier that it has passed, is there for whoever counts this arrival, and for who passes a barrier
// with that one afterwards.
DEVICE int arrive(int* counter) {
  int before;
  asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
  return before;
}

// ---------------------------------------------------------------------------------------------------------------------
// Programmatic dependent launch (sm_90; nothing before): wait before reading what an earlier kernel wrote
// ---------------------------------------------------------------------------------------------------------------------

DEVICE void pdl_wait() {
#if VERDIER_HAS_BULK
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

DEVICE void pdl_launch() {
#if VERDIER_HAS_BULK
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---------------------------------------------------------------------------------------------------------------------
// Tensor cores of a warpgroup (sm_90a)
// ---------------------------------------------------------------------------------------------------------------------

// B tile of [N rows][64 k] bf16 in the operand layout, 1024-byte aligned in dynamic shared memory, seen from k step
// `step` (0..3, 16 columns each). Fields: start address / 16 in bits 0-13; leading offset (unused when swizzled) 16-29;
// stride between groups of 8 rows / 16 in 32-45; 128-byte swizzle in 62-63. The step moves the start by 32 bytes: the
// hardware exchanges the address bits after adding offsets.
DEVICE uint64_t wgmma_descriptor(const void* tile, int step) {
  uint64_t start = (shared_address(tile) & 0x3ffff) >> 4;
  return (start + 2 * step) | (uint64_t(1) << 16) | (uint64_t(1024 >> 4) << 32) | (uint64_t(1) << 62);
}

// Before the first wgmma, and again whenever registers that a wgmma reads or adds to were written since.
DEVICE void wgmma_fence() {
#if VERDIER_HAS_WGMMA
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  unsupported();
#endif
}

DEVICE void wgmma_commit() {
#if VERDIER_HAS_WGMMA
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  unsupported();
#endif
}

// Until at most N of the latest groups are under way. Give the accumulators that are read next to `wgmma_settled`.
template <int N>
DEVICE void wgmma_wait() {
#if VERDIER_HAS_WGMMA
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#else
  unsupported();
#endif
}

// Keeps the compiler from moving reads of d before the wait above it, or writes of d below the fence beneath it.
template <int M>
DEVICE void wgmma_settled(float (&d)[M]) {
#pragma unroll
  for (int i = 0; i < M; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// d[64][N] += a[64][16] * b[16][N]; a in registers (warp w of the four holds rows 16w.. as in mma16816), b named by a
// descriptor. d[4j..4j+3] is mma16816's d for columns 8j..8j+7. Whole warpgroup; d and a are busy until wgmma_wait.
template <int N>
DEVICE void wgmma_rs(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b);

#define VERDIER_D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define VERDIER_D16(d, i) VERDIER_D4(d, i), VERDIER_D4(d, i + 4), VERDIER_D4(d, i + 8), VERDIER_D4(d, i + 12)
#define VERDIER_D64(d, i) VERDIER_D16(d, i), VERDIER_D16(d, i + 16), VERDIER_D16(d, i + 32), VERDIER_D16(d, i + 48)
#define VERDIER_R4 "%0,%1,%2,%3"
#define VERDIER_R8 VERDIER_R4 ",%4,%5,%6,%7"
#define VERDIER_R16 VERDIER_R8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define VERDIER_R32 VERDIER_R16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define VERDIER_R64 \
  VERDIER_R32       \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
  ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define VERDIER_R128                                                                                     \
  VERDIER_R64                                                                                            \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"                                     \
  ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"                                     \
  ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"                         \
  ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

// N columns, the text of its d registers, the numbers of the a registers and the descriptor (they follow d), d's
// bindings.
#if VERDIER_HAS_WGMMA
#define VERDIER_WGMMA(N, registers, operands, bindings...)                                                      \
  template <>                                                                                                   \
  DEVICE void wgmma_rs<N>(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b) {                              \
    asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 1, 1;\n"                                                 \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" registers "}, " operands          \
                 ", add, 1, 1, 0;\n}\n"                                                                         \
                 : bindings                                                                                     \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)                                           \
                 : "memory");                                                                                   \
  }
#else
#define VERDIER_WGMMA(N, registers, operands, bindings...)             \
  template <>                                                          \
  DEVICE void wgmma_rs<N>(float (&)[N / 2], const uint32_t (&)[4], uint64_t) { \
    unsupported();                                                     \
  }
#endif
VERDIER_WGMMA(8, VERDIER_R4, "{%4,%5,%6,%7}, %8", VERDIER_D4(d, 0))
VERDIER_WGMMA(16, VERDIER_R8, "{%8,%9,%10,%11}, %12", VERDIER_D4(d, 0), VERDIER_D4(d, 4))
VERDIER_WGMMA(32, VERDIER_R16, "{%16,%17,%18,%19}, %20", VERDIER_D16(d, 0))
VERDIER_WGMMA(64, VERDIER_R32, "{%32,%33,%34,%35}, %36", VERDIER_D16(d, 0), VERDIER_D16(d, 16))
VERDIER_WGMMA(128, VERDIER_R64, "{%64,%65,%66,%67}, %68", VERDIER_D64(d, 0))
VERDIER_WGMMA(256, VERDIER_R128, "{%128,%129,%130,%131}, %132", VERDIER_D64(d, 0), VERDIER_D64(d, 64))
#undef VERDIER_WGMMA

// Moves registers between the warpgroups of a block: the count a thread has from here on, a multiple of 8. Whole
// warpgroup.
template <int COUNT>
DEVICE void registers_raise() {
#if VERDIER_HAS_WGMMA
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
#endif
}

template <int COUNT>
DEVICE void registers_lower() {
#if VERDIER_HAS_WGMMA
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
#endif
}
#endif
