/*
 * Products of packed weights with operands.
 *
 *                    32 rows of weights in lanes
 *                    +--------+--------+
 *      inputs        |  w[0]  |  w[1]  |   one column pair (bf16) or quad (int8)
 *   a[0] broadcast   | sum 00 | sum 01 |
 *   a[1] broadcast   | sum 10 | sum 11 |   R x 2 sums stay in registers over all columns
 *     ...            |  ...   |  ...   |
 *
 * Per pair and block of R rows: two weight vectors are loaded, R inputs broadcast, 2 R dot products
 * done. For one row that is 128 bytes and 128 operations, so memory sets the pace (and the kernel
 * only has to ask for it early); for 12 rows the dot products do.
 *
 * A sum's chain of operations is the same for every R, so the rows that share a block cannot be
 * told from the result. With AMX, tiles compute bf16 products for every row count, since their
 * rounding differs from that of vectors; sums of bytes are exact, so a few rows are left to vectors.
 *
 * A single row is read at memory speed only if memory is asked early and into the second-level cache:
 * 16 KB ahead gave 26 GB/s of int4 where 4 KB ahead into the first level gave 21, of 28 that two cores
 * read at best (Sapphire Rapids).
 */
#include <string.h>

#include "lanes.h"

/* Weights to ask memory for while others are multiplied: so many lines from there on per group. */
typedef struct {
  const uint8_t *from;
  int64_t lines;
} early;

static const early NONE = {0, 0};

V_INLINE void ask_lines(early *e, int64_t left) {
  const uint8_t *from = e->from;
  for (; left >= 4; left -= 4, from += 256) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) prefetch_far(from + i * 64);
  }
  for (; left > 0; left--, from += 64) prefetch_far(from);
  e->from = from;
}

V_INLINE void ask(early *e) { ask_lines(e, e->lines); }

/*
 * A part of a group's lines, or all with the first part if they are few: some 32 at once would fill
 * the buffers that loads need as well (bf16, 8 rows, Zen 5: 224 GOP/s with 32 at a time, 340 with 8).
 */
V_INLINE void ask_part(early *e, int part, const int parts) {
  if (e->lines >= parts) {
    ask_lines(e, (e->lines + parts - 1) / parts);
  } else if (part == 0) {
    ask_lines(e, e->lines);
  }
}

#include "matmul_widen.h"

/* Adds the product of some groups of a tile and a panel to sums [R][32]. */
typedef void micro(const uint8_t *weight, const uint8_t *panel, int64_t groups, float *sums,
                   early next);

V_INLINE int32_t word(const uint8_t *p) {
  int32_t x;
  memcpy(&x, p, 4);
  return x;
}

/* bf16: R rows x V vectors, from vector `half` of the tile on. */
V_INLINE void bf16_block(const int R, const int V, int half, const uint8_t *weight,
                         const uint8_t *panel, int64_t groups, float *sums, early next) {
  vf acc[12][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[r][v] = vf_load(sums + r * TILE + (half + v) * 16);
  }
  const uint8_t *w = weight + half * 64;
  for (int64_t g = 0; g < groups; g++) {
#pragma GCC unroll 16
    for (int i = 0; i < GROUP / 2; i++) {
      if (i % 4 == 0) ask_part(&next, i / 4, 4);
      vi lanes[2];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) lanes[v] = vi_load(w + i * 128 + v * 64);
#pragma GCC unroll 12
      for (int r = 0; r < R; r++) {
        int32_t a = word(panel + r * BF16_ROW_BYTES + i * 4);
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) acc[r][v] = dot_bf16(acc[r][v], lanes[v], a);
      }
    }
    w += BF16_GROUP_BYTES;
    panel += R * BF16_ROW_BYTES;
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) vf_store(sums + r * TILE + (half + v) * 16, acc[r][v]);
  }
}

/* Weights of later columns, loaded early by the compiler, would take registers that sums need. */
V_INLINE void no_loads_ahead(void) { __asm__ volatile("" ::: "memory"); }

V_INLINE vf scale16(const uint8_t *scales, int half) {
  return vi_as_f(vi_shl(vi_load_u16((const uint16_t *)scales + half * 16), 16));
}

