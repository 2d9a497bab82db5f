/*
 * Sixteen lanes, whatever the machine's vectors are: one zmm, two ymm or four q registers. Kernels
 * are written once, over these. A lane never meets another except in sum16 and max16, which go by
 * halving (lane i with i + 8, then + 4, + 2, + 1); so everything but dot_bf16 and the sums of
 * vf_store_bf16 has the same bits on every level.
 *
 *   vf, vi         16 x f32, 16 x s32
 *   dot_bf16       acc + w[2i] * a[0] + w[2i + 1] * a[1]      bf16 pairs, f32 sums
 *   dot_u8         acc + sum of 4 u8 weights * 4 s8 inputs    exact; weights by vw_of, and
 *                  dot_offset is what is left of their offset then
 *   vi_spread_u8   byte i of 16 in all four bytes of lane i
 *   vi_mul_add     acc + a * b for a, b that fit in 16 bits   exact
 *
 * PANEL_BF16 and PANEL_INT8 are the most rows of a register block, WIDE(rows) its vectors of 16
 * weight rows: as many as leave registers for the weights. NIBBLE_ROWS are the most rows whose int4
 * weights are taken apart in registers. LORA_ROWS and LORA_WIDE(rows) are the same for adapters:
 * rows, and ranks or tiles of outputs.
 */
#ifndef LANES_H
#define LANES_H

#include <float.h>
#include <math.h>

#include "verdier.h"

#if defined(__AVX512F__)
#include "lanes_avx512.h"
#elif defined(__AVX2__)
#include "lanes_avx2.h"
#elif defined(__ARM_NEON)
#include "lanes_neon.h"
#else
#error "no lanes for this target"
#endif

/* vf_max and vf_min: a NaN in either makes no promise; kernels mask before they compare. */

V_INLINE vf vf_zero(void) { return vf_set(0.0f); }

/* exp(x) = 2^n * e^r, relative error < 3e-7; arguments beyond [-87, 88] are drawn to the end. */
V_INLINE vf vf_exp(vf x) {
  vf y = vf_min(vf_max(x, vf_set(-87.0f)), vf_set(88.0f));
  vf round = vf_set(12582912.0f); /* 1.5 * 2^23: adding it leaves the integer in the low bits */
  vf shifted = vf_fma(y, vf_set(1.442695f), round);
  vf n = vf_sub(shifted, round);
  vf r = vf_fma(n, vf_set(-0x1.63p-1f), y);
  r = vf_fma(n, vf_set(2.1219444e-4f), r);
  vf p = vf_fma(vf_set(1.3888889e-3f), r, vf_set(8.333333e-3f));
  p = vf_fma(p, r, vf_set(4.1666668e-2f));
  p = vf_fma(p, r, vf_set(1.6666667e-1f));
  p = vf_fma(p, r, vf_set(0.5f));
  p = vf_fma(p, r, vf_set(1.0f));
  p = vf_fma(p, r, vf_set(1.0f));
  return vi_as_f(vi_add(vf_as_i(p), vi_shl(vf_as_i(shifted), 23)));
}

/*
 * 2^x for weights that become bfloat16: relative error < 3e-6, 2^0 = 1; x from -126, to which smaller
 * ones are drawn, up to 127.
 */
V_INLINE vf vf_exp2(vf x) {
  vf y = vf_max(x, vf_set(-126.0f));
  vf round = vf_set(12582912.0f);
  vf shifted = vf_add(y, round);
  vf r = vf_sub(y, vf_sub(shifted, round));
  vf p = vf_fma(vf_set(9.582852944731712e-3f), r, vf_set(5.5906426161527634e-2f));
  p = vf_fma(p, r, vf_set(0.24024099111557007f));
  p = vf_fma(p, r, vf_set(0.6931241750717163f));
  p = vf_fma(p, r, vf_set(1.0f));
  return vi_as_f(vi_add(vf_as_i(p), vi_shl(vf_as_i(shifted), 23)));
}

