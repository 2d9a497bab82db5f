/* Sixteen lanes in four q registers: ARMv8.2 with dot products of bytes. See lanes.h. */
#include <arm_neon.h>

typedef float32x4x4_t vf;
typedef int32x4x4_t vi;

/* 32 registers: 4 rows x 4 sums, 8 for split weights, 2 for an input; int8: 2 x (4 + 4) sums. */
enum { PANEL_BF16 = 4, PANEL_INT8 = 3, NIBBLE_ROWS = 6 };
enum { ATTEND_ROWS = 4 };
#define WIDE(rows) ((rows) <= 2 ? 2 : 1)
#define WIDE_INT(rows) 1
#define LORA_ROWS 2
#define LORA_WIDE(rows) ((rows) <= 1 ? 4 : 2)

#define EACH(i) for (int i = 0; i < 4; i++)
#define BOTH(type, name, op)                \
  V_INLINE type name(type a, type b) {      \
    type r;                                 \
    EACH(i) r.val[i] = op(a.val[i], b.val[i]); \
    return r;                               \
  }
BOTH(vf, vf_add, vaddq_f32)
BOTH(vf, vf_sub, vsubq_f32)
BOTH(vf, vf_mul, vmulq_f32)
BOTH(vf, vf_div, vdivq_f32)
BOTH(vf, vf_max, vmaxq_f32)
BOTH(vf, vf_min, vminq_f32)
BOTH(vi, vi_add, vaddq_s32)
BOTH(vi, vi_sub, vsubq_s32)
BOTH(vi, vi_and, vandq_s32)
BOTH(vi, vi_or, vorrq_s32)
BOTH(vi, vi_xor, veorq_s32)
BOTH(vi, vi_max, vmaxq_s32)
BOTH(vi, vi_min, vminq_s32)
#undef BOTH
V_INLINE vf vf_set(float x) {
  vf r;
  EACH(i) r.val[i] = vdupq_n_f32(x);
  return r;
}
V_INLINE vf vf_load(const float *p) {
  vf r;
  EACH(i) r.val[i] = vld1q_f32(p + 4 * i);
  return r;
}
V_INLINE void vf_store(float *p, vf x) { EACH(i) vst1q_f32(p + 4 * i, x.val[i]); }
V_INLINE vf vf_fma(vf a, vf b, vf c) {
  EACH(i) c.val[i] = vfmaq_f32(c.val[i], a.val[i], b.val[i]);
  return c;
}
V_INLINE vf vf_abs(vf a) {
  EACH(i) a.val[i] = vabsq_f32(a.val[i]);
  return a;
}
V_INLINE vi vf_as_i(vf a) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_f32(a.val[i]);
  return r;
}
V_INLINE vf vi_as_f(vi a) {
  vf r;
  EACH(i) r.val[i] = vreinterpretq_f32_s32(a.val[i]);
  return r;
}
V_INLINE vi vf_to_i(vf a) { /* to nearest, ties to even */
  vi r;
  EACH(i) r.val[i] = vcvtnq_s32_f32(a.val[i]);
  return r;
}
V_INLINE vf vi_to_f(vi a) {
  vf r;
  EACH(i) r.val[i] = vcvtq_f32_s32(a.val[i]);
  return r;
}
V_INLINE vi vf_is_nan(vf a) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_u32(vmvnq_u32(vceqq_f32(a.val[i], a.val[i])));
  return r;
}
V_INLINE vi vf_greater(vf a, vf b) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_u32(vcgtq_f32(a.val[i], b.val[i]));
  return r;
}
V_INLINE vi vi_set(int32_t x) {
  vi r;
  EACH(i) r.val[i] = vdupq_n_s32(x);
  return r;
}
V_INLINE vi vi_load(const void *p) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)p + 16 * i));
  return r;
}
V_INLINE void vi_store(void *p, vi x) {
  EACH(i) vst1q_u8((uint8_t *)p + 16 * i, vreinterpretq_u8_s32(x.val[i]));
}
V_INLINE vi vi_shl(vi a, int n) {
  EACH(i) a.val[i] = vshlq_s32(a.val[i], vdupq_n_s32(n));
  return a;
}
V_INLINE vi vi_shr(vi a, int n) { /* zeros from above */
  EACH(i) {
    uint32x4_t u = vshlq_u32(vreinterpretq_u32_s32(a.val[i]), vdupq_n_s32(-n));
    a.val[i] = vreinterpretq_s32_u32(u);
  }
  return a;
}
V_INLINE vi vi_iota(void) {
  static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return vi_load(lanes);
}
V_INLINE vi vi_less(vi a, vi b) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_u32(vcltq_s32(a.val[i], b.val[i]));
  return r;
}
V_INLINE vi vi_select(vi mask, vi a, vi b) {
  EACH(i) b.val[i] = vbslq_s32(vreinterpretq_u32_s32(mask.val[i]), a.val[i], b.val[i]);
  return b;
}
V_INLINE vi vi_load_u16(const uint16_t *p) {
  vi r;
  EACH(i) r.val[i] = vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p + 4 * i)));
  return r;
}
V_INLINE void vi_store_u16(uint16_t *p, vi x) {
  EACH(i) vst1_u16(p + 4 * i, vmovn_u32(vreinterpretq_u32_s32(x.val[i])));
}
V_INLINE void vi_store_s8(int8_t *p, vi x) {
  int16x8_t low = vcombine_s16(vmovn_s32(x.val[0]), vmovn_s32(x.val[1]));
  int16x8_t high = vcombine_s16(vmovn_s32(x.val[2]), vmovn_s32(x.val[3]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

V_INLINE vf dot_bf16(vf acc, vi w, int32_t a) { /* even columns, then odd ones */
  int32_t high = (int32_t)0xffff0000;
  vf even = vi_as_f(vi_set((int32_t)((uint32_t)a << 16)));
  acc = vf_fma(vi_as_f(vi_shl(w, 16)), even, acc);
  return vf_fma(vi_as_f(vi_and(w, vi_set(high))), vi_as_f(vi_set(a & high)), acc);
}

/*
 * The instruction multiplies signed bytes: weights of 0 .. 255 are taken less 128, which is the
 * offset that they have, and those of 0 .. 15 as they are.
 */
typedef vi vw;
V_INLINE int dot_offset(int offset) { return offset == 128 ? 0 : offset; }
V_INLINE vw vw_of(vi w, int offset) {
  if (offset != 128) return w;
  EACH(i) {
    uint8x16_t flipped = veorq_u8(vreinterpretq_u8_s32(w.val[i]), vdupq_n_u8(0x80));
    w.val[i] = vreinterpretq_s32_u8(flipped);
  }
  return w;
}
V_INLINE vi dot_u8(vi acc, vw w, int32_t a) {
  int8x16_t inputs = vreinterpretq_s8_s32(vdupq_n_s32(a));
  EACH(i) acc.val[i] = vdotq_s32(acc.val[i], vreinterpretq_s8_s32(w.val[i]), inputs);
  return acc;
}

V_INLINE vi vi_mul16(vi a, vi b) {
  EACH(i) {
    int16x8_t x = vreinterpretq_s16_s32(a.val[i]), y = vreinterpretq_s16_s32(b.val[i]);
    a.val[i] = vreinterpretq_s32_s16(vmulq_s16(x, y));
  }
  return a;
}
V_INLINE vi vi_add8(vi a, vi b) {
  EACH(i) {
    int8x16_t x = vreinterpretq_s8_s32(a.val[i]), y = vreinterpretq_s8_s32(b.val[i]);
    a.val[i] = vreinterpretq_s32_s8(vaddq_s8(x, y));
  }
  return a;
}
V_INLINE vi vi_load_s8(const int8_t *p) {
  int16x8_t low = vmovl_s8(vld1_s8(p)), high = vmovl_s8(vld1_s8(p + 8));
  vi r;
  r.val[0] = vmovl_s16(vget_low_s16(low));
  r.val[1] = vmovl_s16(vget_high_s16(low));
  r.val[2] = vmovl_s16(vget_low_s16(high));
  r.val[3] = vmovl_s16(vget_high_s16(high));
  return r;
}
V_INLINE vi vi_spread_u8(const uint8_t *p) {
  static const uint8_t first[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  uint8x16_t all = vld1q_u8(p);
  vi r;
  EACH(i) {
    uint8x16_t at = vaddq_u8(vld1q_u8(first), vdupq_n_u8((uint8_t)(4 * i)));
    r.val[i] = vreinterpretq_s32_u8(vqtbl1q_u8(all, at));
  }
  return r;
}
V_INLINE vi vi_mul_add(vi acc, vi a, vi b) {
  EACH(i) acc.val[i] = vmlaq_s32(acc.val[i], a.val[i], b.val[i]);
  return acc;
}

V_INLINE float sum16(vf x) {
  float32x4_t q = vaddq_f32(vaddq_f32(x.val[0], x.val[2]), vaddq_f32(x.val[1], x.val[3]));
  float32x2_t d = vadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}
V_INLINE float max16(vf x) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.val[0], x.val[1]), vmaxq_f32(x.val[2], x.val[3])));
}
V_INLINE int32_t vi_sum16(vi x) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(x.val[0], x.val[1]), vaddq_s32(x.val[2], x.val[3])));
}
#undef EACH

V_INLINE void prefetch(const void *p) { __builtin_prefetch(p); }
V_INLINE void prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); }
