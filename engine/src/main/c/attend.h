/* What the two forms of attention's products share: vectors (attend_lanes.h), tiles (attend_amx.h). */
#ifndef ATTEND_H
#define ATTEND_H

#include "lanes.h"

enum { SPAN = 128, PLANES = SPAN / 16 };

/* Where a span's planes are, and which of its tokens some row of the unit sees. */
typedef struct {
  const uint8_t *keys[PLANES];
  const uint8_t *values[PLANES];
  const uint8_t *next_keys[PLANES]; /* of the span after it, or of this one if it is the last */
  const uint8_t *next_values[PLANES];
  int64_t base; /* position of its first token */
  int64_t from, to;
} span;

/* A block of rows with a span, and which of its tokens some of these rows see. */
typedef struct {
  const span *s;
  int64_t row, count;
  int64_t from, to;
} block;

/* What to ask memory for: the planes behind a span, one KB after the other. */
typedef struct {
  const span *s;
  int64_t plane, at; /* the byte to ask for now of a plane: keys and values in turn */
} early;

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
  early next;
} work;

#endif
