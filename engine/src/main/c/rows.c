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
    for (int64_t g = 0; g < a->out.groups; g++) {
      float part[GROUP] = {0}, gain[GROUP] = {0};
      size_t bytes = (size_t)min64(GROUP, a->columns - g * GROUP) * sizeof(float);
      memcpy(part, x + g * GROUP, bytes);
      vf low = vf_load(part), high = vf_load(part + 16);
      if (a->gain) {
        memcpy(gain, a->gain + g * GROUP, bytes);
        low = vf_mul(vf_mul(low, vf_set(factor)), vf_load(gain));
        high = vf_mul(vf_mul(high, vf_set(factor)), vf_load(gain + 16));
      }
      operand_write(&a->out, to, g, low, high);
    }
  }
}

V_INLINE float weight_at(const uint8_t *group, int64_t format, int lane, int column) {
  if (format == W_BF16) {
    return bf16_to_float(((const uint16_t *)group)[(column / 2 * TILE + lane) * 2 + column % 2]);
  }
  if (format == W_INT8) {
    const uint16_t *scales = (const uint16_t *)(group + INT8_GROUP_BYTES - 64);
    int w = group[(column / 4 * TILE + lane) * 4 + column % 4] - 128;
    return (float)w * bf16_to_float(scales[lane]);
  }
  const uint16_t *scales = (const uint16_t *)(group + INT4_GROUP_BYTES - 64);
  int byte = group[(column / 4 * 16 + lane % 16) * 4 + column % 4];
  int w = (lane < 16 ? byte & 15 : byte >> 4) - 8;
  return (float)w * bf16_to_float(scales[lane]);
}

/* Rows of a packed matrix, taken out of their tiles. */
void v_embed(const embed_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  int64_t groups = (a->columns + GROUP - 1) / GROUP;
  int64_t bytes = a->format == W_BF16 ? BF16_GROUP_BYTES
                                      : a->format == W_INT8 ? INT8_GROUP_BYTES : INT4_GROUP_BYTES;
  int64_t end = min64(a->rows, (unit + 1) * a->rows_per_unit);
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    int64_t token = a->tokens[row];
    const uint8_t *tile = a->table + token / TILE * groups * bytes;
    float *to = a->out + row * a->out_stride;
    for (int64_t i = 0; i < a->columns; i++) {
      to[i] = weight_at(tile + i / GROUP * bytes, a->format, (int)(token % TILE), (int)(i % GROUP));
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

/*
 * Queries in place; keys and values into their planes. A key goes to headDim / 2 cache lines, 4
 * bytes each, which attention reads in full right afterwards.
 */
void v_rope(const rope_args *a, int32_t unit, int32_t worker) {
  (void)worker;
  int64_t plane = (a->head_dim + 31) / 32 * 32 * 32; /* bytes */
  int64_t pad = (a->head_dim + 31) / 32 * 32;
  int64_t end = min64(a->rows, (unit + 1) * a->rows_per_unit);
  for (int64_t row = unit * a->rows_per_unit; row < end; row++) {
    float *q = a->queries + row * a->query_stride;
    for (int64_t h = 0; h < a->query_heads; h++) {
      rotate(q + h * a->head_dim, a->head_dim, a->query_gain, a->epsilon, a->angles[row]);
    }
    int64_t token = a->positions[row] % 16;
    for (int64_t h = 0; h < a->heads; h++) {
      float *k = a->keys + row * a->key_stride + h * a->head_dim;
      const float *v = a->values + row * a->value_stride + h * a->head_dim;
      rotate(k, a->head_dim, a->key_gain, a->epsilon, a->angles[row]);
      uint16_t *keys = (uint16_t *)(a->cache + a->planes[row] + h * plane);
      uint16_t *values = (uint16_t *)(a->cache + a->planes[row] + (a->heads + h) * plane);
      for (int64_t d = 0; d < a->head_dim; d++) {
        keys[(d / 2 * 16 + token) * 2 + d % 2] = float_to_bf16(k[d]);
        values[(token / 2 * pad + d) * 2 + token % 2] = float_to_bf16(v[d]);
      }
    }
  }
}
