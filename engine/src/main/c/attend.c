/*
 * Causal softmax attention over a paged bfloat16 cache, for decoding and for prompts alike.
 *
 * A unit is a run of tokens of one sequence with one key-value head; its rows are the queries of
 * all these tokens and of all query heads that share the key-value head, so a cache line is used
 * rows times. Rows go in blocks of up to ATTEND_ROWS through spans of 64 positions at absolute
 * multiples of 64:
 *
 *   scores   [rows][64] = q . k      bf16 pairs, dimensions in order        R x 2 sums in registers
 *   weights  [rows][64] = exp(s - max), rounded to bf16; running maximum and total per row
 *            (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018)
 *   sums     [rows][headDim] = sums * decay + weights . v    token pairs in order
 *
 * Since spans begin at absolute positions, a row does the same operations however its prompt is cut
 * and whichever rows share its block: a token that a row does not see has weight exactly 0, which
 * changes no sum, and values that no row of the block sees are masked, since they may be anything.
 *
 * Per token and row headDim * 4 operations on headDim * 4 bytes: with 4 query heads to a key-value
 * head a decode step does 4 operations a byte, below what one core computes at memory speed.
 */
#include <string.h>

#include "lanes.h"

enum { SPAN = 64, PLANES = SPAN / 16 };

static const float UNSEEN = -1e30f; /* a score below all; not infinite: differences stay numbers */

typedef struct {
  uint32_t *queries;  /* [rows][pairs] bf16 pairs */
  float *sums;        /* [rows][pad] */
  float *totals;      /* [rows][16] */
  float *maxima;      /* [rows] */
  int32_t *first_seen; /* [rows] first position that the row sees */
  int32_t *end_seen;   /* behind the last one */
  float *scores;      /* [ATTEND_ROWS][64] */
  uint32_t *weights;  /* [ATTEND_ROWS][32] bf16 pairs */
  float *decays;      /* [ATTEND_ROWS] */
  int64_t pairs, pad;
} work;

/* What a span's planes are, and which of its tokens some row of the block sees. */
typedef struct {
  const uint8_t *keys[PLANES];
  const uint8_t *values[PLANES];
  const uint8_t *next_keys[PLANES]; /* of the span after it, to be asked for early */
  const uint8_t *next_values[PLANES];
  int64_t from, to; /* tokens of the span */
} span;

V_INLINE int64_t head_pad(int64_t head_dim) { return (head_dim + 31) / 32 * 32; }

V_INLINE void score_block(const int R, const int V, const uint32_t *q, int64_t pairs,
                          const uint8_t *const *keys, const uint8_t *const *next, int64_t second,
                          float *scores) {
  vf acc[12][2];
  const uint8_t *k[2] = {keys[0], keys[second]}, *n[2] = {next[0], next[second]};
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) acc[r][0] = acc[r][1] = vf_zero();
  for (int64_t i = 0; i < pairs; i++) {
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      prefetch(n[v] + i * 64);
      lanes[v] = vi_load(k[v] + i * 64);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      int32_t a = (int32_t)q[r * pairs + i];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) acc[r][v] = dot_bf16(acc[r][v], lanes[v], a);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) vf_store(scores + r * SPAN + v * 16, acc[r][v]);
  }
}

/* Dimensions dim .. dim + 16 V of the sums; masked: some tokens of the span are seen by nobody. */
V_INLINE void value_block(const int R, const int V, const int masked, const work *w, int64_t row,
                          const span *s, int64_t dim) {
  vf acc[12][2];
  float *sums = w->sums + row * w->pad + dim;
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
    vf decay = vf_set(w->decays[r]);
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      acc[r][v] = vf_mul(vf_load(sums + r * w->pad + v * 16), decay);
    }
  }
  for (int64_t pair = s->from / 2; pair < (s->to + 1) / 2; pair++) {
    int64_t at = (pair % 8 * w->pad + dim) * 4;
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      prefetch(s->next_values[pair / 8] + at + v * 64);
      lanes[v] = vi_load(s->values[pair / 8] + at + v * 64);
    }
    if (masked) {
      uint32_t low = pair * 2 >= s->from ? 0x0000ffffu : 0;
      uint32_t high = pair * 2 + 1 < s->to ? 0xffff0000u : 0;
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) lanes[v] = vi_and(lanes[v], vi_set((int32_t)(low | high)));
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      int32_t a = (int32_t)w->weights[r * (SPAN / 2) + pair];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) acc[r][v] = dot_bf16(acc[r][v], lanes[v], a);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) vf_store(sums + r * w->pad + v * 16, acc[r][v]);
  }
}

typedef void block(const work *w, int64_t row, const span *s);

