/* Work on single rows: norms, conversions to operands, embeddings, rotation into the KV cache. */
#include <math.h>
#include <string.h>

#include "lanes.h"

V_INLINE float sum_of_squares(const float *x, int64_t columns) {
  vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
  int64_t i = 0;
  for (; i + 64 <= columns; i += 64) {
    for (int j = 0; j < 4; j++) {
      vf v = vf_load(x + i + 16 * j);
      sum[j] = vf_fma(v, v, sum[j]);
    }
  }
  for (; i < columns; i += 16) {
    float rest[16] = {0};
    memcpy(rest, x + i, (size_t)min64(16, columns - i) * sizeof(float));
    vf v = vf_load(rest);
    sum[0] = vf_fma(v, v, sum[0]);
  }
  return sum16(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

V_INLINE float norm_factor(const float *x, int64_t columns, double epsilon) {
  float mean = sum_of_squares(x, columns) / (float)columns;
  return (float)(1.0 / sqrt((double)mean + epsilon));
}

/* 256 columns of a row, or what it has left and zeros; normed if there is a gain. */
V_INLINE void scaled_block(const rows_args *a, const float *row, float factor, int64_t column,
                           float *to) {
  int64_t count = min64(BLOCK, a->columns - column), i = 0;
  const float *x = row + column;
  for (; i + 16 <= count; i += 16) {
    vf v = vf_load(x + i);
    vf_store(to + i, a->gain ? vf_mul(vf_mul(v, vf_set(factor)), vf_load(a->gain + column + i)) : v);
  }
  for (; i < count; i++) to[i] = a->gain ? x[i] * factor * a->gain[column + i] : x[i];
  for (; i < BLOCK; i++) to[i] = 0.0f;
}

/*
 * RMS norm, or a plain copy, of rows into an operand: the norm's result is rounded to what the
 * multiplications read in the same pass, while it is in registers. Reads each row twice, 8 bytes
 * and 5 operations an element.
 */
void v_rows(const rows_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  int64_t end = min64(a->out.rows, (unit + 1) * a->rows_per_unit);
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    const float *x = a->in + row * a->in_stride;
    float factor = a->gain ? norm_factor(x, a->columns, a->epsilon) : 1.0f;
    operand_row to = operand_find(&a->out, row);
    for (int64_t b = 0; b < block_count(a->out.groups); b++) {
      float part[BLOCK] __attribute__((aligned(64)));
      scaled_block(a, x, factor, b * BLOCK, part);
      operand_put(&a->out, to, b, part);
    }
  }
}

V_INLINE float weight_at(const uint8_t *tile, int64_t format, int lane,
                         int64_t column) {
  if (format == W_BF16) {
    int64_t pair = column / 2 * TILE + lane;
    return bf16_to_float(((const uint16_t *)tile)[pair * 2 + column % 2]);
  }
  const uint8_t *block = tile + group_offset(format, column / BLOCK * BLOCK_GROUPS);
  float scale = bf16_to_float(((const uint16_t *)block)[lane]);
  int64_t quad = column % BLOCK / 4, in_quad = column % 4;
  if (format == W_INT8) {
    int w = block[SCALES_BYTES + (quad * TILE + lane) * 4 + in_quad] - 128;
    return (float)w * scale;
  }
  const uint8_t *nibbles = block + SCALES_BYTES + FACTORS_BYTES;
  int byte = nibbles[(quad * 16 + lane % 16) * 4 + in_quad];
  int w = (lane < 16 ? byte & 15 : byte >> 4) - 8;
  int factor = ((const int8_t *)block + SCALES_BYTES)[column % BLOCK / GROUP * TILE + lane];
  return (float)(w * factor) * scale;
}

/* Rows of a packed matrix, taken out of their tiles. */
void v_embed(const embed_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  int64_t whole = a->format == W_BF16 ? GROUP : STEP;
  int64_t groups = (a->columns + whole - 1) / whole * (whole / GROUP);
  int64_t bytes = group_offset(a->format, groups);
  int64_t end = min64(a->rows, (unit + 1) * a->rows_per_unit);
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    int64_t token = a->tokens[row];
    const uint8_t *tile = a->table + token / TILE * bytes;
    float *to = a->out + row * a->out_stride;
    for (int64_t i = 0; i < a->columns; i++) {
      to[i] = weight_at(tile, a->format, (int)(token % TILE), i);
    }
  }
}

