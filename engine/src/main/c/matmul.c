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
 * rounding differs from that of vectors.
 */
#include <string.h>

#include "lanes.h"

enum { AHEAD = 4096 }; /* bytes of weights to ask for early: some 200 ns of a core's bandwidth */

/* Weights to ask memory for while a tile is multiplied: so many bytes from there on per group. */
typedef struct {
  const uint8_t *from;
  int64_t per_group;
} early;

static const early NONE = {0, 0};

V_INLINE void ask(early *e) {
  for (int64_t i = 0; i < e->per_group; i += 64) prefetch(e->from + i);
  e->from += e->per_group;
}

/* Adds a tile's product with a panel to sums [R][32]. */
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
    ask(&next);
#pragma GCC unroll 4
    for (int i = 0; i < GROUP / 2; i++) {
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

V_INLINE vf scale16(const uint8_t *scales, int half) {
  return vi_as_f(vi_shl(vi_load_u16((const uint16_t *)scales + half * 16), 16));
}

/*
 * int8 and int4: within a group integers, exact; then sum += integers * (weight scale * input
 * scale). Weights are unsigned, w + offset: the integers start from -offset * (sum of the inputs),
 * which takes it off again without a term per weight row.
 *
 *   nibbles   weights are INT4; else INT8
 */
V_INLINE void int_block(const int R, const int V, const int nibbles, const int offset, int half,
                        const uint8_t *weight, const uint8_t *panel, int64_t groups, float *sums,
                        early next) {
  const int bytes = nibbles ? INT4_GROUP_BYTES : INT8_GROUP_BYTES;
  vf acc[6][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[r][v] = vf_load(sums + r * TILE + (half + v) * 16);
  }
  for (int64_t g = 0; g < groups; g++) {
    const float *scales = (const float *)(panel + R * 32);
    const int32_t *totals = (const int32_t *)(panel + R * 36);
    vi exact[6][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) exact[r][v] = vi_set(-dot_offset(offset) * totals[r]);
    }
    ask(&next);
#pragma GCC unroll 8
    for (int q = 0; q < GROUP / 4; q++) {
      vw lanes[2];
      if (nibbles) {
        vi both = vi_load(weight + q * 64);
        vi low = vi_set(0x0f0f0f0f);
        lanes[0] = vw_of(vi_and(half ? vi_shr(both, 4) : both, low), offset);
        if (V == 2) lanes[1] = vw_of(vi_and(vi_shr(both, 4), low), offset);
      } else {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) lanes[v] = vw_of(vi_load(weight + q * 128 + (half + v) * 64), offset);
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        int32_t a = word(panel + r * 32 + q * 4);
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) exact[r][v] = dot_u8(exact[r][v], lanes[v], a);
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      vf scale = scale16(weight + bytes - 64, half + v);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        acc[r][v] = vf_fma(vi_to_f(exact[r][v]), vf_mul(scale, vf_set(scales[r])), acc[r][v]);
      }
    }
    weight += bytes;
    panel += R * INT8_ROW_BYTES;
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) vf_store(sums + r * TILE + (half + v) * 16, acc[r][v]);
  }
}

#define INT_MICRO(name, R, nibbles, offset)                                                       \
  static void name##R(const uint8_t *w, const uint8_t *p, int64_t groups, float *sums,            \
                      early next) {                                                               \
    int_block(R, WIDE_INT(R), nibbles, offset, 0, w, p, groups, sums, next);                      \
    if (WIDE_INT(R) == 1) int_block(R, WIDE_INT(R), nibbles, offset, 1, w, p, groups, sums, NONE); \
  }
#define INT_MICROS(name, nibbles, offset)                                                         \
  INT_MICRO(name, 1, nibbles, offset)                                                             \
  INT_MICRO(name, 2, nibbles, offset)                                                             \
  INT_MICRO(name, 3, nibbles, offset)                                                             \
  INT_MICRO(name, 4, nibbles, offset)                                                             \
  INT_MICRO(name, 5, nibbles, offset)                                                             \
  INT_MICRO(name, 6, nibbles, offset)                                                             \
  static micro *const name##s[] = {name##1, name##2, name##3, name##4, name##5, name##6};