#define ATTEND_V(R) (WIDE(R) == 2 ? 2 : 1)
#define BLOCK(R)                                                                                  \
  static void scores_##R(const work *w, int64_t row, const span *s) {                             \
    int64_t end = (s->to + 15) / 16;                                                              \
    for (int64_t g = s->from / 16; g < end; g += ATTEND_V(R)) {                                   \
      int64_t second = g + 1 < end; /* else the first again, computed and dropped */              \
      score_block(R, ATTEND_V(R), w->queries + row * w->pairs, w->pairs, s->keys + g,             \
                  s->next_keys + g, second, w->scores + g * 16);                                  \
    }                                                                                             \
  }                                                                                               \
  static void values_##R(const work *w, int64_t row, const span *s) {                             \
    int masked = s->from % 2 != 0 || s->to % 2 != 0;                                              \
    for (int64_t d = 0; d < w->pad; d += 16 * ATTEND_V(R)) {                                      \
      if (masked) {                                                                               \
        value_block(R, ATTEND_V(R), 1, w, row, s, d);                                             \
      } else {                                                                                    \
        value_block(R, ATTEND_V(R), 0, w, row, s, d);                                             \
      }                                                                                           \
    }                                                                                             \
  }

BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
BLOCK(7) BLOCK(8) BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
static block *const scores[] = {scores_1, scores_2, scores_3, scores_4,  scores_5,  scores_6,
                                scores_7, scores_8, scores_9, scores_10, scores_11, scores_12};
static block *const values[] = {values_1, values_2, values_3, values_4,  values_5,  values_6,
                                values_7, values_8, values_9, values_10, values_11, values_12};

/* Turns a row's scores of a span into weights; what it does not see gets exactly zero. */
static void weigh(work *w, int64_t row, int64_t in_block, int64_t base, float scale) {
  int32_t from = (int32_t)max64(0, w->first_seen[row] - base);
  int32_t to = (int32_t)min64(SPAN, w->end_seen[row] - base);
  float *s = w->scores + in_block * SPAN;
  uint32_t *weights = w->weights + in_block * (SPAN / 2);
  if (from >= to) {
    memset(weights, 0, SPAN / 2 * sizeof(uint32_t));
    w->decays[in_block] = 1.0f;
    return;
  }
  vf x[PLANES];
  vi seen[PLANES];
  vf largest = vf_set(UNSEEN);
  for (int g = 0; g < PLANES; g++) {
    vi token = vi_add(vi_iota(), vi_set(g * 16));
    seen[g] = vi_and(vi_less(vi_set(from - 1), token), vi_less(token, vi_set(to)));
    vf scaled = vf_mul(vf_load(s + g * 16), vf_set(scale));
    x[g] = vi_as_f(vi_select(seen[g], vf_as_i(scaled), vf_as_i(vf_set(UNSEEN))));
    largest = vf_max(largest, x[g]);
  }
  float before = w->maxima[row];
  float most = max16(largest);
  float max = before > most ? before : most;
  vf total = vf_zero();
  for (int g = 0; g < PLANES; g++) {
    vi e = vf_as_i(vf_exp(vf_sub(x[g], vf_set(max))));
    vi half = vi_and(vf_round_bf16(vi_as_f(e)), seen[g]);
    total = vf_add(total, vi_as_f(vi_shl(half, 16)));
    vi_store_u16((uint16_t *)weights + g * 16, half);
  }
  float decay = 1.0f;
  if (max != before) {
    float lanes[16];
    vf_store(lanes, vf_exp(vf_set(before - max)));
    decay = lanes[0];
    w->maxima[row] = max;
  }
  w->decays[in_block] = decay;
  float *totals = w->totals + row * 16;
  vf_store(totals, vf_fma(vf_load(totals), vf_set(decay), total));
}

static uint8_t *take(uint8_t **at, int64_t bytes) {
  uint8_t *found = *at;
  *at += (bytes + 63) / 64 * 64;
  return found;
}

static work lay_out(uint8_t *at, int64_t rows, int64_t head_dim) {
  work w;
  w.pairs = head_dim / 2;
  w.pad = head_pad(head_dim);
  w.queries = (uint32_t *)take(&at, rows * w.pairs * 4);
  w.sums = (float *)take(&at, rows * w.pad * 4);
  w.totals = (float *)take(&at, rows * 64);
  w.maxima = (float *)take(&at, rows * 4);
  w.first_seen = (int32_t *)take(&at, rows * 4);
  w.end_seen = (int32_t *)take(&at, rows * 4);
  w.scores = (float *)take(&at, ATTEND_ROWS * SPAN * 4);
  w.weights = (uint32_t *)take(&at, ATTEND_ROWS * SPAN * 2);
  w.decays = (float *)take(&at, ATTEND_ROWS * 4);
  return w;
}

int64_t v_attend_scratch(int64_t rows, int64_t head_dim) {
  uint8_t *none = 0;
  work w = lay_out(none, rows, head_dim);
  return ((uint8_t *)(w.decays + ATTEND_ROWS) - none + 127) / 64 * 64;
}

