/*
 * bfloat16 products by AMX tiles: up to 32 rows of inputs with the 32 rows of a weight tile, as 2 x 2 tiles
 * of sums of 16 x 16. The packed layout already is what the instructions want: a column pair of 16
 * weight rows is one row of 64 bytes, the next one lies 128 bytes on.
 *
 *                 B6: w rows 0..15   B7: 16..31
 *   A4: rows 0-15     sums 0            1
 *   A5: rows 16-31    sums 2            3
 *
 * bf16: 4 multiplications of 16 x 16 x 32 per group, 16 cycles each, for 4 loads. One row alone
 * takes nearly as long as 16, which still is some 100 GB/s of weights and above what memory gives.
 *
 * Bytes stay with vpdpbusd: every group's integers would have to leave the tiles to be scaled, and
 * that took as long as the dot products (measured: 360-460 against 400 GOP/s).
 */

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;


/* Tile 0..3 sums, 4..5 inputs, 6..7 weights. */
V_INLINE void tiles_configure(int64_t rows) {
  tile_config c __attribute__((aligned(64)));
  memset(&c, 0, sizeof c);
  c.palette = 1;
  uint8_t upper = (uint8_t)min64(rows, 16), lower = (uint8_t)(rows > 16 ? rows - 16 : 1);
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = i < 2 || i == 4 ? upper : lower;
  }
  c.rows[6] = c.rows[7] = 16;
  _tile_loadconfig(&c);
}

V_INLINE void multiply_bf16(const uint8_t *w, const uint8_t *panel, int64_t rows, int64_t groups,
                            float *sums, early next) {
  tiles_configure(rows);
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

V_INLINE void tiles_done(void) { _tile_release(); }

/* Groups in a block: 16 KB of weights and as much of a panel stay in the first-level cache. */
enum { BLOCK_BF16 = 8, BLOCK_INT8 = 64 };
