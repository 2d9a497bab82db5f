/*
 * Lays rows of a checkpoint into tiles, quantizing on the way. A unit is a tile, which is written in
 * order; it is read by groups, one cache line of each of its rows, turned in the first-level cache.
 *
 * Whatever changes a packed byte, be it a layout or a rounding, raises V_LAYOUT (verdier.h): packed
 * weights are kept in files, and a test compares them.
 */
#include <string.h>

#include "lanes.h"

int32_t v_layout(void) { return V_LAYOUT; }

/* Exactly, subnormal ones too; without _Float16, which compilers for x86 learned late. */
V_INLINE float half_to_float(uint16_t h) {
  union { uint32_t u; float f; } bits = {.u = (uint32_t)(h & 0x7fff) << 13};
  bits.f *= 0x1p112f; /* the exponents' biases differ by 112 */
  if ((h & 0x7c00) == 0x7c00) bits.u = 0x7f800000 | (uint32_t)(h & 0x3ff) << 13;
  bits.u |= (uint32_t)(h & 0x8000) << 16;
  return bits.f;
}

/* A row of a tile where it lies in the checkpoint; of no columns behind the matrix's last row. */
typedef struct {
  const uint8_t *data;
  int64_t columns;
  int64_t type;
} source_row;

/* The part and its row that a row of the matrix comes from, found once for all groups. */
static source_row find_row(const pack_args *a, int64_t row) {
  const pack_part *part = a->parts;
  if (a->gated) {
    part += row % TILE / 16;
    row = row / TILE * 16 + row % 16;
  } else {
    const pack_part *last = a->parts + a->part_count - 1;
    for (; part < last && row >= part->source_rows; part++) row -= part->source_rows;
  }
  if (row >= part->source_rows) return (source_row){0, 0, 0};
  return (source_row){part->source + row * part->row_bytes, part->columns, part->source_type};
}

/* Columns 32 g .. 32 g + 31 of a row as they lie in the checkpoint, zeros behind the last. */
V_INLINE void read_bits(const source_row *row, int64_t group, int size, void *to) {
  int64_t count = row->columns - group * GROUP, begin = group * GROUP * size;
  if (count >= GROUP) {
    memcpy(to, row->data + begin, (size_t)(GROUP * size)); /* of a known length: a few vectors */
    return;
  }
  memset(to, 0, (size_t)(GROUP * size));
  if (count > 0) memcpy(to, row->data + begin, (size_t)(count * size));
}

V_INLINE void read_floats(const source_row *row, int64_t group, float *to) {
  if (row->type == 2) {
    read_bits(row, group, 4, to);
    return;
  }
  uint16_t halves[GROUP];
  read_bits(row, group, 2, halves);
  for (int i = 0; i < GROUP; i++) {
    to[i] = row->type == 0 ? bf16_to_float(halves[i]) : half_to_float(halves[i]);
  }
}

V_INLINE void read_bf16(const source_row *row, int64_t group, uint16_t *to) {
  if (row->type == 0) {
    read_bits(row, group, 2, to);
    return;
  }
  float x[GROUP];
  read_floats(row, group, x);
  for (int i = 0; i < GROUP; i++) to[i] = float_to_bf16(x[i]);
}

/* Four words, which every target has in one register; all have the shuffles of turn4. */
typedef uint32_t four __attribute__((vector_size(16)));
#if defined(__clang__)
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (four){i, j, k, l})
#endif

