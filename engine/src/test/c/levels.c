/*
 * Prints a hash of what each kernel computes from fixed inputs. Levels that widen bfloat16 (AVX2,
 * NEON) must print the same, and every level the same first row for any number of rows; levels.sh
 * compares them, NEON under emulation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../main/c/verdier.h"

enum { OUTPUTS = 70, ROWS = 40, TOKENS = 150 };
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

static int64_t groups_of(int64_t columns, int64_t format) {
  return format == W_BF16 ? (columns + GROUP - 1) / GROUP : (columns + STEP - 1) / STEP * 2;
}

static uint8_t *packed(pack_part *parts, int64_t gated, int64_t columns, int64_t format, int64_t tiles) {
  static const int64_t group_bytes[] = {BF16_GROUP_BYTES, INT8_STEP_BYTES / 2, INT4_GROUP_BYTES};
  static const int64_t block_bytes[] = {0, SCALES_BYTES, SCALES_BYTES + FACTORS_BYTES};
  int64_t groups = groups_of(columns, format), blocks = (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
  int64_t bytes = tiles * (groups * group_bytes[format] + blocks * block_bytes[format]);
  uint8_t *to = zeros(bytes);
  pack_args pack = {parts, 1 + gated, gated, to, format, groups};
  for (int32_t tile = 0; tile < tiles; tile++) v_pack(&pack, tile, 0);
  printf("format %d columns %d packed %016lx\n", (int)format, (int)columns, hash(to, bytes));
  return to;
}

static operand panels(int64_t rows, int64_t columns, int64_t format) {
  int64_t groups = groups_of(columns, format), blocks = (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
  int64_t row_bytes = format == W_BF16 ? groups * BF16_ROW_BYTES : blocks * INT8_ROW_BYTES;
  return (operand){zeros(rows * row_bytes), rows, groups, format == W_BF16 ? O_BF16 : O_INT8};
}

static void multiply(matmul_args *a, int64_t tiles_per_unit) {
  int64_t slices = (v_panels(a->in.format, a->in.rows) + 1) / 2;
  a->tiles_per_unit = tiles_per_unit;
  a->panels_per_unit = 2;
  a->scratch = zeros(v_matmul_scratch(a->in.rows, tiles_per_unit));
  for (int32_t unit = 0; unit < (a->tiles + tiles_per_unit - 1) / tiles_per_unit * slices; unit++) {
    v_matmul(a, unit, 0);
  }
  free(a->scratch);
}

/* Products, and the gated one followed by a product of its result, which has an odd group. */
static void products(int64_t columns, int64_t format) {
  float *weights = random_floats(columns * OUTPUTS), *inputs = random_floats(ROWS * columns);
  pack_part part = {(const uint8_t *)weights, 2, OUTPUTS, columns, columns * 4};
  pack_part both[] = {part, {(const uint8_t *)inputs, 2, OUTPUTS / 2, columns, columns * 4}};
  both[0].source_rows = OUTPUTS / 2;
  int64_t tiles = (OUTPUTS + TILE - 1) / TILE;
  uint8_t *matrix = packed(&part, 0, columns, format, tiles);
  uint8_t *gate_up = packed(both, 1, columns, format, 4);
  part.columns = OUTPUTS / 2, part.row_bytes = OUTPUTS / 2 * 4;
  uint8_t *down = packed(&part, 0, OUTPUTS / 2, format, tiles);
  for (int64_t rows = 1; rows <= ROWS; rows++) {
    operand in = panels(rows, columns, format), gated = panels(rows, OUTPUTS / 2, format);
    rows_args convert = {in, inputs, columns, columns, 0, 0, rows};
    v_rows(&convert, 0, 0);
    float *out = zeros(4 * rows * OUTPUTS), *last = zeros(4 * rows * OUTPUTS);
    matmul_args a = {.in = in, .weight = matrix, .format = format, .tiles = tiles, .out = out,
                     .out_stride = OUTPUTS, .out_columns = OUTPUTS};
    multiply(&a, 2);
    matmul_args b = {.in = in, .weight = gate_up, .format = format, .tiles = 4, .epilogue = GATE, .gated = gated};
    multiply(&b, 16);
    a.in = gated, a.weight = down, a.out = last;
    multiply(&a, 2);
    printf("format %d columns %d rows %2d: all %016lx %016lx first %016lx %016lx\n", (int)format,
           (int)columns, (int)rows, hash(out, 4 * rows * OUTPUTS), hash(last, 4 * rows * OUTPUTS),
           hash(out, 4 * OUTPUTS), hash(last, 4 * OUTPUTS));
    free(in.data), free(gated.data), free(out), free(last);
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
  static const int64_t columns[] = {100, 600, 2400};
  for (int i = 0; i < 3; i++) {
    for (int64_t format = W_BF16; format <= W_INT4; format++) products(columns[i], format);
  }
  attention();
  return 0;
}
