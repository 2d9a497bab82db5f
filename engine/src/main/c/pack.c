/*
 * Lays rows of a checkpoint into tiles, quantizing on the way. A unit is a tile. Reads each weight
 * once in its row's order and writes the tile in order; 32 x 32 blocks are turned in the first-level
 * cache.
 */
#include <string.h>

#include "lanes.h"

V_INLINE float half_to_float(uint16_t h) {
  _Float16 x;
  memcpy(&x, &h, 2);
  return (float)x;
}

/* The part and its row that a row of the matrix comes from; null behind the last. */
static const pack_part *find_row(const pack_args *a, int64_t row, int64_t *in_part) {
  if (a->gated) {
    const pack_part *part = &a->parts[row % TILE / 16];
    *in_part = row / TILE * 16 + row % 16;
    return *in_part < part->source_rows ? part : 0;
  }
  for (int64_t i = 0; i < a->part_count; i++) {
    if (row < a->parts[i].source_rows) {
      *in_part = row;
      return &a->parts[i];
    }
    row -= a->parts[i].source_rows;
  }
  return 0;
}

/* Columns 32 g .. 32 g + 31 of a row as they lie in the checkpoint, zeros behind the last. */
V_INLINE void read_bits(const pack_part *part, int64_t row, int64_t group, int size, void *to) {
  int64_t from = group * GROUP;
  int64_t count = max64(0, min64(GROUP, part->columns - from));
  memcpy(to, part->source + (row * part->columns + from) * size, (size_t)(count * size));
}

V_INLINE void read_floats(const pack_part *part, int64_t row, int64_t group, float *to) {
  uint16_t halves[GROUP] = {0};
  if (part->source_type == 2) {
    read_bits(part, row, group, 4, to);
    return;
  }
  read_bits(part, row, group, 2, halves);
  for (int i = 0; i < GROUP; i++) {
    to[i] = part->source_type == 0 ? bf16_to_float(halves[i]) : half_to_float(halves[i]);
  }
}

/* [16 column pairs][32 rows] from the rows of a group. */
static void pack_bf16(const pack_args *a, int64_t tile, int64_t group, uint32_t *to) {
  for (int64_t r = 0; r < TILE; r++) {
    uint16_t halves[GROUP] __attribute__((aligned(64))) = {0};
    int64_t row;
    const pack_part *part = find_row(a, tile * TILE + r, &row);
    if (part && part->source_type == 0) {
      read_bits(part, row, group, 2, halves);
    } else if (part) {
      float x[GROUP] = {0};
      read_floats(part, row, group, x);
      for (int i = 0; i < GROUP; i++) halves[i] = float_to_bf16(x[i]);
    }
    for (int i = 0; i < GROUP / 2; i++) {
      to[i * TILE + r] = (uint32_t)halves[2 * i] | (uint32_t)halves[2 * i + 1] << 16;
    }
  }
}

/* Scale per lane as bfloat16 bits, rounded up, so that no weight leaves the range. */
V_INLINE vi scale_up(vf scale) { return vi_shr(vi_add(vf_as_i(scale), vi_set(0xffff)), 16); }

V_INLINE vf inverse_or_zero(vf x) {
  vi positive = vf_greater(vf_abs(x), vf_zero());
  return vi_as_f(vi_and(positive, vf_as_i(vf_div(vf_set(1.0f), x))));
}

V_INLINE vi rounded(vf x, vf inverse, int32_t low, int32_t high) {
  return vi_max(vi_min(vf_to_i(vf_mul(x, inverse)), vi_set(high)), vi_set(low));
}

/* w = round(x / scale) with scale = largest / 127. */
static void pack_int8(const float (*x)[TILE], uint8_t *to) {
  for (int half = 0; half < 2; half++) {
    vf largest = vf_zero();
    for (int c = 0; c < GROUP; c++) largest = vf_max(largest, vf_abs(vf_load(x[c] + half * 16)));
    vi scale = scale_up(vf_div(largest, vf_set(127.0f)));
    vf inverse = inverse_or_zero(vi_as_f(vi_shl(scale, 16)));
    for (int q = 0; q < GROUP / 4; q++) {
      vi bytes = vi_set(0);
      for (int i = 3; i >= 0; i--) {
        vi w = rounded(vf_load(x[q * 4 + i] + half * 16), inverse, -127, 127);
        bytes = vi_or(vi_shl(bytes, 8), vi_add(w, vi_set(128)));
      }
      vi_store(to + q * 128 + half * 64, bytes);
    }
    vi_store_u16((uint16_t *)(to + INT8_GROUP_BYTES - 64) + half * 16, scale);
  }
}