/* Adds a block's integers [R][V] to sums: sums += integers * (weight scale * input scale). */
V_INLINE void add_scaled(const int R, const int V, int half, const uint8_t *scales,
                         const float *row_scales, vi exact[10][2], float *sums) {
#pragma GCC unroll 2
  for (int v = 0; v < V; v++) {
    vf scale = scale16(scales, half + v);
#pragma GCC unroll 10
    for (int r = 0; r < R; r++) {
      float *to = sums + r * TILE + (half + v) * 16;
      vf both = vf_mul(scale, vf_set(row_scales[r]));
      vf_store(to, vf_fma(vi_to_f(exact[r][v]), both, vf_load(to)));
    }
  }
}

/*
 * int8: a block is one sum of integers. Weights are unsigned, w + 128: the integers start from -128
 * * (sum of the inputs), which takes it off again without a term per weight row.
 */
V_INLINE void int8_block(const int R, const int V, int half, const uint8_t *weight, uint8_t *panel,
                         int64_t groups, float *sums, early *next) {
  const int32_t *totals = block_sums(panel, R);
  const int parts = R == 1 ? 1 : 4; /* one row computes next to nothing */
  vi exact[10][2];
#pragma GCC unroll 10
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) exact[r][v] = vi_set(-dot_offset(128) * totals[r]);
  }
  const uint8_t *w = weight + SCALES_BYTES + half * 64, *in = panel;
  for (int64_t step = 0; step < groups / 2; step++) {
#pragma GCC unroll 16
    for (int q = 0; q < STEP / 4; q++) {
      if (q % (STEP / 4 / parts) == 0) ask_part(next, q / (STEP / 4 / parts), parts);
      no_loads_ahead();
      vw lanes[2];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) lanes[v] = vw_of(vi_load(w + q * 128 + v * 64), 128);
#pragma GCC unroll 10
      for (int r = 0; r < R; r++) {
        int32_t a = word(in + r * STEP + q * 4);
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) exact[r][v] = dot_u8(exact[r][v], lanes[v], a);
      }
    }
    w += INT8_STEP_BYTES;
    in += R * STEP;
  }
  add_scaled(R, V, half, weight, block_scales(panel, R), exact, sums);
}

/*
 * int4, for few rows: nibbles are taken apart in registers; a group's sum fits in 16 bits. The rows
 * are some of a panel, from row `first` of `all` on, whose block `panel` is.
 */
V_INLINE void int4_block(const int R, const int V, int half, const uint8_t *weight, uint8_t *panel,
                         int64_t first, int64_t all, int64_t groups, float *sums, early *next) {
  const int32_t *totals = block_group_sums(panel, all) + first * BLOCK_GROUPS;
  const int8_t *factors = (const int8_t *)weight + SCALES_BYTES;
  const uint8_t *w = weight + SCALES_BYTES + FACTORS_BYTES;
  vi exact[10][2], low = vi_set(0x0f0f0f0f);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) exact[r][0] = exact[r][1] = vi_set(0);
  for (int64_t g = 0; g < groups; g++, w += INT4_GROUP_BYTES) {
    const uint8_t *in = panel + (g / 2 * all + first) * STEP + g % 2 * GROUP;
    vi part[6][2];
    ask(next);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      part[r][0] = part[r][1] = vi_set(-dot_offset(8) * totals[r * BLOCK_GROUPS + g]);
    }
#pragma GCC unroll 8
    for (int q = 0; q < GROUP / 4; q++) {
      vi both = vi_load(w + q * 64);
      vw lanes[2];
      lanes[0] = vw_of(vi_and(half ? vi_shr(both, 4) : both, low), 8);
      if (V == 2) lanes[1] = vw_of(vi_and(vi_shr(both, 4), low), 8);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        int32_t a = word(in + r * STEP + q * 4);
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) part[r][v] = dot_u8(part[r][v], lanes[v], a);
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      vi factor = vi_load_s8(factors + g * TILE + (half + v) * 16);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) exact[r][v] = vi_mul_add(exact[r][v], part[r][v], factor);
    }
  }
  add_scaled(R, V, half, weight, block_scales(panel, all) + first, exact, sums);
}

