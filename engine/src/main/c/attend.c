/*
 * Causal softmax attention over a paged bfloat16 cache, for decoding and for prompts alike.
 *
 * A unit is a run of tokens of one sequence with some key-value heads, one after the other; the
 * rows of a head are the queries of all these tokens and of all query heads that share it, so a
 * cache line is used rows times. Rows go in blocks of up to ATTEND_ROWS through spans of SPAN
 * positions at absolute multiples of SPAN:
 *
 *   scores   [rows][SPAN] = q . k      bf16 pairs, dimensions in order     (attend_lanes.h, attend_amx.h)
 *   weights  [rows][SPAN] = exp(s - max), rounded to bf16; running maximum and total per row
 *            (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018)
 *   sums     [rows][headDim] = sums * decay + weights . v    token pairs in order
 *
 * Since spans begin at absolute positions, a row does the same operations however its prompt is cut
 * and whichever rows share its block: a token that a row does not see has weight exactly 0, which
 * changes no sum, and values that no row sees are masked, since they may be anything.
 *
 * Per token and row headDim * 4 operations on headDim * 4 bytes: with 4 query heads to a key-value
 * head a decode step does 4 operations a byte, below what one core computes at memory speed. In a
 * prompt a weight costs 15 vector operations in 16 lanes, which is more than its products in tiles: so
 * exp is 2^x with log2(e) in the scale, no more exact than bf16 deserves, and only spans that some
 * row of the block sees in part are masked.
 */
#include <string.h>

#include "attend.h"

#if defined(__AMX_TILE__)
#include "attend_amx.h"
#else
#include "attend_lanes.h"
#endif

static const float UNSEEN = -1e30f; /* a score below all; not infinite: differences stay numbers */

/* The tokens of a group of 16 within from .. to, as a mask. */
V_INLINE vi seen_of(int64_t group, int64_t from, int64_t to) {
  vi token = vi_add(vi_iota(), vi_set((int32_t)group * 16));
  return vi_and(vi_less(vi_set((int32_t)from - 1), token), vi_less(token, vi_set((int32_t)to)));
}

/* The row's largest score in a span becomes its maximum; returns what its sums decay by. */
V_INLINE float raise(work *w, int64_t row, vf largest, float scale) {
  float before = w->maxima[row];
  float most = max16(largest);
  if (!(most > before)) return 1.0f;
  float lanes[16];
  vf_store(lanes, vf_exp2(vf_set((before - most) * scale)));
  w->maxima[row] = most;
  return lanes[0];
}

/*
 * Turns a row's scores of a span into weights, 32 tokens at a time; what it does not see gets exactly
 * zero. The scale is that of 2^x.
 */
V_INLINE void weigh_span(const int masked, work *w, int64_t row, int64_t in_block, const block *b,
                         float scale) {
  int64_t base = b->s->base;
  int64_t from = max64(0, w->first_seen[row] - base), to = min64(SPAN, w->end_seen[row] - base);
  int64_t first = masked ? b->from / 32 * 2 : 0, end = masked ? (b->to + 31) / 32 * 2 : PLANES;
  float *s = w->scores + in_block * SPAN;
  vf largest[2] = {vf_set(UNSEEN), vf_set(UNSEEN)};
#pragma GCC unroll 4
  for (int64_t g = first; g < end; g += 2) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      vf x = vf_load(s + (g + i) * 16);
      if (masked) {
        vi seen = seen_of(g + i, from, to);
        x = vi_as_f(vi_select(seen, vf_as_i(x), vf_as_i(vf_set(UNSEEN))));
        vf_store(s + (g + i) * 16, x);
      }
      largest[i] = vf_max(largest[i], x);
    }
  }
  float decay = raise(w, row, vf_max(largest[0], largest[1]), scale);
  vf factor = vf_set(scale), shift = vf_set(-w->maxima[row] * scale);
  vf total[2] = {vf_zero(), vf_zero()};
#pragma GCC unroll 4
  for (int64_t g = first; g < end; g += 2) {
    vf e[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      e[i] = vf_exp2(vf_fma(vf_load(s + (g + i) * 16), factor, shift));
      if (masked) e[i] = vi_as_f(vi_and(vf_as_i(e[i]), seen_of(g + i, from, to)));
    }
    vf_store_bf16(w->weights + in_block * SPAN + g * 16, e, total);
  }
  float *totals = w->totals + row * 16;
  vf sum = vf_add(total[0], total[1]);
  vf_store(totals, vf_fma(vf_load(totals), vf_set(decay), sum));
  w->decays[in_block] = decay;
}

static void weigh_all(work *w, const block *b, float scale) {
  int64_t base = b->s->base;
  for (int64_t r = 0; r < b->count; r++) {
    int64_t row = b->row + r;
    ask_next(w);
    if (w->first_seen[row] <= base && w->end_seen[row] >= base + SPAN) {
      weigh_span(0, w, row, r, b, scale);
    } else {
      weigh_span(1, w, row, r, b, scale);
    }
  }
}

