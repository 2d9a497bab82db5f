/*
 * Low-rank additions of adapters to rows of a product: scale * B (A x), where each row has the A, B and scale of its adapter (Hu et al.,
 * "LoRA", 2021). CpuLoraImage.java draws how they lie.
 *
 * Only rows that have an adapter cost anything: 2 rank (columns + outputs) operations each. Rows of one adapter come in pieces (LoraRows.java),
 * in which numbers of A and B are loaded and widened once for several rows. A dot product has sixteen chains, of every sixteenth column in
 * their order, and an output one chain over the ranks; neither can tell which other rows there are, nor how many.
 */
#include "lanes.h"

V_INLINE vf load_bf16(const uint16_t *from) { return vi_as_f(vi_shl(vi_load_u16(from), 16)); }

/* A row's numbers in a block of an operand. */
typedef struct {
  const uint8_t *from;
  int64_t step; /* bytes from a group to the next; int8: from two groups to the next two */
  float scale;  /* int8 */
} row_block;

V_INLINE row_block row_find(const int FORMAT, const operand *o, operand_row at, int64_t block) {
  uint8_t *panel = operand_block(o, at.first, block);
  if (FORMAT == O_BF16) {
    return (row_block){panel + at.index * BF16_ROW_BYTES, at.rows * BF16_ROW_BYTES, 1.0f};
  }
  return (row_block){panel + at.index * STEP, at.rows * STEP, block_scales(panel, at.rows)[at.index]};
}

/* Sixteen of a group's 32 columns, as they are multiplied. */
V_INLINE vf row_get(const int FORMAT, row_block x, int64_t group, int half) {
  if (FORMAT == O_BF16) return load_bf16((const uint16_t *)(x.from + group * x.step) + 16 * half);
  const int8_t *from = (const int8_t *)(x.from + group / 2 * x.step) + group % 2 * GROUP + 16 * half;
  return vf_mul(vi_to_f(vi_load_s8(from)), vf_set(x.scale));
}