/* int8: rows are all of a panel. */
#define INT8_MICRO(R)                                                                             \
  static void int8_##R(const uint8_t *w, const uint8_t *p, int64_t groups, float *sums,           \
                       early next) {                                                              \
    for (; groups > 0; groups -= BLOCK_GROUPS) {                                                  \
      int64_t count = min64(groups, BLOCK_GROUPS);                                                \
      early none = NONE;                                                                          \
      int8_block(R, WIDE_INT(R), 0, w, (uint8_t *)p, count, sums, &next);                         \
      if (WIDE_INT(R) == 1) int8_block(R, 1, 1, w, (uint8_t *)p, count, sums, &none);             \
      w += group_offset(W_INT8, count);                                                           \
      p += R * INT8_ROW_BYTES;                                                                    \
    }                                                                                             \
  }
INT8_MICRO(1) INT8_MICRO(2) INT8_MICRO(3) INT8_MICRO(4) INT8_MICRO(5) INT8_MICRO(6)
INT8_MICRO(7) INT8_MICRO(8) INT8_MICRO(9) INT8_MICRO(10)
static micro *const int8_micros[] = {int8_1, int8_2, int8_3, int8_4, int8_5,
                                     int8_6, int8_7, int8_8, int8_9, int8_10};

enum { INT4_ROWS = 6 }; /* of a register block */
typedef void int4_micro(const uint8_t *weight, uint8_t *panel, int64_t first, int64_t all,
                        int64_t groups, float *sums, early *next);
#define INT4_MICRO(R)                                                                             \
  static void int4_##R(const uint8_t *w, uint8_t *p, int64_t first, int64_t all, int64_t groups,  \
                       float *sums, early *next) {                                                \
    int4_block(R, WIDE_INT(R), 0, w, p, first, all, groups, sums, next);                          \
    early none = NONE;                                                                            \
    if (WIDE_INT(R) == 1) int4_block(R, 1, 1, w, p, first, all, groups, sums, &none);             \
  }
INT4_MICRO(1) INT4_MICRO(2) INT4_MICRO(3) INT4_MICRO(4) INT4_MICRO(5) INT4_MICRO(6)
static int4_micro *const int4_micros[] = {int4_1, int4_2, int4_3, int4_4, int4_5, int4_6};

/*
 * A panel in register blocks, as even as they can be, block of columns by block: the second one
 * finds the weights in the first-level cache. Both ask memory, or it would pause half of the time.
 */
static void multiply_int4(const uint8_t *w, const uint8_t *panel, int64_t rows, int64_t groups,
                          float *sums, early next) {
  int64_t parts = (rows + INT4_ROWS - 1) / INT4_ROWS;
  next.lines = (next.lines + parts - 1) / parts;
  for (; groups > 0; groups -= BLOCK_GROUPS) {
    int64_t count = min64(groups, BLOCK_GROUPS), first = 0;
    for (int64_t part = 0; part < parts; part++) {
      int64_t some = (rows - first + parts - part - 1) / (parts - part);
      int4_micros[some - 1](w, (uint8_t *)panel, first, rows, count, sums + first * TILE, &next);
      first += some;
    }
    w += group_offset(W_INT4, count);
    panel += rows * INT8_ROW_BYTES;
  }
}

#if defined(__AMX_TILE__)
#include "matmul_amx.h"
#else
#define BF16_MICRO(R)                                                                             \
  static void bf16_##R(const uint8_t *w, const uint8_t *p, int64_t groups, float *sums,           \
                       early next) {                                                              \
    bf16_block(R, WIDE(R), 0, w, p, groups, sums, next);                                          \
    if (WIDE(R) == 1) bf16_block(R, WIDE(R), 1, w, p, groups, sums, NONE);                        \
  }
BF16_MICRO(1) BF16_MICRO(2) BF16_MICRO(3) BF16_MICRO(4) BF16_MICRO(5) BF16_MICRO(6)
BF16_MICRO(7) BF16_MICRO(8) BF16_MICRO(9) BF16_MICRO(10) BF16_MICRO(11) BF16_MICRO(12)
static micro *const bf16_micros[] = {bf16_1, bf16_2, bf16_3, bf16_4,  bf16_5,  bf16_6,
                                     bf16_7, bf16_8, bf16_9, bf16_10, bf16_11, bf16_12};