/* The lane as bfloat16 in its low 16 bits: to nearest, ties to even; a NaN stays one. */
V_INLINE vi vf_round_bf16(vf x) {
  vi bits = vf_as_i(x);
  vi odd = vi_and(vi_shr(bits, 16), vi_set(1));
  vi rounded = vi_shr(vi_add(bits, vi_add(odd, vi_set(0x7fff))), 16);
  vi quiet = vi_or(vi_shr(bits, 16), vi_set(0x40));
  return vi_select(vf_is_nan(x), quiet, rounded);
}

/* Stores 32 numbers as bfloat16, none of them denormal, and adds what was stored to two sums. */
#if !defined(VF_STORE_BF16)
V_INLINE void vf_store_bf16(uint16_t *to, const vf x[2], vf sums[2]) {
  for (int i = 0; i < 2; i++) {
    vi half = vf_round_bf16(x[i]);
    sums[i] = vf_add(sums[i], vi_as_f(vi_shl(half, 16)));
    vi_store_u16(to + 16 * i, half);
  }
}
#endif

V_INLINE float bf16_to_float(uint16_t half) {
  union { uint32_t u; float f; } bits = {.u = (uint32_t)half << 16};
  return bits.f;
}

V_INLINE uint16_t float_to_bf16(float x) {
  union { float f; uint32_t u; } bits = {.f = x};
  if (x != x) return (uint16_t)(bits.u >> 16 | 0x40);
  return (uint16_t)((bits.u + 0x7fff + (bits.u >> 16 & 1)) >> 16);
}

