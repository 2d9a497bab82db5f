/*
 * Attention's products by vectors, for levels without tiles: R rows x V vectors of sums stay in
 * registers while keys, or values, go by in the order in which they lie in the cache. A pair of
 * tokens that no row of the block sees is left out or masked, since a plane may hold anything.
 */

V_INLINE void score_block(const int R, const int V, const uint32_t *q, int64_t pairs, int64_t stride,
                          const uint8_t *const *keys, const uint8_t *const *next,
                          float *scores) {
  vf acc[12][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) acc[r][0] = acc[r][1] = vf_zero();
  for (int64_t i = 0; i < pairs; i++) {
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      prefetch_far(next[v] + i * 64);
      lanes[v] = vi_load(keys[v] + i * 64);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      int32_t a = (int32_t)q[r * stride + i];
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

/* Dimensions dim .. dim + 16 V of the sums. */
V_INLINE void value_block(const int R, const int V, const work *w, const block *b,
                          int64_t dim) {
  const span *s = b->s;
  vf acc[12][2];
  float *sums = w->sums + b->row * w->pad + dim;
  const uint32_t *weights = (const uint32_t *)w->weights;
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
    vf decay = vf_set(w->decays[r]);
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      acc[r][v] = vf_mul(vf_load(sums + r * w->pad + v * 16), decay);
    }
  }
  for (int64_t pair = b->from / 2; pair < (b->to + 1) / 2; pair++) {
    int64_t at = (pair % 8 * w->pad + dim) * 4;
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      prefetch_far(s->next_values[pair / 8] + at + v * 64);
      lanes[v] = vi_load(s->values[pair / 8] + at + v * 64);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      int32_t a = (int32_t)weights[r * (SPAN / 2) + pair];
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

typedef void product(const work *w, const block *b);

#define ATTEND_V(R) (WIDE(R) == 2 ? 2 : 1)
#define BLOCK(R)                                                                                  \
  static void scores_##R(const work *w, const block *b) {                                         \
    const span *s = b->s;                                                                         \
    int64_t end = (b->to + 31) / 32 * 2;                                                          \
    const uint32_t *q = (const uint32_t *)(w->queries + b->row * w->pad);                         \
    for (int64_t g = b->from / 32 * 2; g < end; g += ATTEND_V(R)) {                               \
      score_block(R, ATTEND_V(R), q, w->pairs, w->pad / 2, s->keys + g, s->next_keys + g,         \
                  w->scores + g * 16);                                                            \
    }                                                                                             \
  }                                                                                               \
  static void values_##R(const work *w, const block *b) {                                         \
    for (int64_t d = 0; d < w->pad; d += 16 * ATTEND_V(R)) {                                      \
      value_block(R, ATTEND_V(R), w, b, d);                                                       \
    }                                                                                             \
  }

BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
BLOCK(7) BLOCK(8) BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
static product *const scores[] = {scores_1, scores_2, scores_3, scores_4,  scores_5,  scores_6,
                                  scores_7, scores_8, scores_9, scores_10, scores_11, scores_12};
static product *const values[] = {values_1, values_2, values_3, values_4,  values_5,  values_6,
                                  values_7, values_8, values_9, values_10, values_11, values_12};

/* Products ask for the bytes behind those that they use themselves. */
V_INLINE void ask_next(work *w) { (void)w; }

V_INLINE void products_begin(int64_t rows) { (void)rows; }
V_INLINE void products_end(void) {}
V_INLINE int64_t scratch_rows(int64_t rows) { return rows; }
V_INLINE void products_scores(const work *w, const block *b) {
  scores[b->count - 1](w, b);
}
V_INLINE void products_values(const work *w, const block *b) {
  values[b->count - 1](w, b);
}