/* to[c][r] = from[r][c] of 4 x 4 words; rows are a number of words apart. */
V_INLINE void turn4(const uint32_t *from, int from_stride, uint32_t *to, int to_stride) {
  four a, b, c, d;
  memcpy(&a, from, 16);
  memcpy(&b, from + from_stride, 16);
  memcpy(&c, from + 2 * from_stride, 16);
  memcpy(&d, from + 3 * from_stride, 16);
  four ab_low = PICK(a, b, 0, 4, 1, 5);
  four ab_high = PICK(a, b, 2, 6, 3, 7);
  four cd_low = PICK(c, d, 0, 4, 1, 5);
  four cd_high = PICK(c, d, 2, 6, 3, 7);
  four turned[4] = {PICK(ab_low, cd_low, 0, 1, 4, 5),
                    PICK(ab_low, cd_low, 2, 3, 6, 7),
                    PICK(ab_high, cd_high, 0, 1, 4, 5),
                    PICK(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; i++) memcpy(to + i * to_stride, &turned[i], 16);
}

/* [words][32 rows] from [32 rows][words]: whole lines of the target one after the other. */
V_INLINE void turn(const uint32_t *from, int words, uint32_t *to) {
  for (int word = 0; word < words; word += 4) {
    for (int row = 0; row < TILE; row += 4) {
      turn4(from + row * words + word, words, to + word * TILE + row, TILE);
    }
  }
}

/* [16 column pairs][32 rows] from the rows of a group. */
V_INLINE void pack_bf16(const source_row *rows, int64_t group, uint32_t *to) {
  uint32_t pairs[TILE][GROUP / 2] __attribute__((aligned(64)));
  for (int r = 0; r < TILE; r++) read_bf16(&rows[r], group, (uint16_t *)pairs[r]);
  turn(pairs[0], GROUP / 2, to);
}

/* [32 columns][32 rows], exactly. Pairs of bfloat16 are turned before they are widened. */
V_INLINE void read_group(const source_row *rows, int64_t group, int all_bf16, float (*to)[TILE]) {
  if (all_bf16) {
    uint32_t pairs[GROUP / 2][TILE] __attribute__((aligned(64)));
    pack_bf16(rows, group, pairs[0]);
    for (int i = 0; i < GROUP / 2; i++) {
      for (int r = 0; r < TILE; r += 16) {
        vi pair = vi_load((const uint8_t *)(pairs[i] + r));
        vf_store(to[2 * i] + r, vi_as_f(vi_shl(pair, 16)));
        vf_store(to[2 * i + 1] + r, vi_as_f(vi_and(pair, vi_set((int32_t)0xffff0000))));
      }
    }
    return;
  }
  float x[TILE][GROUP] __attribute__((aligned(64)));
  for (int r = 0; r < TILE; r++) read_floats(&rows[r], group, x[r]);
  turn((const uint32_t *)x[0], GROUP, (uint32_t *)to[0]);
}

/* Scale per lane as bfloat16 bits, rounded up, so that no weight leaves the range. */
V_INLINE vi scale_up(vf scale) { return vi_shr(vi_add(vf_as_i(scale), vi_set(0xffff)), 16); }

/* Zero also for what is so small that its inverse is infinite: weights of such a scale are zeros. */
V_INLINE vf inverse_or_zero(vf x) {
  vi large = vf_greater(vf_abs(x), vf_set(0x1p-127f));
  return vi_as_f(vi_and(large, vf_as_i(vf_div(vf_set(1.0f), x))));
}

V_INLINE vi rounded(vf x, vf inverse, int32_t low, int32_t high) {
  return vi_max(vi_min(vf_to_i(vf_mul(x, inverse)), vi_set(high)), vi_set(low));
}

V_INLINE vf bf16_lanes(vi halves) { return vi_as_f(vi_shl(halves, 16)); }

/* w = round(x / scale) with scale = largest / 127 of a block [groups * 32 columns][32 rows]. */
static void pack_int8(const float (*x)[TILE], int64_t groups, uint8_t *to) {
  for (int half = 0; half < 2; half++) {
    vf largest = vf_zero();
    for (int64_t c = 0; c < groups * GROUP; c++) {
      largest = vf_max(largest, vf_abs(vf_load(x[c] + half * 16)));
    }
    vi scale = scale_up(vf_div(largest, vf_set(127.0f)));
    vf inverse = inverse_or_zero(bf16_lanes(scale));
    vi_store_u16((uint16_t *)to + half * 16, scale);
    for (int64_t q = 0; q < groups * GROUP / 4; q++) {
      vi bytes = vi_set(0);
      for (int i = 3; i >= 0; i--) {
        vi w = rounded(vf_load(x[q * 4 + i] + half * 16), inverse, -127, 127);
        bytes = vi_or(vi_shl(bytes, 8), vi_add(w, vi_set(128)));
      }
      vi_store(to + SCALES_BYTES + q * 128 + half * 64, bytes);
    }
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

/* What a factor leaves of a group: adds sum(x f w) and sum(f w f w) if it is taken. */
typedef struct { vf error, products, squares; } fit;

static fit fit_factor(const float (*x)[TILE], int half, vf factor, vf scale) {
  vf step = vf_mul(factor, scale), inverse = inverse_or_zero(step);
  fit f = {vf_zero(), vf_zero(), vf_zero()};
  for (int c = 0; c < GROUP; c++) {
    vf v = vf_load(x[c] + half * 16);
    vf w = vf_mul(vi_to_f(rounded(v, inverse, -8, 7)), factor);
    vf rest = vf_sub(v, vf_mul(w, scale));
    f.error = vf_fma(rest, rest, f.error);
    f.products = vf_fma(v, w, f.products);
    f.squares = vf_fma(w, w, f.squares);
  }
  return f;
}

V_INLINE vf pick(vi mask, vf a, vf b) { return vi_as_f(vi_select(mask, vf_as_i(a), vf_as_i(b))); }

/* The better of the two whole numbers next to the wanted factor; adds its fit to the block's. */
static vi best_factor(const float (*x)[TILE], int half, vf wanted, vf scale, fit *block) {
  vi nearest = rounded(wanted, vf_set(1.0f), -15, 16);
  vi beside = vi_select(vf_greater(wanted, vi_to_f(nearest)), vi_set(1), vi_set(-1));
  vi other = vi_max(vi_min(vi_add(nearest, beside), vi_set(16)), vi_set(-15));
  fit a = fit_factor(x, half, vi_to_f(nearest), scale);
  fit b = fit_factor(x, half, vi_to_f(other), scale);
  vi better = vf_greater(a.error, b.error);
  block->products = vf_add(block->products, pick(better, b.products, a.products));
  block->squares = vf_add(block->squares, pick(better, b.squares, a.squares));
  return vi_select(better, other, nearest);
}

/*
 * A block's scale is a sixteenth of the largest one of its groups, so that theirs are whole numbers
 * of it, and then what least squares make of it: 3 % more squared error than with a scale of its own
 * for each group (measured, normal and heavy-tailed weights).
 */
static void pack_int4(const float (*x)[TILE], int64_t groups, uint8_t *to) {
  uint8_t *nibbles = to + SCALES_BYTES + FACTORS_BYTES;
  memset(to + SCALES_BYTES, 0, (size_t)(FACTORS_BYTES + groups * INT4_GROUP_BYTES));
  for (int half = 0; half < 2; half++) {
    vf wanted[BLOCK_GROUPS], largest = vf_zero();
    for (int64_t g = 0; g < groups; g++) {
      wanted[g] = scale_int4(x + g * GROUP, half);
      largest = pick(vf_greater(vf_abs(wanted[g]), vf_abs(largest)), wanted[g], largest);
    }
    vf scale = bf16_lanes(vf_round_bf16(vf_mul(largest, vf_set(1.0f / 16))));
    vf inverse = inverse_or_zero(scale);
    vi factors[BLOCK_GROUPS];
    fit block = {vf_zero(), vf_zero(), vf_zero()};
    for (int64_t g = 0; g < groups; g++) {
      vf factor = vf_mul(wanted[g], inverse);
      factors[g] = best_factor(x + g * GROUP, half, factor, scale, &block);
      vi_store_s8((int8_t *)to + SCALES_BYTES + g * TILE + half * 16, factors[g]);
    }
    vi bits = vf_round_bf16(vf_mul(block.products, inverse_or_zero(block.squares)));
    vi_store_u16((uint16_t *)to + half * 16, bits);
    for (int64_t q = 0; q < groups * GROUP / 4; q++) {
      vf step = vf_mul(vi_to_f(factors[q * 4 / GROUP]), bf16_lanes(bits));
      vf per_step = inverse_or_zero(step);
      vi bytes = vi_set(0);
      for (int i = 3; i >= 0; i--) {
        vi w = rounded(vf_load(x[q * 4 + i] + half * 16), per_step, -8, 7);
        bytes = vi_or(vi_shl(bytes, 8), vi_add(w, vi_set(8)));
      }
      vi shifted = half ? vi_shl(bytes, 4) : bytes;
      vi_store(nibbles + q * 64, vi_or(vi_load(nibbles + q * 64), shifted));
    }
  }
}

void v_pack(const pack_args *a, int32_t tile, int32_t worker) {
  (void)worker;
  source_row rows[TILE];
  int all_bf16 = 1;
  for (int r = 0; r < TILE; r++) {
    rows[r] = find_row(a, (int64_t)tile * TILE + r);
    all_bf16 &= rows[r].type == 0;
  }
  uint8_t *to = a->target + tile * group_offset(a->format, a->groups);
  if (a->format == W_BF16) {
    for (int64_t g = 0; g < a->groups; g++, to += BF16_GROUP_BYTES) {
      pack_bf16(rows, g, (uint32_t *)to);
    }
    return;
  }
  float x[BLOCK][TILE] __attribute__((aligned(64)));
  for (int64_t first = 0; first < a->groups; first += BLOCK_GROUPS) {
    int64_t count = min64(BLOCK_GROUPS, a->groups - first);
    for (int64_t g = 0; g < count; g++) read_group(rows, first + g, all_bf16, x + g * GROUP);
    if (a->format == W_INT8) {
      pack_int8((const float (*)[TILE])x, count, to);
    } else {
      pack_int4((const float (*)[TILE])x, count, to);
    }
    to += group_offset(a->format, count);
  }
}