static uint8_t *take(uint8_t **at, int64_t bytes) {
  uint8_t *found = *at;
  *at += (bytes + 63) / 64 * 64;
  return found;
}

static work lay_out(uint8_t *at, int64_t rows, int64_t head_dim) {
  work w;
  w.rows = rows;
  w.pairs = head_dim / 2;
  w.pad = (head_dim + 31) / 32 * 32;
  int64_t whole = scratch_rows(rows);
  w.queries = (uint16_t *)take(&at, whole * w.pad * 2);
  w.sums = (float *)take(&at, whole * w.pad * 4);
  w.totals = (float *)take(&at, rows * 64);
  w.maxima = (float *)take(&at, rows * 4);
  w.first_seen = (int32_t *)take(&at, rows * 4);
  w.end_seen = (int32_t *)take(&at, rows * 4);
  w.scores = (float *)take(&at, ATTEND_ROWS * SPAN * 4);
  w.weights = (uint16_t *)take(&at, ATTEND_ROWS * SPAN * 2);
  w.decays = (float *)take(&at, ATTEND_ROWS * 4);
  w.masked = take(&at, 2 * w.pad * 32);
  return w;
}

int64_t v_attend_scratch(int64_t rows, int64_t head_dim) {
  uint8_t *none = 0;
  work w = lay_out(none, rows, head_dim);
  return (w.masked + 2 * w.pad * 32 - none + 127) / 64 * 64;
}

static void start(const attend_args *a, work *w, int64_t first, int64_t head) {
  int64_t shared = a->query_heads / a->heads;
  for (int64_t r = 0; r < w->rows; r++) {
    int64_t token = first + r / shared;
    const float *q = a->queries + token * a->query_stride + (head * shared + r % shared) * a->head_dim;
    uint16_t *to = w->queries + r * w->pad;
    int64_t d = 0;
    for (; d + 16 <= a->head_dim; d += 16) vi_store_u16(to + d, vf_round_bf16(vf_load(q + d)));
    for (; d < a->head_dim; d++) to[d] = float_to_bf16(q[d]);
    for (; d < w->pad; d++) to[d] = 0;
    int32_t position = a->positions[token];
    w->first_seen[r] = a->window ? (int32_t)max64(0, position + 1 - a->window) : 0;
    w->end_seen[r] = position + 1;
    w->maxima[r] = UNSEEN;
  }
  memset(w->sums, 0, (size_t)(w->rows * w->pad) * sizeof(float));
  memset(w->totals, 0, (size_t)w->rows * 64);
}

V_INLINE const uint8_t *keys_of(const attend_args *a, const int32_t *table, int64_t head,
                                int64_t position) {
  int64_t plane = (a->head_dim + 31) / 32 * 1024;
  return a->cache + table[position / a->block_tokens] * a->block_bytes + a->layer_offset +
         (position % a->block_tokens / 16 * 2 * a->heads + head) * plane;
}

/* A head of a unit on its way through spans and, within them, through blocks of rows. */
typedef struct {
  const attend_args *a;
  const int32_t *table;
  int64_t head, end_head; /* of the unit */
  int64_t first;          /* token */
  int64_t from, end;   /* positions that some row sees */
  work w;
  span spans[2]; /* of this block and of the one before it */
  block b;
} unit_work;

/*
 * Planes of the span at a position. Those that nobody sees are not known to exist: another one stands
 * there, so that planes can be taken in pairs. Planes lie 2 to 4 KB at a time all over the cache, which
 * no prefetcher foresees: behind a head's last span comes the next head's first one.
 */
static void find(const unit_work *u, int64_t base, span *s) {
  *s = (span){.base = base, .from = max64(0, u->from - base), .to = min64(SPAN, u->end - base)};
  int64_t values = u->a->heads * (u->w.pad * 32);
  for (int64_t g = 0; g < PLANES; g++) {
    int64_t here = min64(base + g * 16, u->end - 1), next = here + SPAN, head = u->head;
    s->keys[g] = keys_of(u->a, u->table, head, max64(here, u->from));
    s->values[g] = s->keys[g] + values;
    if (next >= u->end) {
      next = max64(u->from, min64(u->from / SPAN * SPAN + g * 16, u->end - 1));
      head = min64(head + 1, u->end_head - 1);
    }
    s->next_keys[g] = keys_of(u->a, u->table, head, next);
    s->next_values[g] = s->next_keys[g] + values;
  }
}

/*
 * The first and last planes of a unit may hold values that nobody sees: copies of them hold zeros. Both
 * copies may be in use at a time, by different spans.
 */