INT_MICROS(int8_, 0, 128)
INT_MICROS(int4_, 1, 8)
INT_MICROS(wide4_, 0, 8) /* INT4 widened to bytes */

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
V_INLINE void multiply_bf16(const uint8_t *w, const uint8_t *panel, int64_t rows, int64_t groups,
                            float *sums, early next) {
  bf16_micros[rows - 1](w, panel, groups, sums, next);
}
V_INLINE void tiles_done(void) {}
enum { BLOCK_BF16 = 32, BLOCK_INT8 = 64 };
#endif

/* Widens an INT4 tile to the INT8 layout, so that many panels need not take nibbles apart. */
static void widen(const uint8_t *from, uint8_t *to, int64_t groups) {
  vi low = vi_set(0x0f0f0f0f);
  for (int64_t g = 0; g < groups; g++, from += INT4_GROUP_BYTES, to += INT8_GROUP_BYTES) {
    for (int i = 0; i < INT4_GROUP_BYTES; i += 64) prefetch(from + i + AHEAD);
    for (int q = 0; q < GROUP / 4; q++) {
      vi both = vi_load(from + q * 64);
      vi_store(to + q * 128, vi_and(both, low));
      vi_store(to + q * 128 + 64, vi_and(vi_shr(both, 4), low));
    }
    vi_store(to + INT8_GROUP_BYTES - 64, vi_load(from + INT4_GROUP_BYTES - 64));
  }
}

/* One tile with all the panels of a unit: what was made ready once for all of them. */
typedef struct {
  const uint8_t *weight;
  int64_t bytes; /* of a group */
  enum { AS_BF16, AS_INT8, AS_INT4, AS_WIDE4 } kind;
} ready_tile;

V_INLINE int64_t group_bytes(int64_t format) {
  return format == W_BF16 ? BF16_GROUP_BYTES
                          : format == W_INT8 ? INT8_GROUP_BYTES : INT4_GROUP_BYTES;
}

static ready_tile make_ready(const matmul_args *a, int64_t tile, int64_t panels, uint8_t *scratch) {
  int64_t bytes = group_bytes(a->format);
  ready_tile t = {a->weight + tile * a->in.groups * bytes, bytes,
                  a->format == W_BF16 ? AS_BF16 : a->format == W_INT8 ? AS_INT8 : AS_INT4};
  if (a->format == W_INT4 && panels > 2) {
    widen(t.weight, scratch, a->in.groups);
    t = (ready_tile){scratch, INT8_GROUP_BYTES, AS_WIDE4};
  }
  return t;
}

static void begin(const matmul_args *a, int64_t tile, int64_t rows, float *sums) {
  for (int64_t r = 0; r < rows; r++) {
    for (int v = 0; v < TILE; v += 16) {
      vf_store(sums + r * TILE + v, a->start ? vf_load(a->start + tile * TILE + v) : vf_zero());
    }
  }
}

static void multiply(const ready_tile *t, int64_t group, int64_t groups, const uint8_t *panel,
                     int64_t rows, float *sums, early next) {
  const uint8_t *w = t->weight + group * t->bytes;
  switch (t->kind) {
    case AS_BF16: multiply_bf16(w, panel, rows, groups, sums, next); break;
    case AS_INT8: int8_s[rows - 1](w, panel, groups, sums, next); break;
    case AS_INT4: int4_s[rows - 1](w, panel, groups, sums, next); break;
    case AS_WIDE4: wide4_s[rows - 1](w, panel, groups, sums, next); break;
  }
}

/*
 * What to ask for while panel p meets a block of the tile: the first panel brings the tile itself,
 * unless it is here already; the second one the same block of the tile after it.
 */
V_INLINE early next_of(const matmul_args *a, int64_t tile, int64_t tiles, int64_t group, int64_t p,
                       int here) {
  int64_t bytes = group_bytes(a->format);
  const uint8_t *block = a->weight + (tile * a->in.groups + group) * bytes;
  if (p == 0 && !here) return (early){block + AHEAD, bytes};
  if (p == 1 && tiles > 0) return (early){block + a->in.groups * bytes, bytes};
  return NONE;
}