typedef struct { int64_t none; } tiles;
V_INLINE void tiles_begin(tiles *t) { (void)t; }
V_INLINE void tiles_end(tiles *t) { (void)t; }
V_INLINE void multiply_bf16(tiles *t, const uint8_t *w, const uint8_t *panel, int64_t rows,
                            int64_t groups, float *sums, early next) {
  (void)t;
  bf16_micros[rows - 1](w, panel, groups, sums, next);
}
V_INLINE void multiply_int8(tiles *t, const uint8_t *w, const uint8_t *panel, int64_t rows,
                            int64_t groups, float *sums, early next) {
  (void)t;
  int8_micros[rows - 1](w, panel, groups, sums, next);
}
enum { AHEAD = 16384 };
#endif

/* What a worker computes of a product: some tiles with some panels, which meet piece by piece. */
typedef struct {
  const matmul_args *a;
  int64_t first_tile, end_tile;
  int64_t first_panel, end_panel, panels; /* of all panels */
  int64_t first_row, rows;
  int64_t panel_rows, longer_panels; /* the first ones have a row more */
  int64_t step;  /* tiles that are finished together */
  int64_t piece; /* groups that a tile's weights and panels meet in */
  int64_t pass;  /* groups after which the next tile's turn is */
  int widened;   /* int4 is multiplied as int8 */
  float *sums;   /* [tiles][rows][32] */
  float *gated;  /* [rows][256], for int8 */
  uint8_t *wide; /* [2][step] blocks of int8: the one before may still be in use */
  int64_t wide_at;
  int64_t from; /* where the pass begins */
  tiles tiles;
} task;

V_INLINE float *sums_of(const task *t, int64_t tile) {
  return t->sums + (tile - t->first_tile) * t->rows * TILE;
}

V_INLINE const uint8_t *weights_of(const task *t, int64_t tile, int64_t group) {
  const matmul_args *a = t->a;
  return a->weight + tile * group_offset(a->format, a->in.groups) + group_offset(a->format, group);
}

static void begin(const task *t, int64_t tile) {
  const float *start = t->a->start;
  float *sums = sums_of(t, tile);
  vf low = start ? vf_load(start + tile * TILE) : vf_zero();
  vf high = start ? vf_load(start + tile * TILE + 16) : vf_zero();
  for (int64_t r = 0; r < t->rows; r++) {
    vf_store(sums + r * TILE, low);
    vf_store(sums + r * TILE + 16, high);
  }
}

/*
 * What to ask for while a piece is widened and meets a panel. A single panel: what comes behind in
 * the unit, far enough for memory to answer, evenly all the time, or memory would have pauses.
 * Several: each a share of the piece that is next, the first one the first share.
 */
V_INLINE early early_of(const task *t, int64_t tile, int64_t group, int64_t end, int64_t asks) {
  const matmul_args *a = t->a;
  int64_t count = min64(t->piece, end - group);
  int64_t panels = t->end_panel - t->first_panel;
  int64_t lines = (group_offset(a->format, t->piece) + 63) / 64;
  if (panels == 1) {
    if (t->widened) asks += count;
    int64_t at = group_offset(a->format, group) + AHEAD;
    int64_t tile_bytes = group_offset(a->format, a->in.groups);
    /* A pair of tiles is read side by side: behind one's end comes the next pair's. */
    if (t->widened && at >= tile_bytes) at += (t->step - 1) * tile_bytes;
    return (early){weights_of(t, tile, 0) + at, (lines + asks - 1) / asks};
  }
  const uint8_t *next = group + count < end ? weights_of(t, tile, group + count)
                        : tile + t->step < t->end_tile
                            ? weights_of(t, tile + t->step, t->from)
                            : 0;
  return next ? (early){next, (lines + panels * asks - 1) / (panels * asks)} : NONE;
}

/*
 * A tile's piece with every panel; both of a pair of tiles meet a panel while it is near. Panels of
 * a block lie one behind the other, and finding one must not take longer than a few cycles.
 */