/* Normalises a head, if asked, and rotates its halves: (a, b) to (a cos - b sin, b cos + a sin). */
static void rotate(float *x, int64_t head_dim, const float *gain, double epsilon,
                   const float *angles) {
  int64_t half = head_dim / 2;
  if (gain) {
    float factor = norm_factor(x, head_dim, epsilon);
    for (int64_t i = 0; i < head_dim; i++) x[i] = x[i] * factor * gain[i];
  }
  int64_t i = 0;
  for (; i + 16 <= half; i += 16) {
    vf cos = vf_load(angles + i), sin = vf_load(angles + half + i);
    vf a = vf_load(x + i), b = vf_load(x + half + i);
    vf_store(x + i, vf_sub(vf_mul(a, cos), vf_mul(b, sin)));
    vf_store(x + half + i, vf_add(vf_mul(b, cos), vf_mul(a, sin)));
  }
  for (; i < half; i++) {
    float a = x[i], b = x[half + i];
    x[i] = a * angles[i] - b * angles[half + i];
    x[half + i] = b * angles[i] + a * angles[half + i];
  }
}

/* A key into its plane: headDim / 2 cache lines, 4 bytes each, which attention reads in full. */
V_INLINE void put_key(uint8_t *plane, const float *k, int64_t head_dim, int64_t token) {
  int64_t d = 0;
  for (; d + 32 <= head_dim; d += 32) {
    uint16_t halves[32] __attribute__((aligned(64)));
    vi_store_u16(halves, vf_round_bf16(vf_load(k + d)));
    vi_store_u16(halves + 16, vf_round_bf16(vf_load(k + d + 16)));
    uint8_t *to = plane + (d * 8 + token) * 4;
    for (int i = 0; i < 16; i++) memcpy(to + i * 64, halves + i * 2, 4);
  }
  uint16_t *to = (uint16_t *)plane;
  for (; d < head_dim; d++) to[(d / 2 * 16 + token) * 2 + d % 2] = float_to_bf16(k[d]);
}

/* Values lie in pairs of tokens: two that come together are stored together. */
V_INLINE void put_values(uint8_t *plane, const float *v, const float *next, int64_t head_dim,
                         int64_t token) {
  uint16_t *to = (uint16_t *)plane + token / 2 * ((head_dim + 31) / 32 * 64) + token % 2;
  int64_t d = 0;
  for (; next && d + 16 <= head_dim; d += 16) {
    vi low = vf_round_bf16(vf_load(v + d)), high = vf_round_bf16(vf_load(next + d));
    vi_store(to + d * 2, vi_or(low, vi_shl(high, 16)));
  }
  for (; d < head_dim; d++) {
    to[d * 2] = float_to_bf16(v[d]);
    if (next) to[d * 2 + 1] = float_to_bf16(next[d]);
  }
}

/* Queries in place; keys and values into their planes. */
void v_rope(const rope_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  int64_t plane = (a->head_dim + 31) / 32 * 32 * 32; /* bytes */
  int64_t end = min64(a->rows, (unit + 1) * a->rows_per_unit);
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    float *q = a->queries + row * a->query_stride;
    for (int64_t h = 0; h < a->query_heads; h++) {
      rotate(q + h * a->head_dim, a->head_dim, a->query_gain, a->epsilon, a->angles[row]);
    }
    int64_t token = a->positions[row] % 16;
    for (int64_t h = 0; h < a->heads; h++) {
      float *k = a->keys + row * a->key_stride + h * a->head_dim;
      rotate(k, a->head_dim, a->key_gain, a->epsilon, a->angles[row]);
      put_key(a->cache + a->planes[row] + h * plane, k, a->head_dim, token);
    }
  }
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    const float *v = a->values + row * a->value_stride;
    int64_t position = a->positions[row], at = a->planes[row] + a->heads * plane;
    int pair = position % 2 == 0 && row + 1 < end && a->planes[row + 1] == a->planes[row] &&
               a->positions[row + 1] == position + 1;
    for (int64_t h = 0; h < a->heads; h++, v += a->head_dim) {
      put_values(a->cache + at + h * plane, v, pair ? v + a->value_stride : 0, a->head_dim,
                 position % 16);
    }
    row += pair;
  }
}
