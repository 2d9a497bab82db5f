/* Sixteen lanes in two ymm: AVX2 and FMA. See lanes.h. */
#include <immintrin.h>

typedef struct { __m256 l, h; } vf;
typedef struct { __m256i l, h; } vi;

/* 16 registers: 4 rows x 2 sums, 4 for split weights, 2 for an input; int8: 4 + 4 sums. */
enum { PANEL_BF16 = 4, PANEL_INT8 = 2, NIBBLE_ROWS = 6 };
enum { ATTEND_ROWS = 4 };
#define WIDE(rows) ((rows) <= 1 ? 2 : 1)
#define WIDE_INT(rows) 1
#define LORA_ROWS 2
#define LORA_WIDE(rows) ((rows) <= 1 ? 4 : 2)

#define EACH(type, name, op) \
  V_INLINE type name(type a, type b) { return (type){op(a.l, b.l), op(a.h, b.h)}; }
EACH(vf, vf_add, _mm256_add_ps)
EACH(vf, vf_sub, _mm256_sub_ps)
EACH(vf, vf_mul, _mm256_mul_ps)
EACH(vf, vf_div, _mm256_div_ps)
EACH(vf, vf_max, _mm256_max_ps)
EACH(vf, vf_min, _mm256_min_ps)
EACH(vi, vi_add, _mm256_add_epi32)
EACH(vi, vi_sub, _mm256_sub_epi32)
EACH(vi, vi_and, _mm256_and_si256)
EACH(vi, vi_or, _mm256_or_si256)
EACH(vi, vi_xor, _mm256_xor_si256)
EACH(vi, vi_max, _mm256_max_epi32)
EACH(vi, vi_min, _mm256_min_epi32)
#undef EACH
V_INLINE vf vf_set(float x) { return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
V_INLINE vf vf_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
V_INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x.l); _mm256_storeu_ps(p + 8, x.h); }
V_INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
V_INLINE vi vf_as_i(vf a) { return (vi){_mm256_castps_si256(a.l), _mm256_castps_si256(a.h)}; }
V_INLINE vf vi_as_f(vi a) { return (vf){_mm256_castsi256_ps(a.l), _mm256_castsi256_ps(a.h)}; }
V_INLINE vi vf_to_i(vf a) { return (vi){_mm256_cvtps_epi32(a.l), _mm256_cvtps_epi32(a.h)}; }
V_INLINE vf vi_to_f(vi a) { return (vf){_mm256_cvtepi32_ps(a.l), _mm256_cvtepi32_ps(a.h)}; }
V_INLINE vi vf_is_nan(vf a) {
  return (vi){_mm256_castps_si256(_mm256_cmp_ps(a.l, a.l, _CMP_UNORD_Q)),
              _mm256_castps_si256(_mm256_cmp_ps(a.h, a.h, _CMP_UNORD_Q))};
}
V_INLINE vi vf_greater(vf a, vf b) {
  return (vi){_mm256_castps_si256(_mm256_cmp_ps(a.l, b.l, _CMP_GT_OQ)),
              _mm256_castps_si256(_mm256_cmp_ps(a.h, b.h, _CMP_GT_OQ))};
}
V_INLINE vi vi_set(int32_t x) { return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
V_INLINE vi vi_load(const void *p) {
  const __m256i *q = p;
  return (vi){_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
V_INLINE void vi_store(void *p, vi x) {
  __m256i *q = p;
  _mm256_storeu_si256(q, x.l);
  _mm256_storeu_si256(q + 1, x.h);
}
V_INLINE vi vi_shl(vi a, int n) { return (vi){_mm256_slli_epi32(a.l, n), _mm256_slli_epi32(a.h, n)}; }
V_INLINE vi vi_shr(vi a, int n) { return (vi){_mm256_srli_epi32(a.l, n), _mm256_srli_epi32(a.h, n)}; }
V_INLINE vf vf_abs(vf a) { return vi_as_f(vi_and(vf_as_i(a), vi_set(0x7fffffff))); }
V_INLINE vi vi_iota(void) {
  return (vi){_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
              _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
V_INLINE vi vi_less(vi a, vi b) {
  return (vi){_mm256_cmpgt_epi32(b.l, a.l), _mm256_cmpgt_epi32(b.h, a.h)};
}
V_INLINE vi vi_select(vi mask, vi a, vi b) {
  return (vi){_mm256_blendv_epi8(b.l, a.l, mask.l), _mm256_blendv_epi8(b.h, a.h, mask.h)};
}
V_INLINE vi vi_load_u16(const uint16_t *p) {
  return (vi){_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)),
              _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
V_INLINE __m256i pack16(vi x) { /* low 16 bits of each lane, in order */
  __m256i mask = _mm256_set1_epi32(0xffff);
  __m256i mixed = _mm256_packus_epi32(_mm256_and_si256(x.l, mask), _mm256_and_si256(x.h, mask));
  return _mm256_permute4x64_epi64(mixed, 0xd8);
}
V_INLINE void vi_store_u16(uint16_t *p, vi x) { _mm256_storeu_si256((__m256i *)p, pack16(x)); }
V_INLINE void vi_store_s8(int8_t *p, vi x) {
  __m256i h = pack16(x); /* values fit in 8 bits: the signed pack does not saturate */
  __m128i b = _mm_packs_epi16(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  _mm_storeu_si128((__m128i *)p, b);
}

V_INLINE vf dot_bf16(vf acc, vi w, int32_t a) { /* even columns, then odd ones */
  vf even = vi_as_f(vi_shl(w, 16));
  vf odd = vi_as_f(vi_and(w, vi_set((int32_t)0xffff0000)));
  acc = vf_fma(even, vi_as_f(vi_set((int32_t)((uint32_t)a << 16))), acc);
  return vf_fma(odd, vi_as_f(vi_set(a & (int32_t)0xffff0000)), acc);
}

/* vpmaddubsw would saturate: bytes are widened to 16 bits, even and odd ones apart. */
typedef struct { vi even, odd; } vw;
V_INLINE int dot_offset(int offset) { return offset; }
V_INLINE vw vw_of(vi w, int offset) {
  (void)offset;
  return (vw){vi_and(w, vi_set(0x00ff00ff)),
              {_mm256_srli_epi16(w.l, 8), _mm256_srli_epi16(w.h, 8)}};
}
V_INLINE vi dot_u8(vi acc, vw w, int32_t a) {
  __m256i all = _mm256_set1_epi32(a);
  __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8);
  __m256i odd = _mm256_srai_epi16(all, 8);
  vi x = {_mm256_madd_epi16(w.even.l, even), _mm256_madd_epi16(w.even.h, even)};
  vi y = {_mm256_madd_epi16(w.odd.l, odd), _mm256_madd_epi16(w.odd.h, odd)};
  return vi_add(acc, vi_add(x, y));
}

V_INLINE vi vi_mul16(vi a, vi b) {
  return (vi){_mm256_mullo_epi16(a.l, b.l), _mm256_mullo_epi16(a.h, b.h)};
}
V_INLINE vi vi_add8(vi a, vi b) {
  return (vi){_mm256_add_epi8(a.l, b.l), _mm256_add_epi8(a.h, b.h)};
}
V_INLINE vi vi_load_s8(const int8_t *p) {
  return (vi){_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)),
              _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
V_INLINE vi vi_spread_u8(const uint8_t *p) {
  __m256i all = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
  __m256i spread = _mm256_setr_epi32(0, 0x01010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505,
                                     0x06060606, 0x07070707);
  __m256i upper = _mm256_or_si256(spread, _mm256_set1_epi8(8));
  return (vi){_mm256_shuffle_epi8(all, spread), _mm256_shuffle_epi8(all, upper)};
}
V_INLINE vi vi_mul_add(vi acc, vi a, vi b) { /* the upper halves of b's lanes must not count */
  __m256i low = _mm256_set1_epi32(0xffff);
  vi product = {_mm256_madd_epi16(a.l, _mm256_and_si256(b.l, low)),
                _mm256_madd_epi16(a.h, _mm256_and_si256(b.h, low))};
  return vi_add(acc, product);
}

V_INLINE float sum16(vf x) {
  __m256 h = _mm256_add_ps(x.l, x.h);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
V_INLINE float max16(vf x) {
  __m256 h = _mm256_max_ps(x.l, x.h);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
V_INLINE int32_t vi_sum16(vi x) {
  __m256i h = _mm256_add_epi32(x.l, x.h);
  __m128i q = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 0xb1)));
}

V_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
/* Into the second-level cache: 30 % more than into the first, whose few fill buffers it leaves. */
V_INLINE void prefetch_far(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
