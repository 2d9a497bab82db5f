/*
 * Attention's products by vectors, for levels without tiles: R rows x V vectors of sums stay in
 * registers while keys, or values, go by in the order in which they lie in the cache. A pair of
 * tokens that no row of the block sees is left out or masked, since a plane may hold anything.
 */

V_INLINE void score_block(const int R, const int V, const uint32_t *q, int64_t pairs, int64_t stride,
                          const uint8_t *const *keys, int64_t second, float *scores) {
  vf acc[12][2];
  const uint8_t *k[2] = {keys[0], keys[second]};
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) acc[r][0] = acc[r][1] = vf_zero();
  for (int64_t i = 0; i < pairs; i++) {
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) lanes[v] = vi_load(k[v] + i * 64);
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
V_INLINE void value_block(const int R, const int V, const work *w, const block *b, span *s,
                          int64_t dim) {
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
    if (pair % 16 == 0) ask_next(s);
    int64_t at = (pair % 8 * w->pad + dim) * 4;
    vi lanes[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) lanes[v] = vi_load(s->values[pair / 8] + at + v * 64);
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

typedef void product(const work *w, const block *b, span *s);

#define ATTEND_V(R) (WIDE(R) == 2 ? 2 : 1)
#define BLOCK(R)                                                                                  \
  static void scores_##R(const work *w, const block *b, span *s) {                          \
    int64_t end = (b->to + 15) / 16;                                                              \
    const uint32_t *q = (const uint32_t *)(w->queries + b->row * w->pad);                         \
    for (int64_t g = b->from / 16; g < end; g += ATTEND_V(R)) {                                   \
      for (int64_t i = 0; i < w->pad; i += 32) ask_next(s);                                       \
      int64_t second = g + 1 < end; /* else the first again, computed and dropped */              \
      score_block(R, ATTEND_V(R), q, w->pairs, w->pad / 2, s->keys + g, second,                   \
                  w->scores + g * 16);                                                            \
    }                                                                                             \
  }                                                                                               \
  static void values_##R(const work *w, const block *b, span *s) {                          \
    for (int64_t d = 0; d < w->pad; d += 16 * ATTEND_V(R)) {                                      \
      value_block(R, ATTEND_V(R), w, b, s, d);                                                    \
    }                                                                                             \
  }

BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
BLOCK(7) BLOCK(8) BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
static product *const scores[] = {scores_1, scores_2, scores_3, scores_4,  scores_5,  scores_6,
                                  scores_7, scores_8, scores_9, scores_10, scores_11, scores_12};
static product *const values[] = {values_1, values_2, values_3, values_4,  values_5,  values_6,
                                  values_7, values_8, values_9, values_10, values_11, values_12};

V_INLINE void products_begin(int64_t rows) { (void)rows; }
V_INLINE void products_end(void) {}
V_INLINE int64_t scratch_rows(int64_t rows) { return rows; }
V_INLINE void products_scores(const work *w, const block *b, span *s) {
  scores[b->count - 1](w, b, s);
}
V_INLINE void products_values(const work *w, const block *b, span *s) {
  values[b->count - 1](w, b, s);
}