static void meet(task *t, int64_t tile, int64_t group, int64_t end) {
  const matmul_args *a = t->a;
  int64_t count = min64(t->piece, end - group);
  int by_steps = a->format == W_INT8 || t->widened; /* kernels ask once a step, others once a group */
  int64_t asks = by_steps ? count / 2 : count;
  const uint8_t *weights[2];
  early next[2] = {NONE, NONE};
  int one_panel = t->end_panel - t->first_panel == 1;
  for (int i = 0; i < t->step; i++) {
    weights[i] = weights_of(t, tile + i, group);
    next[i] = early_of(t, tile + i, group, end, asks);
    if (t->widened) {
      uint8_t *to = t->wide + t->wide_at * group_offset(W_INT8, BLOCK_GROUPS);
      t->wide_at = (t->wide_at + 1) % (2 * t->step);
      early none = NONE;
      widen(weights[i], to, count, one_panel ? &next[i] : &none);
      weights[i] = to;
    }
  }
  const uint8_t *panel = operand_block(&a->in, t->first_row, group / BLOCK_GROUPS);
  int64_t row_bytes = operand_row_bytes(a->in.format, min64(BLOCK_GROUPS, a->in.groups - group));
  int64_t done = 0;
  for (int64_t p = t->first_panel; p < t->end_panel; p++) {
    int64_t rows = t->panel_rows + (p < t->longer_panels);
    for (int i = 0; i < t->step; i++) {
      float *sums = sums_of(t, tile + i) + done * TILE;
      early ahead = next[i];
      if (a->format == W_BF16) {
        multiply_bf16(&t->tiles, weights[i], panel, rows, count, sums, ahead);
      } else if (a->format == W_INT8 || t->widened) {
        multiply_int8(&t->tiles, weights[i], panel, rows, count, sums, ahead);
      } else {
        multiply_int4(weights[i], panel, rows, count, sums, ahead);
      }
      next[i].from += next[i].lines * 64 * asks;
    }
    panel += rows * row_bytes;
    done += rows;
  }
}

/* Takes the sums to the output: as they are, or added to what is there. */
static void put(const task *t) {
  const matmul_args *a = t->a;
  int64_t first = t->first_tile * TILE, columns = min64(t->end_tile * TILE, a->out_columns) - first;
  for (int64_t r = 0; r < t->rows; r++) {
    float *to = a->out + (t->first_row + r) * a->out_stride + first;
    for (int64_t i = 0; i < columns; i += 16) {
      prefetch(to + 2 * a->out_stride + i); /* rows are too far apart to be foreseen */
      const float *from = sums_of(t, t->first_tile + i / TILE) + r * TILE + i % TILE;
      if (columns - i >= 16) {
        vf x = vf_load(from);
        vf_store(to + i, a->epilogue == ADD ? vf_add(vf_load(to + i), x) : x);
        continue;
      }
      for (int64_t j = 0; j < columns - i; j++) {
        to[i + j] = a->epilogue == ADD ? to[i + j] + from[j] : from[j];
      }
    }
  }
}

/* What adapters add to a tile's gate and up, before they meet. */
static void adapt(const task *t, int64_t tile) {
  const matmul_args *a = t->a;
  int64_t half = a->out_columns / 2, count = min64(16, half - tile * 16);
  float *sums = sums_of(t, tile);
  for (int64_t r = 0; r < t->rows; r++, sums += TILE) {
    int32_t place = a->places[t->first_row + r];
    if (place < 0) continue;
    const float *from = a->addend + place * a->out_columns + tile * 16;
    for (int64_t i = 0; i < count; i++) {
      sums[i] += from[i];
      sums[16 + i] += from[half + i];
    }
  }
}

/* silu(gate) * up of a tile's row: gate in its first 16 lanes, up in the others. */
V_INLINE vf gate(const float *sums) {
  vf x = vf_load(sums);
  vf down = vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), x)));
  return vf_mul(vf_div(x, down), vf_load(sums + 16));
}

/*
 * Two tiles give 32 columns of the gated operand: a group. Those of an int8 operand wait for the
 * other groups of their block, which a unit holds all of.
 */
