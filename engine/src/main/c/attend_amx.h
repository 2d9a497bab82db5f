/*
 * Attention's products by AMX tiles: blocks of up to 32 rows meet 32 tokens, then 32 dimensions.
 *
 *   scores   A = queries, 32 dimensions of 16 rows    B = a key plane's 16 pairs x 16 tokens: the cache's
 *                                                         layout already is an operand's, 1 KB on end
 *   values   A = weights, 16 tokens of 16 rows        B = a value plane's 8 pairs x 16 dimensions
 *
 * Every row takes this way, a single one too: tiles round otherwise than vectors, and take denormals for
 * zero. Chunks begin at absolute positions, and weights of exactly 0 change no sum, so a row's bits
 * are its own.
 *
 * Value tiles are half as high as they could be, for half the rate, since 32 tokens lie in two
 * places. To lay them out anew cost some tenth of a decode step's attention (measured), and prompts were
 * no faster: 32 rows x 32 tokens of 64 dimensions are 24 multiplications of 16 cycles, and their 1024
 * exponentials take longer.
 */
#include "tiles_amx.h"

/* Tiles 0..3 are sums, as in tiles_amx.h; each input has one. Macros, since tile names are text. */
#define QUERIES 4
#define WEIGHTS 5
#define KEYS 6
#define VALUES 7

static void products_begin(int64_t rows) {
  tile_config c __attribute__((aligned(64))) = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    c.row_bytes[i] = i == WEIGHTS ? 32 : 64;
    c.rows[i] = (uint8_t)(i == KEYS ? 16 : i == VALUES ? 8 : min64(rows, 16));
  }
  tiles_configure(&c);
}

static void products_end(void) { tiles_release(); }

/* Rows of scratch: whole blocks, since a lower tile always has 16 rows, read or not. */
V_INLINE int64_t scratch_rows(int64_t rows) { return rows > 16 ? (rows + 31) / 32 * 32 : rows; }

/*
 * Asks for the next KB of the span to come. Memory answers some 3 KB at a time, so this stands in all parts
 * of the work; the first block of rows that meets a span has asked for all of the next one.
 */
V_INLINE void ask_next(work *w) {
  early *e = &w->next;
  if (e->plane == 2 * PLANES) return;
  const uint8_t *const *planes = e->plane % 2 ? e->s->next_values : e->s->next_keys;
  const uint8_t *p = planes[e->plane / 2] + e->at;
  for (int i = 0; i < 1024; i += 64) prefetch_far(p + i);
  e->at += 1024;
  if (e->at == w->pad * 32) {
    e->at = 0;
    e->plane++;
  }
}

/*
 * Takes 16 lines that have been asked for into the first-level cache, two planes ahead: a tile load that
 * has to wait holds up all work behind it. The first block of rows does it for the others.
 */
V_INLINE void fetch(const block *b, const uint8_t *lines, int64_t pair_stride) {
  if (b->row > 0) return;
  for (int64_t i = 0; i < 8; i++) {
    prefetch(lines + i * pair_stride);
    prefetch(lines + i * pair_stride + 64);
  }
}

V_INLINE void score_tiles(const int lower, work *w, const block *b) {
  const span *s = b->s;
  int64_t chunks = w->pad / 32, stride = w->pad * 2;
  const uint16_t *q = w->queries + b->row * w->pad;
  tiles_barrier();
  for (int64_t g = b->from / 32 * 2; g < (b->to + 31) / 32 * 2; g += 2) {
    float *to = w->scores + g * 16;
    _tile_zero(0);
    _tile_zero(1);
    if (lower) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t i = 0; i < chunks; i++) {
      ask_next(w);
      fetch(b, s->keys[(g + 2) % PLANES] + i * 1024, 128);
      fetch(b, s->keys[(g + 3) % PLANES] + i * 1024, 128);
      _tile_loadd(QUERIES, q + i * 32, stride);
      _tile_loadd(KEYS, s->keys[g] + i * 1024, 64);
      _tile_dpbf16ps(0, QUERIES, KEYS);
      _tile_loadd(KEYS, s->keys[g + 1] + i * 1024, 64);
      _tile_dpbf16ps(1, QUERIES, KEYS);
      if (lower) {
        _tile_loadd(QUERIES, q + 16 * w->pad + i * 32, stride);
        _tile_dpbf16ps(3, QUERIES, KEYS);
        _tile_loadd(KEYS, s->keys[g] + i * 1024, 64);
        _tile_dpbf16ps(2, QUERIES, KEYS);
      }
    }
    _tile_stored(0, to, SPAN * 4);
    _tile_stored(1, to + 16, SPAN * 4);
    if (lower) {
      _tile_stored(2, to + 16 * SPAN, SPAN * 4);
      _tile_stored(3, to + 16 * SPAN + 16, SPAN * 4);
    }
  }
}

static void products_scores(work *w, const block *b) {
  if (b->count > 16) {
    score_tiles(1, w, b);
  } else {
    score_tiles(0, w, b);
  }
}

V_INLINE void value_tiles(const int lower, work *w, const block *b) {
  const span *s = b->s;
  int64_t stride = w->pad * 4;
  for (int64_t d = 0; d < w->pad; d += 32) {
    float *sums = w->sums + b->row * w->pad + d;
    _tile_loadd(0, sums, stride);
    _tile_loadd(1, sums + 16, stride);
    if (lower) {
      _tile_loadd(2, sums + 16 * w->pad, stride);
      _tile_loadd(3, sums + 16 * w->pad + 16, stride);
    }
    for (int64_t g = b->from / 16; g < (b->to + 15) / 16; g++) {
      const uint16_t *weights = w->weights + g * 16;
      const uint8_t *v = s->values[g] + d * 4;
      ask_next(w);
      fetch(b, s->values[(g + 2) % PLANES] + d * 4, stride);
      _tile_loadd(WEIGHTS, weights, SPAN * 2);
      _tile_loadd(VALUES, v, stride);
      _tile_dpbf16ps(0, WEIGHTS, VALUES);
      _tile_loadd(VALUES, v + 64, stride);
      _tile_dpbf16ps(1, WEIGHTS, VALUES);
      if (lower) {
        _tile_loadd(WEIGHTS, weights + 16 * SPAN, SPAN * 2);
        _tile_dpbf16ps(3, WEIGHTS, VALUES);
        _tile_loadd(VALUES, v, stride);
        _tile_dpbf16ps(2, WEIGHTS, VALUES);
      }
    }
    _tile_stored(0, sums, stride);
    _tile_stored(1, sums + 16, stride);
    if (lower) {
      _tile_stored(2, sums + 16 * w->pad, stride);
      _tile_stored(3, sums + 16 * w->pad + 16, stride);
    }
  }
}

static void products_values(work *w, const block *b) {
  for (int64_t r = 0; r < b->count; r++) {
    if (w->decays[r] == 1.0f) continue;
    float *sums = w->sums + (b->row + r) * w->pad;
    for (int64_t d = 0; d < w->pad; d += 16) {
      vf_store(sums + d, vf_mul(vf_load(sums + d), vf_set(w->decays[r])));
    }
  }
  tiles_barrier();
  if (b->count > 16) {
    value_tiles(1, w, b);
  } else {
    value_tiles(0, w, b);
  }
}
