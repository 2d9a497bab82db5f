/*
 * Products by AMX tiles (tiles_amx.h has the picture): up to 32 rows of inputs with the 32 rows of a
 * weight tile. The packed layouts already are what the instructions want: a column pair (bf16) or
 * quad (int8) of 16 weight rows is one row of 64 bytes, the next one lies 128 bytes on. One row
 * alone takes as long as 16, which still is some 100 GB/s of weights and above what memory gives.
 *
 * int8: the integers of a block leave the tiles to be scaled, 64 vectors after 16 multiplications.
 * That is done while the tiles work on the next panel: interleaved by hand, since a core does not
 * look as far ahead as a tile takes.
 */
#include "tiles_amx.h"

/*
 * Groups in a piece: 16 KB of weights and as much of a panel stay in the first-level cache. Up to
 * VECTOR_ROWS rows, vpdpbusd is faster than tiles.
 */
enum { AHEAD = 16384, VECTOR_ROWS = 4 };

/* Integers [rows][32] of a block that have left the tiles and wait to be scaled. */
typedef struct {
  const uint8_t *scales;
  uint8_t *panel;
  float *sums;
  int64_t rows; /* 0: none */
} unscaled;

typedef struct {
  int64_t rows; /* that the tiles are configured for */
  int which;    /* of the two buffers is waiting */
  unscaled waiting;
  int32_t integers[2][32 * TILE] __attribute__((aligned(64)));
} tiles;

/* Tile 0..3 sums, 4..5 inputs, 6..7 weights. */
V_INLINE void tiles_ready(tiles *t, int64_t rows) {
  tiles_barrier();
  if (t->rows == rows) return;
  t->rows = rows;
  tile_config c __attribute__((aligned(64)));
  memset(&c, 0, sizeof c);
  c.palette = 1;
  uint8_t upper = (uint8_t)min64(rows, 16), lower = (uint8_t)(rows > 16 ? rows - 16 : 1);
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = i < 2 || i == 4 ? upper : lower;
  }
  c.rows[6] = c.rows[7] = 16;
  tiles_configure(&c);
}

V_INLINE void tiles_begin(tiles *t) {
  t->rows = 0;
  t->which = 0;
  t->waiting.rows = 0;
}


V_INLINE void multiply_bf16(tiles *t, const uint8_t *w, const uint8_t *panel, int64_t rows,
                            int64_t groups, float *sums, early next) {
  tiles_ready(t, rows);
  int64_t panel_step = rows * BF16_ROW_BYTES;
  _tile_loadd(0, sums, 128);
  _tile_loadd(1, sums + 16, 128);
  if (rows <= 16) {
    for (int64_t g = 0; g < groups; g++) {
      ask(&next);
      _tile_loadd(4, panel, 64);
      _tile_loadd(6, w, 128);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, w + 64, 128);
      _tile_dpbf16ps(1, 4, 7);
      w += BF16_GROUP_BYTES;
      panel += panel_step;
    }
  } else {
    _tile_loadd(2, sums + 16 * TILE, 128);
    _tile_loadd(3, sums + 16 * TILE + 16, 128);
    for (int64_t g = 0; g < groups; g++) {
      _tile_loadd(6, w, 128);
      _tile_loadd(4, panel, 64);
      _tile_loadd(7, w + 64, 128);
      _tile_loadd(5, panel + 16 * 64, 64);
      ask(&next);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      w += BF16_GROUP_BYTES;
      panel += panel_step;
    }
    _tile_stored(2, sums + 16 * TILE, 128);
    _tile_stored(3, sums + 16 * TILE + 16, 128);
  }
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
}

/* Scales rows [from, to) of the integers that wait: the same operations as add_scaled. */
V_INLINE void scale_rows(const unscaled *u, const int32_t *integers, int64_t from, int64_t to) {
  if (from >= to) return;
  const float *row_scales = block_scales(u->panel, u->rows);
  const int32_t *totals = block_sums(u->panel, u->rows);
  vf low = scale16(u->scales, 0), high = scale16(u->scales, 1);
  for (int64_t r = from; r < to; r++) {
    vi offset = vi_set(-128 * totals[r]);
    vf scale = vf_set(row_scales[r]);
    float *sums = u->sums + r * TILE;
    vf x = vi_to_f(vi_add(vi_load(integers + r * TILE), offset));
    vf y = vi_to_f(vi_add(vi_load(integers + r * TILE + 16), offset));
    vf_store(sums, vf_fma(x, vf_mul(low, scale), vf_load(sums)));
    vf_store(sums + 16, vf_fma(y, vf_mul(high, scale), vf_load(sums + 16)));
  }
}

V_INLINE void tiles_end(tiles *t) {
  scale_rows(&t->waiting, t->integers[t->which], 0, t->waiting.rows);
  if (t->rows) tiles_release();
}

V_INLINE void block_int8(tiles *t, const uint8_t *w, const uint8_t *panel, int64_t rows,
                         int64_t groups, float *sums, early *next) {
  int64_t steps = groups / 2;
  const int32_t *before = t->integers[t->which];
  int32_t *to = t->integers[t->which ^ 1];
  unscaled waiting = t->waiting;
  t->waiting = (unscaled){w, (uint8_t *)panel, sums, rows};
  w += SCALES_BYTES;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < steps; s++) {
    _tile_loadd(4, panel, 64);
    _tile_loadd(6, w, 128);
    _tile_loadd(7, w + 64, 128);
    ask(next);
    _tile_dpbsud(0, 4, 6);
    _tile_dpbsud(1, 4, 7);
    if (rows > 16) {
      _tile_loadd(5, panel + 16 * STEP, 64);
      _tile_dpbsud(2, 5, 6);
      _tile_dpbsud(3, 5, 7);
    }
    scale_rows(&waiting, before, waiting.rows * s / steps, waiting.rows * (s + 1) / steps);
    w += INT8_STEP_BYTES;
    panel += rows * STEP;
  }
  _tile_stored(0, to, 128);
  _tile_stored(1, to + 16, 128);
  if (rows > 16) {
    _tile_stored(2, to + 16 * TILE, 128);
    _tile_stored(3, to + 16 * TILE + 16, 128);
  }
  t->which ^= 1;
}

V_INLINE void multiply_int8(tiles *t, const uint8_t *w, const uint8_t *panel, int64_t rows,
                            int64_t groups, float *sums, early next) {
  if (rows <= VECTOR_ROWS) {
    int8_micros[rows - 1](w, panel, groups, sums, next);
    return;
  }
  tiles_ready(t, rows);
  for (; groups > 0; groups -= BLOCK_GROUPS) {
    int64_t count = min64(groups, BLOCK_GROUPS);
    block_int8(t, w, panel, rows, count, sums, &next);
    w += group_offset(W_INT8, count);
    panel += rows * INT8_ROW_BYTES;
  }
}