/* low = scale * A x of some places' rows and some ranks. */
V_INLINE void dots(const int FORMAT, const int ROWS, const int RANKS, const lora_args *l, const lora_piece *p, int64_t place, int64_t rank) {
  int64_t blocks = block_count(l->in.groups), stride = blocks * BLOCK;
  const uint16_t *a = p->a + rank * stride;
  operand_row at[4];
  vf sums[4][8];
#pragma GCC unroll 4
  for (int i = 0; i < ROWS; i++) {
    at[i] = operand_find(&l->in, l->rows[p->first + place + i]);
#pragma GCC unroll 8
    for (int r = 0; r < RANKS; r++) sums[i][r] = vf_zero();
  }
  for (int64_t b = 0; b < blocks; b++, a += BLOCK) {
    row_block x[4];
#pragma GCC unroll 4
    for (int i = 0; i < ROWS; i++) x[i] = row_find(FORMAT, &l->in, at[i], b);
    int64_t groups = min64(BLOCK_GROUPS, l->in.groups - b * BLOCK_GROUPS);
    for (int64_t g = 0; g < groups; g++) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; half++) {
        vf factors[8];
#pragma GCC unroll 8
        for (int r = 0; r < RANKS; r++) factors[r] = load_bf16(a + r * stride + g * GROUP + 16 * half);
#pragma GCC unroll 4
        for (int i = 0; i < ROWS; i++) {
          vf v = row_get(FORMAT, x[i], g, half);
#pragma GCC unroll 8
          for (int r = 0; r < RANKS; r++) sums[i][r] = vf_fma(factors[r], v, sums[i][r]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < ROWS; i++) {
    float *low = l->low + (p->low + place + i) * l->low_stride + rank;
#pragma GCC unroll 8
    for (int r = 0; r < RANKS; r++) low[r] = sum16(sums[i][r]) * (float)p->scale;
  }
}

V_INLINE void dots_ranks(const int FORMAT, const int ROWS, const lora_args *l, const lora_piece *p, int64_t place, int64_t rank) {
  int64_t end = min64(p->rank, rank + l->per_unit);
  for (; rank + LORA_WIDE(ROWS) <= end; rank += LORA_WIDE(ROWS)) dots(FORMAT, ROWS, LORA_WIDE(ROWS), l, p, place, rank);
  for (; rank + 2 <= end; rank += 2) dots(FORMAT, ROWS, 2, l, p, place, rank);
  for (; rank < end; rank++) dots(FORMAT, ROWS, 1, l, p, place, rank);
}

V_INLINE void dots_rows(const int FORMAT, const lora_args *l, const lora_piece *p, int64_t rank) {
  int64_t place = 0;
  for (; place + LORA_ROWS <= p->count; place += LORA_ROWS) dots_ranks(FORMAT, LORA_ROWS, l, p, place, rank);
#if LORA_ROWS > 2
  for (; place + 2 <= p->count; place += 2) dots_ranks(FORMAT, 2, l, p, place, rank);
#endif
  for (; place < p->count; place++) dots_ranks(FORMAT, 1, l, p, place, rank);
}

/* Some ranks of a piece's rows. */
void v_lora_shrink(const lora_args *l, int32_t unit, int32_t worker) {
  (void)worker;
  const lora_piece *p = l->pieces + unit / l->slices;
  int64_t rank = unit % l->slices * l->per_unit;
  if (l->in.format == O_BF16) {
    dots_rows(O_BF16, l, p, rank);
  } else {
    dots_rows(O_INT8, l, p, rank);
  }
}

V_INLINE void add_tile(float *to, int64_t count, vf sum) {
  if (count >= 16) {
    vf_store(to, vf_add(vf_load(to), sum));
    return;
  }
  float rest[16];
  vf_store(rest, sum);
  for (int64_t i = 0; i < count; i++) to[i] += rest[i];
}

/* Adds B low to sixteen outputs of each of some tiles, in some places' rows. */
V_INLINE void outputs(const int ROWS, const int TILES, const lora_args *l, const lora_piece *p, int64_t place, int64_t tile) {
  const uint16_t *b = p->b + tile * p->rank * 16;
  const float *low = l->low + (p->low + place) * l->low_stride;
  vf sums[4][8];
#pragma GCC unroll 4
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 8
    for (int t = 0; t < TILES; t++) sums[i][t] = vf_zero();
  }
  for (int64_t r = 0; r < p->rank; r++) {
    vf factors[8];
#pragma GCC unroll 8
    for (int t = 0; t < TILES; t++) factors[t] = load_bf16(b + (t * p->rank + r) * 16);
#pragma GCC unroll 4
    for (int i = 0; i < ROWS; i++) {
      vf v = vf_set(low[i * l->low_stride + r]);
#pragma GCC unroll 8
      for (int t = 0; t < TILES; t++) sums[i][t] = vf_fma(factors[t], v, sums[i][t]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < ROWS; i++) {
    int64_t at = p->first + place + i;
    float *to = l->out + (l->by_place ? at : l->rows[at]) * l->out_stride + p->column;
#pragma GCC unroll 8
    for (int t = 0; t < TILES; t++) add_tile(to + (tile + t) * 16, p->outputs - (tile + t) * 16, sums[i][t]);
  }
}

V_INLINE void outputs_tiles(const int ROWS, const lora_args *l, const lora_piece *p, int64_t place, int64_t tile) {
  int64_t end = min64((p->outputs + 15) / 16, tile + l->per_unit);
  for (; tile + LORA_WIDE(ROWS) <= end; tile += LORA_WIDE(ROWS)) outputs(ROWS, LORA_WIDE(ROWS), l, p, place, tile);
  for (; tile < end; tile++) outputs(ROWS, 1, l, p, place, tile);
}

/* Some tiles of a piece's rows. */
void v_lora_expand(const lora_args *l, int32_t unit, int32_t worker) {
  (void)worker;
  const lora_piece *p = l->pieces + unit / l->slices;
  int64_t tile = unit % l->slices * l->per_unit, place = 0;
  for (; place + LORA_ROWS <= p->count; place += LORA_ROWS) outputs_tiles(LORA_ROWS, l, p, place, tile);
#if LORA_ROWS > 2
  for (; place + 2 <= p->count; place += 2) outputs_tiles(2, l, p, place, tile);
#endif
  for (; place < p->count; place++) outputs_tiles(1, l, p, place, tile);
}
