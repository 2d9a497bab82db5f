/*
 * Low-rank additions of adapters to rows of a product: scale * B (A x), where each row has the A, B and scale of its adapter (Hu et al.,
 * "LoRA", 2021). CpuLoraImage.java draws how they lie.
 *
 * Only rows that have an adapter cost anything, and each by itself: 2 rank (columns + outputs) operations over as many bfloat16 numbers,
 * which rows of one adapter find in the second-level cache. A dot product has sixteen chains, of every sixteenth column, and an output one
 * chain over the ranks; neither can tell which other rows there are.
 */
#include "lanes.h"

V_INLINE vf load_bf16(const uint16_t *from) { return vi_as_f(vi_shl(vi_load_u16(from), 16)); }

/* 256 columns of a row as they are multiplied; zeros behind the last. */
static void operand_get(const operand *o, operand_row at, int64_t block, float *x) {
  int64_t groups = min64(BLOCK_GROUPS, o->groups - block * BLOCK_GROUPS);
  uint8_t *panel = operand_block(o, at.first, block);
  for (int64_t g = 0; g < groups; g++) {
    float *to = x + g * GROUP;
    if (o->format == O_BF16) {
      const uint16_t *from = (const uint16_t *)(panel + (g * at.rows + at.index) * BF16_ROW_BYTES);
      vf_store(to, load_bf16(from));
      vf_store(to + 16, load_bf16(from + 16));
      continue;
    }
    const int8_t *from = (const int8_t *)(panel + (g / 2 * at.rows + at.index) * STEP + g % 2 * GROUP);
    float scale = block_scales(panel, at.rows)[at.index];
    for (int i = 0; i < GROUP; i++) to[i] = (float)from[i] * scale;
  }
  for (int64_t i = groups * GROUP; i < BLOCK; i++) x[i] = 0.0f;
}

/* Adds 256 columns' products with some rows of A to their chains, [ranks][16]. */
V_INLINE void dots(const int RANKS, const uint16_t *a, int64_t stride, const float *x, float *chains) {
  vf sums[4];
#pragma GCC unroll 4
  for (int r = 0; r < RANKS; r++) sums[r] = vf_load(chains + r * 16);
  for (int64_t i = 0; i < BLOCK; i += 16) {
    vf v = vf_load(x + i);
#pragma GCC unroll 4
    for (int r = 0; r < RANKS; r++) sums[r] = vf_fma(load_bf16(a + r * stride + i), v, sums[r]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < RANKS; r++) vf_store(chains + r * 16, sums[r]);
}

/* low = scale * A x of one row and part. */
void v_lora_shrink(const lora_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  const lora_part *p = a->parts + unit;
  float *low = a->low + unit * a->low_stride;
  operand_row at = operand_find(&a->in, p->row);
  int64_t blocks = block_count(a->in.groups), stride = blocks * BLOCK;
  for (int64_t i = 0; i < p->rank * 16; i++) low[i] = 0.0f;
  for (int64_t b = 0; b < blocks; b++) {
    float x[BLOCK] __attribute__((aligned(64)));
    operand_get(&a->in, at, b, x);
    int64_t r = 0;
    for (; r + 4 <= p->rank; r += 4) dots(4, p->a + r * stride + b * BLOCK, stride, x, low + r * 16);
    for (; r < p->rank; r++) dots(1, p->a + r * stride + b * BLOCK, stride, x, low + r * 16);
  }
  for (int64_t r = 0; r < p->rank; r++) low[r] = sum16(vf_load(low + r * 16)) * (float)p->scale;
}

/* Adds B low to sixteen outputs of each of some tiles. */
V_INLINE void outputs(const int TILES, const lora_part *p, const float *low, int64_t tile) {
  const uint16_t *b = p->b + tile * p->rank * 16;
  vf sums[4];
#pragma GCC unroll 4
  for (int t = 0; t < TILES; t++) sums[t] = vf_zero();
  for (int64_t r = 0; r < p->rank; r++) {
    vf factor = vf_set(low[r]);
#pragma GCC unroll 4
    for (int t = 0; t < TILES; t++) sums[t] = vf_fma(load_bf16(b + (t * p->rank + r) * 16), factor, sums[t]);
  }
  for (int t = 0; t < TILES; t++) {
    float *to = p->to + (tile + t) * 16;
    int64_t count = p->rows - (tile + t) * 16;
    if (count >= 16) {
      vf_store(to, vf_add(vf_load(to), sums[t]));
      continue;
    }
    float rest[16];
    vf_store(rest, sums[t]);
    for (int64_t i = 0; i < count; i++) to[i] += rest[i];
  }
}

/* to += B low of one row and part, for some tiles of 16 outputs. */
void v_lora_expand(const lora_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  const lora_part *p = a->parts + unit / a->slices;
  const float *low = a->low + unit / a->slices * a->low_stride;
  int64_t tile = unit % a->slices * a->tiles_per_unit;
  int64_t end = min64((p->rows + 15) / 16, tile + a->tiles_per_unit);
  for (; tile + 4 <= end; tile += 4) outputs(4, p, low, tile);
  for (; tile < end; tile++) outputs(1, p, low, tile);
}