V_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
V_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Blocks of 256 columns, the last one perhaps shorter. */
V_INLINE int64_t block_count(int64_t groups) { return (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS; }

/* Bytes of a tile before a group; int8 and int4: the first of a block, or the end of the tile. */
V_INLINE int64_t group_offset(int64_t format, int64_t group) {
  if (format == W_BF16) return group * BF16_GROUP_BYTES;
  int64_t blocks = block_count(group);
  return format == W_INT8
             ? blocks * SCALES_BYTES + group / 2 * INT8_STEP_BYTES
             : blocks * (SCALES_BYTES + FACTORS_BYTES) + group * INT4_GROUP_BYTES;
}

/* A row of an operand: its panel's first row and rows, and its index in it. */
typedef struct {
  int64_t first;
  int64_t rows;
  int64_t index;
} operand_row;

V_INLINE int64_t panel_rows_max(int64_t format) {
  return format == O_BF16 ? PANEL_BF16 : PANEL_INT8;
}

V_INLINE int64_t panel_count(const operand *o) {
  int64_t most = panel_rows_max(o->format);
  return (o->rows + most - 1) / most;
}

/* Bytes that a row takes in so many groups, all of them or those of whole blocks. */
V_INLINE int64_t operand_row_bytes(int64_t format, int64_t groups) {
  return format == O_BF16 ? groups * BF16_ROW_BYTES : block_count(groups) * INT8_ROW_BYTES;
}

/* First row of a panel: the first (rows mod panels) panels have one row more than the others. */
V_INLINE int64_t panel_first(const operand *o, int64_t panels, int64_t panel) {
  return panel * (o->rows / panels) + min64(panel, o->rows % panels);
}

V_INLINE operand_row operand_find(const operand *o, int64_t row) {
  int64_t panels = panel_count(o);
  int64_t base = o->rows / panels, longer = o->rows % panels;
  int64_t behind = row - longer * (base + 1); /* rows behind the longer panels */
  int64_t panel = behind < 0 ? row / (base + 1) : longer + behind / base;
  int64_t first = panel_first(o, panels, panel);
  operand_row found;
  found.first = first;
  found.rows = base + (panel < longer);
  found.index = row - first;
  return found;
}

/* Where a block of the panel that begins at row `first` lies. */
V_INLINE uint8_t *operand_block(const operand *o, int64_t first, int64_t block) {
  int64_t groups = min64(BLOCK_GROUPS, o->groups - block * BLOCK_GROUPS);
  return o->data + o->rows * operand_row_bytes(o->format, block * BLOCK_GROUPS) +
         first * operand_row_bytes(o->format, groups);
}

/* Writes 32 columns of a row of a bf16 operand. */
V_INLINE void operand_write(const operand *o, operand_row at, int64_t group, vf low, vf high) {
  uint8_t *block = operand_block(o, at.first, group / BLOCK_GROUPS);
  uint16_t *to = (uint16_t *)(block + (group % BLOCK_GROUPS * at.rows + at.index) * BF16_ROW_BYTES);
  vi_store_u16(to, vf_round_bf16(low));
  vi_store_u16(to + 16, vf_round_bf16(high));
}

/* What comes behind the bytes in a block of an int8 panel of R rows. */
V_INLINE float *block_scales(uint8_t *block, int64_t rows) {
  return (float *)(block + rows * BLOCK);
}
V_INLINE int32_t *block_sums(uint8_t *block, int64_t rows) {
  return (int32_t *)(block + rows * (BLOCK + 4));
}
V_INLINE int32_t *block_group_sums(uint8_t *block, int64_t rows) {
  return (int32_t *)(block + rows * (BLOCK + 8));
}

/*
 * Writes a block of a row of an int8 operand; scale = largest / 127, and 0 for a block of zeros.
 * Where a scale has no use, since numbers are too small or one is infinite or none, bytes are zeros:
 * with it they give zeros or NaN, the same on every level and in every kernel.
 */
V_INLINE void operand_quantize(uint8_t *block, operand_row at, const float *x, int64_t groups) {
  vi bits = vi_set(0); /* as integers a NaN is more than any number; as floats it may be lost */
  for (int64_t i = 0; i < groups * GROUP; i += 16) {
    bits = vi_max(bits, vf_as_i(vf_abs(vf_load(x + i))));
  }
  vf most = vi_as_f(bits);
  float largest = vi_sum16(vf_is_nan(most)) ? NAN : max16(most), scale = largest / 127.0f;
  float per_scale = 127.0f / largest;
  vf inverse = vf_set(per_scale);
  vi useful = vi_set(per_scale > 0.0f && per_scale <= FLT_MAX ? -1 : 0);
  int32_t sum = 0;
  for (int64_t g = 0; g < groups; g++) {
    vi low = vi_and(vf_to_i(vf_mul(vf_load(x + g * GROUP), inverse)), useful);
    vi high = vi_and(vf_to_i(vf_mul(vf_load(x + g * GROUP + 16), inverse)), useful);
    int8_t *to = (int8_t *)(block + (g / 2 * at.rows + at.index) * STEP + g % 2 * GROUP);
    vi_store_s8(to, low);
    vi_store_s8(to + 16, high);
    int32_t part = vi_sum16(vi_add(low, high));
    block_group_sums(block, at.rows)[at.index * BLOCK_GROUPS + g] = part;
    sum += part;
  }
  block_scales(block, at.rows)[at.index] = scale;
  block_sums(block, at.rows)[at.index] = sum;
}

/* Writes a block of a row: what every producer (norm, gate, conversion) ends with. */
V_INLINE void operand_put(const operand *o, operand_row at, int64_t block, const float *x) {
  int64_t groups = min64(BLOCK_GROUPS, o->groups - block * BLOCK_GROUPS);
  if (o->format == O_INT8) {
    operand_quantize(operand_block(o, at.first, block), at, x, groups);
    return;
  }
  for (int64_t g = 0; g < groups; g++) {
    const float *from = x + g * GROUP;
    operand_write(o, at, block * BLOCK_GROUPS + g, vf_load(from), vf_load(from + 16));
  }
}

#endif
