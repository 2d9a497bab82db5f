/* What the machine can do at most, in the same run as what the kernels do. */
#include "lanes.h"

#if defined(__AMX_TILE__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

int32_t v_abi(void) { return V_ABI; }

/* Asks the kernel for the tile registers, which Linux gives only on request. */
int32_t v_prepare(void) {
#if defined(__AMX_TILE__)
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 ? 0 : 1;
#else
  return 0;
#endif
}

enum { READ = 0, DOT_BF16 = 1, DOT_INT8 = 2, FMA = 3, TILE_BF16 = 4, TILE_INT8 = 5 };
enum { CHAINS = 12 }; /* enough to hide the latency, few enough for the registers */

static float read_all(const uint8_t *data, int64_t bytes) {
  vi x[4] = {vi_set(0), vi_set(0), vi_set(0), vi_set(0)};
  for (int64_t i = 0; i < bytes; i += 256) {
    for (int j = 0; j < 4; j++) {
      prefetch_far(data + i + j * 64 + 16384);
      x[j] = vi_or(x[j], vi_load(data + i + j * 64));
    }
  }
  return sum16(vi_as_f(vi_or(vi_or(x[0], x[1]), vi_or(x[2], x[3]))));
}

/* Each round is CHAINS operations; their operands are opaque to the compiler. */
static float compute(int64_t kind, int64_t rounds) {
  vf f[CHAINS];
  vi n[CHAINS];
  vi ones = vi_set(0x3f803f80);
  vw weights = vw_of(ones, 0);
  vf one = vf_set(1.0f);
  int32_t a = 0x3f803f80;
  for (int i = 0; i < CHAINS; i++) {
    f[i] = vf_set((float)i);
    n[i] = vi_set(i);
  }
  for (int64_t round = 0; round < rounds; round++) {
    __asm__ volatile("" : "+r"(a));
    if (kind == DOT_BF16) {
#pragma GCC unroll 12
      for (int i = 0; i < CHAINS; i++) f[i] = dot_bf16(f[i], ones, a);
    } else if (kind == DOT_INT8) {
#pragma GCC unroll 12
      for (int i = 0; i < CHAINS; i++) n[i] = dot_u8(n[i], weights, a);
    } else {
#pragma GCC unroll 12
      for (int i = 0; i < CHAINS; i++) f[i] = vf_fma(one, one, f[i]);
    }
  }
  vf sum = vf_zero();
  for (int i = 0; i < CHAINS; i++) sum = vf_add(sum, vf_add(f[i], vi_to_f(n[i])));
  return sum16(sum);
}

#if defined(__AMX_TILE__)
/* Each round is 4 multiplications of 16 x 16 x 64 bytes. */
static float compute_tiles(int64_t kind, int64_t rounds) {
  uint8_t zeros[1024] __attribute__((aligned(64))) = {0};
  struct { uint8_t palette, start, reserved[14]; uint16_t row_bytes[16]; uint8_t rows[16]; } c
      __attribute__((aligned(64))) = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = 16;
  }
  _tile_loadconfig(&c);
  _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
  _tile_loadd(4, zeros, 64); _tile_loadd(5, zeros, 64);
  _tile_loadd(6, zeros, 64); _tile_loadd(7, zeros, 64);
  for (int64_t i = 0; i < rounds; i++) {
    if (kind == TILE_BF16) {
      _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);
    } else {
      _tile_dpbsud(0, 4, 6); _tile_dpbsud(1, 4, 7);
      _tile_dpbsud(2, 5, 6); _tile_dpbsud(3, 5, 7);
    }
  }
  _tile_stored(0, zeros, 64);
  _tile_release();
  return zeros[0];
}
#endif

void v_probe(const probe_args *a, int32_t unit, int32_t worker) {
  float result;
  if (a->kind == READ) {
    result = read_all(a->data + unit * a->bytes_per_unit, a->bytes_per_unit);
#if defined(__AMX_TILE__)
  } else if (a->kind >= TILE_BF16) {
    result = compute_tiles(a->kind, a->rounds);
#endif
  } else {
    result = compute(a->kind, a->rounds);
  }
  a->sink[worker * 8] = result;
}

void v_ask(const void *first, int32_t lines, int32_t worker) {
  (void)worker;
  for (int32_t i = 0; i < lines; i++) prefetch_far((const uint8_t *)first + i * 64);
}