/* Takes the sums of some rows to the output: as they are, or added to what is there. */
static void put(const matmul_args *a, int64_t tile, int64_t row, int64_t rows, const float *sums) {
  int64_t lanes = min64(TILE, a->out_columns - tile * TILE);
  for (int64_t r = 0; r < rows; r++) {
    float *to = a->out + (row + r) * a->out_stride + tile * TILE;
    const float *from = sums + r * TILE;
    if (lanes == TILE) {
      for (int v = 0; v < TILE; v += 16) {
        vf x = vf_load(from + v);
        vf_store(to + v, a->epilogue == ADD ? vf_add(vf_load(to + v), x) : x);
      }
    } else {
      for (int64_t i = 0; i < lanes; i++) to[i] = a->epilogue == ADD ? to[i] + from[i] : from[i];
    }
  }
}

/* silu(gate) * up of a tile's row: gate in its first 16 lanes, up in the others. */
V_INLINE vf gate(const float *sums) {
  vf x = vf_load(sums);
  vf down = vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), x)));
  return vf_mul(vf_div(x, down), vf_load(sums + 16));
}

/* Two tiles give 32 columns of the gated operand: one group. */
static void put_gated(const matmul_args *a, int64_t tile, int64_t row, int64_t rows,
                      const float *first, const float *second) {
  for (int64_t r = 0; r < rows; r++) {
    operand_row at = operand_find(&a->gated, row + r);
    operand_write(&a->gated, at, tile / 2, gate(first + r * TILE), gate(second + r * TILE));
  }
}

/*
 * Many panels go through the columns in blocks: a block of the tile's weights and one of a panel
 * stay near while they meet, and the sums wait in between, which does not change a bit of them.
 */
void v_matmul(const matmul_args *a, int32_t unit, int32_t worker) {
  int64_t panels = panel_count(&a->in), groups = a->in.groups;
  int64_t slices = (panels + a->panels_per_unit - 1) / a->panels_per_unit;
  int64_t first_panel = unit % slices * a->panels_per_unit;
  int64_t end_panel = min64(panels, first_panel + a->panels_per_unit);
  int64_t first_tile = unit / slices * a->tiles_per_unit;
  int64_t end_tile = min64(a->tiles, first_tile + a->tiles_per_unit);
  int64_t group_row = operand_row_bytes(a->in.format);
  int64_t first_row = panel_first(&a->in, panels, first_panel);
  int64_t rows = panel_first(&a->in, panels, end_panel) - first_row;
  int64_t block = end_panel - first_panel == 1
                      ? groups
                      : a->in.format == O_BF16 ? BLOCK_BF16 : BLOCK_INT8;
  int step = a->epilogue == GATE ? 2 : 1;
  uint8_t *scratch = a->scratch + worker * a->scratch_bytes;
  float *sums[2] = {(float *)scratch, (float *)scratch + rows * TILE};
  uint8_t *widened = scratch + 2 * rows * TILE * (int64_t)sizeof(float);
  for (int64_t tile = first_tile; tile < end_tile; tile += step) {
    ready_tile ready[2];
    for (int i = 0; i < step; i++) {
      ready[i] = make_ready(a, tile + i, end_panel - first_panel,
                            widened + i * groups * INT8_GROUP_BYTES);
      begin(a, tile + i, rows, sums[i]);
    }
    for (int64_t g = 0; g < groups; g += block) {
      int64_t count = min64(block, groups - g);
      for (int64_t p = first_panel; p < end_panel; p++) {
        int64_t row = panel_first(&a->in, panels, p);
        int64_t in_panel = panel_first(&a->in, panels, p + 1) - row;
        const uint8_t *panel = a->in.data + (row * groups + g * in_panel) * group_row;
        for (int i = 0; i < step; i++) {
          int here = step == 1 && tile > first_tile && end_panel - first_panel > 1;
          early next = next_of(a, tile + i, step == 1 ? end_tile - tile - 1 : 0, g,
                               p - first_panel, here);
          multiply(&ready[i], g, count, panel, in_panel, sums[i] + (row - first_row) * TILE, next);
        }
      }
    }
    if (a->epilogue == GATE) {
      put_gated(a, tile, first_row, rows, sums[0], sums[1]);
    } else {
      put(a, tile, first_row, rows, sums[0]);
    }
  }
  tiles_done();
}

int64_t v_matmul_scratch(int64_t groups, int64_t rows) {
  return 2 * (groups * INT8_GROUP_BYTES + rows * TILE * (int64_t)sizeof(float));
}

int64_t v_panels(int64_t operand_format, int64_t rows) {
  operand o = {0, rows, 0, operand_format};
  return panel_count(&o);
}
