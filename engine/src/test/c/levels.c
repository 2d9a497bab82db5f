/*
 * Prints a hash of what each kernel computes from fixed inputs. Levels that widen bfloat16 (AVX2,
 * NEON) must print the same, and every level the same first row for any number of rows; levels.sh
 * compares them, NEON under emulation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../main/c/verdier.h"

enum { COLUMNS = 100, OUTPUTS = 70, ROWS = 20, TOKENS = 150 };
enum { HEADS = 2, QUERY_HEADS = 6, HEAD_DIM = 64, BLOCKS = 12, TABLE = 12 };

static float next(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return (float)(int32_t)state / 2147483648.0f;
}

static unsigned long hash(const void *data, int64_t bytes) { /* FNV-1a */
  unsigned long h = 1469598103934665603ul;
  for (int64_t i = 0; i < bytes; i++) h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211ul;
  return h;
}

static void *zeros(int64_t bytes) {
  size_t whole = (size_t)(bytes + 8191) / 64 * 64; /* kernels ask for lines behind the end */
  return memset(aligned_alloc(64, whole), 0, whole);
}

static float *random_floats(int64_t count) {
  float *x = zeros(4 * count);
  for (int64_t i = 0; i < count; i++) x[i] = next();
  return x;
}

static void products(const float *weights, const float *inputs, int64_t format) {
  static const int64_t group_bytes[] = {BF16_GROUP_BYTES, INT8_GROUP_BYTES, INT4_GROUP_BYTES};
  int64_t groups = (COLUMNS + GROUP - 1) / GROUP, tiles = (OUTPUTS + TILE - 1) / TILE;
  uint8_t *packed = zeros(tiles * groups * group_bytes[format]);
  pack_part part = {(const uint8_t *)weights, 2, OUTPUTS, COLUMNS};
  pack_args pack = {&part, 1, 0, packed, format, groups};
  for (int32_t tile = 0; tile < tiles; tile++) v_pack(&pack, tile, 0);
  printf("format %d packed %016lx\n", (int)format, hash(packed, tiles * groups * group_bytes[format]));
  for (int64_t rows = 1; rows <= ROWS; rows++) {
    operand in = {zeros(rows * groups * BF16_ROW_BYTES), rows, groups, format == W_BF16 ? O_BF16 : O_INT8};
    rows_args convert = {in, inputs, COLUMNS, COLUMNS, 0, 0, rows};
    v_rows(&convert, 0, 0);
    float *out = zeros(4 * rows * OUTPUTS);
    matmul_args a = {.in = in, .weight = packed, .format = format, .tiles = tiles,
                     .tiles_per_unit = 2, .panels_per_unit = 2, .out = out,
                     .out_stride = OUTPUTS, .out_columns = OUTPUTS,
                     .scratch = zeros(v_matmul_scratch(groups, rows))};
    int64_t slices = (v_panels(in.format, rows) + 1) / 2;
    for (int32_t unit = 0; unit < (tiles + 1) / 2 * slices; unit++) v_matmul(&a, unit, 0);
    printf("format %d rows %2d: all %016lx first %016lx\n", (int)format, (int)rows,
           hash(out, 4 * rows * OUTPUTS), hash(out, 4 * OUTPUTS));
  }
}

static void attention(void) {
  int64_t plane = HEAD_DIM * 32, block = 2 * HEADS * plane;
  uint8_t *cache = zeros(block * BLOCKS);
  float *q = random_floats(TOKENS * QUERY_HEADS * HEAD_DIM);
  float *k = random_floats(TOKENS * HEADS * HEAD_DIM);
  float *v = random_floats(TOKENS * HEADS * HEAD_DIM);
  float angles[HEAD_DIM];
  int64_t planes[TOKENS];
  int32_t positions[TOKENS], table[TABLE];
  const float *by_row[TOKENS];
  for (int i = 0; i < HEAD_DIM; i++) angles[i] = i < HEAD_DIM / 2 ? 0.8f : 0.6f;
  for (int i = 0; i < TABLE; i++) table[i] = BLOCKS - 1 - i;
  for (int i = 0; i < TOKENS; i++) {
    planes[i] = table[i / 16] * block;
    positions[i] = i;
    by_row[i] = angles;
  }
  rope_args rope = {q, QUERY_HEADS * HEAD_DIM, k, HEADS * HEAD_DIM, v, HEADS * HEAD_DIM, TOKENS,
                    TOKENS, QUERY_HEADS, HEADS, HEAD_DIM, 0, 0, 0, by_row, cache, planes, positions};
  v_rope(&rope, 0, 0);
  printf("cache %016lx\n", hash(cache, block * BLOCKS));
  int32_t first[] = {0, 7, 100}, count[] = {7, 93, 50};
  int64_t tables[] = {0, 0, 0};
  for (int64_t window = 0; window < 80; window += 37) {
    operand out = {zeros(TOKENS * QUERY_HEADS * HEAD_DIM * 2), TOKENS, QUERY_HEADS * HEAD_DIM / GROUP, O_BF16};
    attend_args a = {.out = out, .queries = q, .query_stride = QUERY_HEADS * HEAD_DIM,
                     .query_heads = QUERY_HEADS, .heads = HEADS, .head_dim = HEAD_DIM,
                     .scale = 0.125, .window = window, .positions = positions,
                     .tile_first = first, .tile_count = count, .tile_table = tables,
                     .tables = table, .cache = cache, .block_tokens = 16, .block_bytes = block,
                     .scratch = zeros(v_attend_scratch(93 * 3, HEAD_DIM))};
    for (int32_t unit = 0; unit < 3 * HEADS; unit++) v_attend(&a, unit, 0);
    printf("window %d %016lx\n", (int)window, hash(out.data, TOKENS * QUERY_HEADS * HEAD_DIM * 2));
  }
}

int main(void) {
  if (v_prepare() != 0) return 1;
  float *weights = random_floats(COLUMNS * OUTPUTS), *inputs = random_floats(ROWS * COLUMNS);
  for (int64_t format = W_BF16; format <= W_INT4; format++) products(weights, inputs, format);
  attention();
  return 0;
}
