/* Sixteen lanes in one zmm: AVX-512 F, BW, DQ, VL, VNNI, BF16. See lanes.h. */
#include <immintrin.h>

typedef __m512 vf;
typedef __m512i vi;

/* 24 sums + 2 weights + 1 input of 32 registers; int8: 16 sums, since gcc 12 spills some of 20 (Zen 5:
   899 GOP/s a core of 8 rows in the first-level cache, 828 of 10); int4, up to 6 rows: 12 + 12.
   Where vectors multiply, nibbles taken apart again for 6 more rows cost less than widening them for
   so few; tiles want them widened. */
#if defined(__AMX_TILE__)
enum { PANEL_BF16 = 32, PANEL_INT8 = 32, NIBBLE_ROWS = 6, ATTEND_ROWS = 32 };
#else
enum { PANEL_BF16 = 12, PANEL_INT8 = 8, NIBBLE_ROWS = 12, ATTEND_ROWS = 12 };
#endif
#define WIDE(rows) 2
#define WIDE_INT(rows) 2
#define LORA_ROWS 4
#define LORA_WIDE(rows) ((rows) <= 2 ? 8 : 4)

V_INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
V_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
V_INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
V_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
V_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
V_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
V_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
V_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
V_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
V_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
V_INLINE vf vf_abs(vf a) { return _mm512_abs_ps(a); }
V_INLINE vi vf_as_i(vf a) { return _mm512_castps_si512(a); }
V_INLINE vf vi_as_f(vi a) { return _mm512_castsi512_ps(a); }
V_INLINE vi vf_to_i(vf a) { return _mm512_cvtps_epi32(a); }
V_INLINE vf vi_to_f(vi a) { return _mm512_cvtepi32_ps(a); }
V_INLINE vi vf_is_nan(vf a) { return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q)); }
V_INLINE vi vf_greater(vf a, vf b) { return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)); }

V_INLINE vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
V_INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
V_INLINE void vi_store(void *p, vi x) { _mm512_storeu_si512(p, x); }
V_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
V_INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
V_INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
V_INLINE vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
V_INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
V_INLINE vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
V_INLINE vi vi_min(vi a, vi b) { return _mm512_min_epi32(a, b); }
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
#define vi_shr(a, n) _mm512_srli_epi32(a, n)
V_INLINE vi vi_iota(void) {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
V_INLINE vi vi_less(vi a, vi b) { return _mm512_movm_epi32(_mm512_cmplt_epi32_mask(a, b)); }
V_INLINE vi vi_select(vi mask, vi a, vi b) {
  return _mm512_mask_mov_epi32(b, _mm512_movepi32_mask(mask), a);
}
V_INLINE vi vi_load_u16(const uint16_t *p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
V_INLINE void vi_store_u16(uint16_t *p, vi x) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(x));
}
/* One sum takes the even numbers, the other one the odd. vcvtne2ps2bf16 makes denormals zero. */
#define VF_STORE_BF16
V_INLINE void vf_store_bf16(uint16_t *to, const vf x[2], vf sums[2]) {
  vi halves = (vi)_mm512_cvtne2ps_pbh(x[1], x[0]);
  vi_store(to, halves);
  sums[0] = vf_add(sums[0], vi_as_f(vi_shl(halves, 16)));
  sums[1] = vf_add(sums[1], vi_as_f(vi_and(halves, vi_set((int32_t)0xffff0000))));
}
V_INLINE void vi_store_s8(int8_t *p, vi x) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x));
}

#if defined(__AMX_TILE__)
/* Processors with tiles do vdpbf16ps at half the rate of two fused multiply-adds (measured). */
V_INLINE vf dot_bf16(vf acc, vi w, int32_t a) {
  vi pair = _mm512_set1_epi32(a), high = _mm512_set1_epi32((int32_t)0xffff0000);
  acc = vf_fma(vi_as_f(vi_shl(w, 16)), vi_as_f(vi_shl(pair, 16)), acc);
  return vf_fma(vi_as_f(vi_and(w, high)), vi_as_f(vi_and(pair, high)), acc);
}
#else
V_INLINE vf dot_bf16(vf acc, vi w, int32_t a) {
  return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)_mm512_set1_epi32(a));
}
#endif

typedef __m512i vw; /* weights, made ready once for all rows */
V_INLINE int dot_offset(int offset) { return offset; }
V_INLINE vw vw_of(vi w, int offset) {
  (void)offset;
  return w; }
V_INLINE vi dot_u8(vi acc, vw w, int32_t a) {
  return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(a));
}

V_INLINE vi vi_mul16(vi a, vi b) { return _mm512_mullo_epi16(a, b); }
V_INLINE vi vi_add8(vi a, vi b) { return _mm512_add_epi8(a, b); }
V_INLINE vi vi_load_s8(const int8_t *p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
V_INLINE vi vi_spread_u8(const uint8_t *p) {
  vi spread = _mm512_setr_epi32(0, 0x01010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505,
                                0x06060606, 0x07070707, 0x08080808, 0x09090909, 0x0a0a0a0a,
                                0x0b0b0b0b, 0x0c0c0c0c, 0x0d0d0d0d, 0x0e0e0e0e, 0x0f0f0f0f);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p)), spread);
}
V_INLINE vi vi_mul_add(vi acc, vi a, vi b) { /* the upper halves of b's lanes must not count */
  return _mm512_dpwssd_epi32(acc, a, _mm512_and_si512(b, _mm512_set1_epi32(0xffff)));
}

V_INLINE float sum16(vf x) {
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
V_INLINE float max16(vf x) { return _mm512_reduce_max_ps(x); }
V_INLINE int32_t vi_sum16(vi x) { return _mm512_reduce_add_epi32(x); }

V_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
/* Into the second-level cache: 30 % more than into the first, whose few fill buffers it leaves. */
V_INLINE void prefetch_far(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
