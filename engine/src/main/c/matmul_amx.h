/*
 * Products by AMX tiles: up to 32 rows of inputs with the 32 rows of a weight tile, as 2 x 2 tiles
 * of sums of 16 x 16. The packed layout already is what the instructions want: a column pair (or
 * quad) of 16 weight rows is one row of 64 bytes, the next one lies 128 bytes on.
 *
 *                 B6: w rows 0..15   B7: 16..31
 *   A4: rows 0-15     sums 0            1
 *   A5: rows 16-31    sums 2            3
 *
 * bf16: 4 multiplications of 16 x 16 x 32 per group, 16 cycles each, for 4 loads. One row alone
 * takes nearly as long as 16, which still is some 100 GB/s of weights and above what memory gives.
 */

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;


/* Tile 0..3 sums, 4..5 inputs, 6..7 weights; depth: weight rows of a multiplication, 16 or 8. */
V_INLINE void tiles_configure(int64_t rows, int depth) {
  tile_config c __attribute__((aligned(64)));
  memset(&c, 0, sizeof c);
  c.palette = 1;
  uint8_t upper = (uint8_t)min64(rows, 16), lower = (uint8_t)(rows > 16 ? rows - 16 : 1);
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = 64;
    c.rows[i] = i < 2 || i == 4 ? upper : lower;
  }
  c.row_bytes[4] = c.row_bytes[5] = (uint16_t)(depth * 4);
  c.rows[6] = c.rows[7] = (uint8_t)depth;
  _tile_loadconfig(&c);
}

V_INLINE void multiply_bf16(const uint8_t *w, const uint8_t *panel, int64_t rows, int64_t groups,
                            float *sums) {
  tiles_configure(rows, 16);
  int64_t next = rows * BF16_ROW_BYTES;
  _tile_loadd(0, sums, 128);
  _tile_loadd(1, sums + 16, 128);
  if (rows <= 16) {
    for (int64_t g = 0; g < groups; g++) {
      for (int i = 0; i < BF16_GROUP_BYTES; i += 64) prefetch(w + AHEAD + i);
      _tile_loadd(4, panel, 64);
      _tile_loadd(6, w, 128);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, w + 64, 128);
      _tile_dpbf16ps(1, 4, 7);
      w += BF16_GROUP_BYTES;
      panel += next;
    }
  } else {
    _tile_loadd(2, sums + 16 * TILE, 128);
    _tile_loadd(3, sums + 16 * TILE + 16, 128);
    for (int64_t g = 0; g < groups; g++) {
      _tile_loadd(4, panel, 64);
      _tile_loadd(6, w, 128);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, w + 64, 128);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, panel + 16 * 64, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      w += BF16_GROUP_BYTES;
      panel += next;
    }
    _tile_stored(2, sums + 16 * TILE, 128);
    _tile_stored(3, sums + 16 * TILE + 16, 128);
  }
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
}

/*
 * int8 and widened int4. A group's integers go through memory (4 KB that stay in the first-level
 * cache) to be scaled; the operations on them are those of int_block, so the bits are the same.
 */
static void tiles_int8(const uint8_t *w, int offset, const uint8_t *panel, int64_t rows,
                       int64_t groups, float *sums) {
  int32_t exact[2][32 * TILE] __attribute__((aligned(64)));
  tiles_configure(rows, 8);
  for (int64_t g = 0; g < groups; g++) {
    int32_t *e = exact[g & 1];
    _tile_zero(0);
    _tile_zero(1);
    _tile_loadd(4, panel, 32);
    _tile_loadd(6, w, 128);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, w + 64, 128);
    _tile_dpbsud(1, 4, 7);
    _tile_stored(0, e, 128);
    _tile_stored(1, e + 16, 128);
    if (rows > 16) {
      _tile_zero(2);
      _tile_zero(3);
      _tile_loadd(5, panel + 16 * 32, 32);
      _tile_dpbsud(2, 5, 6);
      _tile_dpbsud(3, 5, 7);
      _tile_stored(2, e + 16 * TILE, 128);
      _tile_stored(3, e + 16 * TILE + 16, 128);
    }
    const float *scales = (const float *)(panel + rows * 32);
    const int32_t *totals = (const int32_t *)(panel + rows * 36);
    vf s0 = scale16(w + INT8_GROUP_BYTES - 64, 0);
    vf s1 = scale16(w + INT8_GROUP_BYTES - 64, 1);
    for (int64_t r = 0; r < rows; r++) {
      vi start = vi_set(-offset * totals[r]);
      vf scale = vf_set(scales[r]);
      float *to = sums + r * TILE;
      vf a = vi_to_f(vi_add(vi_load(e + r * TILE), start));
      vf b = vi_to_f(vi_add(vi_load(e + r * TILE + 16), start));
      vf_store(to, vf_fma(a, vf_mul(s0, scale), vf_load(to)));
      vf_store(to + 16, vf_fma(b, vf_mul(s1, scale), vf_load(to + 16)));
    }
    w += INT8_GROUP_BYTES;
    panel += rows * INT8_ROW_BYTES;
  }
}

V_INLINE void tiles_done(void) { _tile_release(); }
