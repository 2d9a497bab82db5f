/* What the two forms of attention's products share: vectors (attend_lanes.h), tiles (attend_amx.h). */
#ifndef ATTEND_H
#define ATTEND_H

#include "lanes.h"

enum { SPAN = 128, PLANES = SPAN / 16 };

typedef struct {
  uint16_t *queries;   /* [rows][pad] bf16, zeros behind headDim */
  float *sums;         /* [rows][pad] */
  float *totals;       /* [rows][16] */
  float *maxima;       /* [rows] largest score so far, not yet scaled */
  int32_t *first_seen; /* [rows] first position that the row sees */
  int32_t *end_seen;   /* behind the last one */
  float *scores;       /* [ATTEND_ROWS][SPAN] */
  uint16_t *weights;   /* [ATTEND_ROWS][SPAN] bf16 */
  float *decays;       /* [ATTEND_ROWS] */
  uint8_t *masked;     /* [2] planes of values of which the unit sees only a part */
  int64_t rows, pairs, pad;
} work;

/*
 * What a span's planes are, and which of its tokens some row of the unit sees; and those of the span
 * after it, asked for 1 KB at a time while this one is computed.
 */
typedef struct {
  const uint8_t *keys[PLANES];
  const uint8_t *values[PLANES];
  int64_t from, to;                 /* tokens of the span */
  const uint8_t *next[2 * PLANES];  /* planes of the next span */
  int64_t plane, at, planes, bytes; /* the plane and its byte to ask for now, of so many */
} span;

/*
 * Asks for the next KB. Memory answers some 3 KB at a time, so this stands between all parts of the
 * work, and the first block of rows does it alone.
 */
V_INLINE void ask_next(span *s) {
  if (s->plane == s->planes) return;
  const uint8_t *p = s->next[s->plane] + s->at;
  for (int i = 0; i < 1024; i += 64) prefetch_far(p + i);
  s->at += 1024;
  if (s->at == s->bytes) {
    s->at = 0;
    s->plane++;
  }
}

/* A block of rows in a span, and which tokens some of these rows see. */
typedef struct {
  int64_t row, count;
  int64_t from, to;
} block;

#endif