static void put_gated(const task *t, int64_t tile) {
  const operand *to = &t->a->gated;
  int64_t group = tile / 2, in_block = group % BLOCK_GROUPS;
  const float *first = sums_of(t, tile), *second = sums_of(t, tile + 1);
  operand_row at = {0, 0, 0};
  int64_t left = 0; /* rows of the panel */
  for (int64_t r = 0; r < t->rows; r++, first += TILE, second += TILE) {
    if (left == 0) {
      at = operand_find(to, t->first_row + r);
      left = at.rows;
    }
    at.index = at.rows - left--;
    if (to->format == O_BF16) {
      operand_write(to, at, group, gate(first), gate(second));
      continue;
    }
    float *block = t->gated + r * BLOCK;
    vf_store(block + in_block * GROUP, gate(first));
    vf_store(block + in_block * GROUP + 16, gate(second));
    if (in_block == BLOCK_GROUPS - 1 || tile + 2 == t->end_tile) {
      /* The operand may end with a group that no tiles give, since its groups are even. */
      memset(block + (in_block + 1) * GROUP, 0,
             (size_t)((BLOCK_GROUPS - 1 - in_block) * GROUP) * sizeof(float));
      operand_put(to, at, group / BLOCK_GROUPS, block);
    }
  }
}

/* Bytes of a unit's inputs that a pass goes over: they stay in the second-level cache. */
enum { PASS_BYTES = 512 << 10 };

static void set_up(task *t, const matmul_args *a, int32_t unit, int32_t worker) {
  t->a = a;
  t->panels = panel_count(&a->in);
  t->panel_rows = a->in.rows / t->panels;
  t->longer_panels = a->in.rows % t->panels;
  t->wide_at = 0;
  int64_t slices = (t->panels + a->panels_per_unit - 1) / a->panels_per_unit;
  t->first_panel = unit % slices * a->panels_per_unit;
  t->end_panel = min64(t->panels, t->first_panel + a->panels_per_unit);
  t->first_tile = a->first_tiles[unit / slices];
  t->end_tile = a->first_tiles[unit / slices + 1];
  t->first_row = panel_first(&a->in, t->panels, t->first_panel);
  t->rows = panel_first(&a->in, t->panels, t->end_panel) - t->first_row;
  t->step = a->epilogue == GATE ? 2 : 1;
  t->widened = a->format == W_INT4 && t->rows > NIBBLE_ROWS;
  t->pass = a->in.groups;
  t->piece = t->pass;
  if (t->panels > 1 || t->widened) {
    int64_t fit = PASS_BYTES / (t->rows * operand_row_bytes(a->in.format, BLOCK_GROUPS));
    t->piece = BLOCK_GROUPS;
    t->pass = min64(t->pass, max64(t->piece, fit * BLOCK_GROUPS));
  }
  uint8_t *scratch = a->scratch + worker * a->scratch_bytes;
  t->wide = scratch;
  t->gated = (float *)(scratch + 4 * group_offset(W_INT8, BLOCK_GROUPS));
  t->sums = t->gated + t->rows * BLOCK;
  tiles_begin(&t->tiles);
}

/*
 * Columns are gone through in passes that leave the inputs of all panels in the second-level cache
 * while tile after tile meets them; within a pass in pieces, so that a piece of weights stays in
 * the first-level cache while panel after panel meets it. Sums wait in between, which does not
 * change a bit of them.
 */
void v_matmul(const matmul_args *a, int32_t unit, int32_t worker) {
  task t;
  set_up(&t, a, unit, worker);
  for (int64_t from = 0; from < a->in.groups; from += t.pass) {
    int64_t end = min64(a->in.groups, from + t.pass);
    t.from = from;
    for (int64_t tile = t.first_tile; tile < t.end_tile; tile += t.step) {
      for (int i = 0; i < t.step && from == 0; i++) begin(&t, tile + i);
      for (int64_t g = from; g < end; g += t.piece) meet(&t, tile, g, end);
    }
  }
  tiles_end(&t.tiles);
  if (a->epilogue == GATE) {
    for (int64_t tile = t.first_tile; a->addend && tile < t.end_tile; tile++) adapt(&t, tile);
    for (int64_t tile = t.first_tile; tile < t.end_tile; tile += 2) put_gated(&t, tile);
  } else {
    put(&t);
  }
}

int64_t v_matmul_scratch(int64_t rows, int64_t tiles) {
  return 4 * group_offset(W_INT8, BLOCK_GROUPS) + rows * (BLOCK + tiles * TILE) * 4 + 64;
}

int64_t v_panels(int64_t operand_format, int64_t rows) {
  operand o = {0, rows, 0, operand_format};
  return panel_count(&o);
}