/*
 * The scale that leaves the least squared error among some that map the largest weight to about
 * -8 (Q4_0's choice) or 7, each refined by least squares: sum(x w) / sum(w w).
 */
static vf scale_int4(const float (*x)[TILE], int half) {
  vf largest = vf_zero();
  for (int c = 0; c < GROUP; c++) {
    vf v = vf_load(x[c] + half * 16);
    vi more = vf_greater(vf_abs(v), vf_abs(largest));
    largest = vi_as_f(vi_select(more, vf_as_i(v), vf_as_i(largest)));
  }
  vf best = vf_zero(), best_gain = vf_set(-1.0f);
  for (int try = 0; try < 8; try++) {
    static const float ends[8] = {-8.0f, -7.6f, -8.4f, -8.8f, -7.2f, 7.0f, 7.4f, 7.8f};
    vf inverse = vf_mul(inverse_or_zero(largest), vf_set(ends[try]));
    vf products = vf_zero(), squares = vf_zero();
    for (int c = 0; c < GROUP; c++) {
      vf v = vf_load(x[c] + half * 16);
      vf w = vi_to_f(rounded(v, inverse, -8, 7));
      products = vf_fma(v, w, products);
      squares = vf_fma(w, w, squares);
    }
    vf scale = vf_mul(products, inverse_or_zero(squares));
    vf gain = vf_mul(products, scale); /* how much of sum(x x) this scale explains */
    vi better = vf_greater(gain, best_gain);
    best = vi_as_f(vi_select(better, vf_as_i(scale), vf_as_i(best)));
    best_gain = vf_max(gain, best_gain);
  }
  return best;
}

static void pack_int4(const float (*x)[TILE], uint8_t *to) {
  memset(to, 0, INT4_GROUP_BYTES);
  for (int half = 0; half < 2; half++) {
    vi scale = vf_round_bf16(scale_int4(x, half));
    vf inverse = inverse_or_zero(vi_as_f(vi_shl(scale, 16)));
    for (int q = 0; q < GROUP / 4; q++) {
      vi nibbles = vi_set(0);
      for (int i = 3; i >= 0; i--) {
        vi w = rounded(vf_load(x[q * 4 + i] + half * 16), inverse, -8, 7);
        nibbles = vi_or(vi_shl(nibbles, 8), vi_add(w, vi_set(8)));
      }
      vi shifted = half ? vi_shl(nibbles, 4) : nibbles;
      vi_store(to + q * 64, vi_or(vi_load(to + q * 64), shifted));
    }
    vi_store_u16((uint16_t *)(to + INT4_GROUP_BYTES - 64) + half * 16, scale);
  }
}

void v_pack(const pack_args *a, int32_t tile, int32_t worker) {
  (void)worker;
  float x[GROUP][TILE] __attribute__((aligned(64)));
  int64_t bytes = a->format == W_BF16 ? BF16_GROUP_BYTES
                                      : a->format == W_INT8 ? INT8_GROUP_BYTES : INT4_GROUP_BYTES;
  uint8_t *to = a->target + tile * a->groups * bytes;
  for (int64_t g = 0; g < a->groups; g++, to += bytes) {
    if (a->format == W_BF16) {
      pack_bf16(a, tile, g, (uint32_t *)to);
      continue;
    }
    for (int64_t r = 0; r < TILE; r++) {
      float row[GROUP] = {0};
      int64_t index;
      const pack_part *part = find_row(a, (int64_t)tile * TILE + r, &index);
      if (part) read_floats(part, index, g, row);
      for (int c = 0; c < GROUP; c++) x[c][r] = row[c];
    }
    if (a->format == W_INT8) {
      pack_int8((const float (*)[TILE])x, to);
    } else {
      pack_int4((const float (*)[TILE])x, to);
    }
  }
}