static void mask(const work *w, span *s) {
  int64_t edges[] = {s->from / 16, (s->to - 1) / 16};
  for (int i = 0; i < 2; i++) {
    int64_t from = s->from - edges[i] * 16, to = s->to - edges[i] * 16;
    if ((from <= 0 && to >= 16) || (i == 1 && edges[0] == edges[1])) continue;
    uint8_t *copy = w->masked + (to < 16 ? w->pad * 32 : 0);
    for (int64_t pair = 0; pair < 8; pair++) {
      uint32_t low = pair * 2 >= from && pair * 2 < to ? 0x0000ffffu : 0;
      uint32_t high = pair * 2 + 1 >= from && pair * 2 + 1 < to ? 0xffff0000u : 0;
      vi seen = vi_set((int32_t)(low | high));
      for (int64_t at = pair * w->pad * 4; at < (pair + 1) * w->pad * 4; at += 64) {
        vi_store(copy + at, vi_and(vi_load(s->values[edges[i]] + at), seen));
      }
    }
    s->values[edges[i]] = copy;
  }
}

/* A sum of -0 and one of +0 are told apart nowhere: which it is may depend on the other rows. */
V_INLINE vf share_of(const float *sums, vf factor) {
  return vf_fma(vf_load(sums), factor, vf_zero());
}

static void finish(const attend_args *a, const work *w, int64_t first, int64_t head) {
  int64_t shared = a->query_heads / a->heads;
  for (int64_t r = 0; r < w->rows; r++) {
    int64_t token = first + r / shared;
    int64_t column = (head * shared + r % shared) * a->head_dim;
    vf factor = vf_set(1.0f / sum16(vf_load(w->totals + r * 16)));
    const float *sums = w->sums + r * w->pad;
    if (a->plain) {
      float *to = a->plain + token * a->plain_stride + column;
      float lanes[16];
      for (int64_t d = 0; d < a->head_dim; d += 16) {
        vf_store(lanes, share_of(sums + d, factor));
        memcpy(to + d, lanes, (size_t)min64(16, a->head_dim - d) * sizeof(float));
      }
    } else {
      operand_row at = operand_find(&a->out, token);
      for (int64_t d = 0; d < a->head_dim; d += GROUP) {
        operand_write(&a->out, at, (column + d) / GROUP, share_of(sums + d, factor),
                      share_of(sums + d + 16, factor));
      }
    }
  }
}

/* The next block of rows that sees any of a span; 0 if there is none. */
static int next_block(unit_work *u) {
  for (;;) {
    int64_t row = u->b.row + ATTEND_ROWS, base = u->b.s->base;
    if (row >= u->w.rows) {
      row = 0;
      base += SPAN;
      if (base >= u->end) return 0;
    }
    span *s = &u->spans[base / SPAN % 2];
    if (row == 0) {
      find(u, base, s);
      mask(&u->w, s);
      u->w.next = (early){.s = s};
    }
    int64_t count = min64(ATTEND_ROWS, u->w.rows - row);
    int64_t from = max64(0, u->w.first_seen[row] - base);
    int64_t to = min64(SPAN, u->w.end_seen[row + count - 1] - base);
    u->b = (block){.s = s, .row = row, .count = count, .from = from, .to = to};
    if (from < to) return 1;
  }
}

/*
 * A block's scores are weighed and its values multiplied with another part of the work in between, so that
 * nothing waits for what has just begun.
 */
static void attend_head(unit_work *u, float scale) {
  start(u->a, &u->w, u->first, u->head);
  /* positions rise with the rows: the first row sees farthest back, the last one farthest on */
  u->from = u->w.first_seen[0];
  u->end = u->w.end_seen[u->w.rows - 1];
  span before = {.base = u->from / SPAN * SPAN - SPAN};
  u->b = (block){.s = &before, .row = u->w.rows};
  int more = next_block(u);
  products_scores(&u->w, &u->b);
  while (more) {
    block b = u->b;
    weigh_all(&u->w, &b, scale);
    more = next_block(u);
    if (more) products_scores(&u->w, &u->b);
    products_values(&u->w, &b);
  }
  finish(u->a, &u->w, u->first, u->head);
}

void v_attend(const attend_args *a, int32_t unit, int32_t worker) {
  int64_t units_per_tile = a->heads / a->heads_per_unit, tile = unit / units_per_tile;
  int64_t rows = a->tile_count[tile] * (a->query_heads / a->heads);
  float scale = (float)(a->scale * 1.4426950408889634); /* log2(e) */
  unit_work u = {.a = a,
                 .table = a->tables + a->tile_table[tile],
                 .head = unit % units_per_tile * a->heads_per_unit,
                 .first = a->tile_first[tile],
                 .w = lay_out(a->scratch + worker * a->scratch_bytes, rows, a->head_dim)};
  u.end_head = u.head + a->heads_per_unit;
  products_begin(rows);
  for (; u.head < u.end_head; u.head++) attend_head(&u, scale);
  products_end();
}