static void start(const attend_args *a, work *w, int64_t first, int64_t rows, int64_t head) {
  int64_t shared = a->query_heads / a->heads;
  for (int64_t r = 0; r < rows; r++) {
    int64_t token = first + r / shared;
    const float *q = a->queries + token * a->query_stride + (head * shared + r % shared) * a->head_dim;
    uint16_t *to = (uint16_t *)(w->queries + r * w->pairs);
    for (int64_t d = 0; d < a->head_dim; d++) to[d] = float_to_bf16(q[d]);
    int32_t position = a->positions[token];
    w->first_seen[r] = a->window ? (int32_t)max64(0, position + 1 - a->window) : 0;
    w->end_seen[r] = position + 1;
    w->maxima[r] = UNSEEN;
  }
  memset(w->sums, 0, (size_t)(rows * w->pad) * sizeof(float));
  memset(w->totals, 0, (size_t)rows * 64);
}

V_INLINE const uint8_t *keys_of(const attend_args *a, const int32_t *table, int64_t head,
                                int64_t position) {
  int64_t plane = head_pad(a->head_dim) * 32;
  return a->cache + table[position / a->block_tokens] * a->block_bytes + a->layer_offset +
         (position % a->block_tokens / 16 * 2 * a->heads + head) * plane;
}

/*
 * Planes of the tokens that a block of rows sees in a span; end: behind the last token that the
 * unit sees. The planes lie 2 to 4 KB at a time all over the cache, which no prefetcher foresees.
 */
static span find(const attend_args *a, const int32_t *table, int64_t head, int64_t base,
                 int64_t from, int64_t to, int64_t end) {
  span s = {.from = from, .to = to};
  int64_t values = a->heads * head_pad(a->head_dim) * 32;
  for (int64_t g = from / 16; g < (to + 15) / 16; g++) {
    int64_t next = base + SPAN + g * 16;
    s.keys[g] = keys_of(a, table, head, base + g * 16);
    s.values[g] = s.keys[g] + values;
    s.next_keys[g] = next < end ? keys_of(a, table, head, next) : s.keys[g];
    s.next_values[g] = s.next_keys[g] + values;
  }
  return s;
}

static void finish(const attend_args *a, const work *w, int64_t first, int64_t rows, int64_t head) {
  int64_t shared = a->query_heads / a->heads;
  for (int64_t r = 0; r < rows; r++) {
    int64_t token = first + r / shared;
    int64_t column = (head * shared + r % shared) * a->head_dim;
    vf factor = vf_set(1.0f / sum16(vf_load(w->totals + r * 16)));
    const float *sums = w->sums + r * w->pad;
    if (a->plain) {
      float *to = a->plain + token * a->plain_stride + column;
      float lanes[16];
      for (int64_t d = 0; d < a->head_dim; d += 16) {
        vf_store(lanes, vf_mul(vf_load(sums + d), factor));
        memcpy(to + d, lanes, (size_t)min64(16, a->head_dim - d) * sizeof(float));
      }
    } else {
      operand_row at = operand_find(&a->out, token);
      for (int64_t d = 0; d < a->head_dim; d += GROUP) {
        vf low = vf_mul(vf_load(sums + d), factor), high = vf_mul(vf_load(sums + d + 16), factor);
        operand_write(&a->out, at, (column + d) / GROUP, low, high);
      }
    }
  }
}

void v_attend(const attend_args *a, int32_t unit, int32_t worker) {
  int64_t head = unit % a->heads, tile = unit / a->heads;
  int64_t first = a->tile_first[tile];
  int64_t rows = a->tile_count[tile] * (a->query_heads / a->heads);
  const int32_t *table = a->tables + a->tile_table[tile];
  work w = lay_out(a->scratch + worker * a->scratch_bytes, rows, a->head_dim);
  start(a, &w, first, rows, head);
  /* positions rise with the rows: the first row sees farthest back, the last one farthest on */
  int64_t end = w.end_seen[rows - 1];
  for (int64_t base = w.first_seen[0] / SPAN * SPAN; base < end; base += SPAN) {
    for (int64_t row = 0; row < rows; row += ATTEND_ROWS) {
      int64_t count = min64(ATTEND_ROWS, rows - row);
      int64_t from = max64(0, w.first_seen[row] - base);
      int64_t to = min64(SPAN, w.end_seen[row + count - 1] - base);
      if (from >= to) continue;
      span s = find(a, table, head, base, from, to, end);
      scores[count - 1](&w, row, &s);
      for (int64_t r = 0; r < count; r++) weigh(&w, row + r, r, base, (float)a->scale);
      values[count - 1](&w, row, &s);
    }
  }
  finish(a, &w, first, rows, head);
}
