/*
 * What Java and the kernels agree on: formats, argument blocks, entry points.
 *
 * Java owns memory, shapes and threads; C owns loops. A call is one unit of a job:
 *
 *     void v_xxx(const xxx_args *args, int32_t unit, int32_t worker)
 *
 * Units of a job are independent, any thread may run any of them, and what is written depends, to
 * the bit, only on the row it belongs to: not on how many rows there are, nor on the unit, nor on
 * which micro-kernel a row count selects. Every output is one chain of operations in the order of
 * the columns, and no reassociation is allowed (-ffp-contract=off, no -ffast-math).
 *
 * Every field of an argument block takes 8 bytes, so that Java can fill it by index.
 */
#ifndef VERDIER_H
#define VERDIER_H

#include <stddef.h>
#include <stdint.h>

#define V_API __attribute__((visibility("default")))
#define V_INLINE static inline __attribute__((always_inline))

/* Raised whenever a layout or an argument block changes; Java refuses another number. */
#define V_ABI 6

/*
 * Raised whenever a matrix would be packed to other bytes than before, be it by a layout or by a
 * rounding: packed weights are kept in files, which name this number.
 */
#define V_LAYOUT 2

/*
 * Rows of a weight matrix in a tile; columns in a group, in a step (what one tile instruction takes
 * in bytes) and in a block (what shares one scale): the units of all layouts.
 */
enum { TILE = 32, GROUP = 32, STEP = 64, BLOCK = 256, BLOCK_GROUPS = BLOCK / GROUP };

/*
 * Weights lie in tiles of 32 rows x all columns, rows in lanes, columns padded with zeros to whole
 * groups (bf16) or steps (int8, int4): one sequential stream per tile. S steps in a block: 4, fewer
 * in the last one.
 *
 *   BF16   group = [16 column pairs][32 rows][2] bf16                                  16 bits
 *   INT8   block = [32 rows] bf16 scale, [S] x [16 column quads][32 rows][4] u8      8.06 bits
 *          each w + 128
 *   INT4   block = [32 rows] bf16 scale, [8 groups][32 rows] s8 factor,              4.31 bits
 *                  [2 S groups] x [8 column quads][16 lanes][4] bytes
 *          low nibble: rows 0..15, high nibble: rows 16..31, each w + 8
 *
 * An INT4 weight is (nibble - 8) * factor * scale, and factor is in -15 .. 16: so nibble - 8 times
 * factor fits in a byte, and a whole block of either format is one exact sum of integers, scaled
 * once (Lin et al., "QServe", 2024, has the idea for one level of scales more).
 */
enum { W_BF16 = 0, W_INT8 = 1, W_INT4 = 2 };
enum {
  SCALES_BYTES = 2 * TILE,
  FACTORS_BYTES = BLOCK_GROUPS * TILE,
  BF16_GROUP_BYTES = 2 * TILE * GROUP,
  INT8_STEP_BYTES = TILE * STEP,
  INT4_GROUP_BYTES = TILE * GROUP / 2
};

/*
 * Inputs of multiplications (operands) lie in panels of up to PANEL rows (see lanes.h); the rows of
 * an operand are dealt out as evenly as possible, so that 13 rows are 7 + 6 and not 12 + 1. Blocks
 * of columns come first, [blocks][panels]: what all rows have of some columns is one piece of
 * memory, and no two panels of it fall on the same lines of a cache.
 *
 *   bf16   [groups][R rows][32] bf16                                           64 bytes a row, group
 *   int8   [4 steps][R rows][64] s8, [R] f32 scale, [R] s32 sum of the block,
 *          [R][8] s32 sum of each group, unused                               320 bytes a row, block
 */
enum { O_BF16 = 0, O_INT8 = 1 };
enum { BF16_ROW_BYTES = 64, INT8_ROW_BYTES = 320 };

typedef struct {
  uint8_t *data;
  int64_t rows;   /* rows in use, which decide the panels */
  int64_t groups; /* of 32 columns; even for int8 */
  int64_t format;
} operand;

/* What becomes of a product. */
enum { STORE = 0, ADD = 1, GATE = 2 };

typedef struct {
  operand in;
  const uint8_t *weight;
  const float *start; /* [tiles * 32] bias, or null */
  int64_t format;     /* of the weight */
  const int32_t *first_tiles; /* [unit / slices], and behind the last tile: what units begin with */
  int64_t panels_per_unit;    /* slices: panels / this, rounded up */
  int64_t epilogue;
  float *out; /* STORE, ADD: first row */
  int64_t out_stride;
  int64_t out_columns;
  operand gated; /* GATE */
  uint8_t *scratch;
  int64_t scratch_bytes; /* per worker */
  const float *addend;   /* GATE: what adapters add to gate and up, [places][out_columns]; or null */
  const int32_t *places; /* [rows] of the input in it, -1 for none */
} matmul_args;

/* What a part of an adapter adds to a few rows, whose places lie side by side; CpuLoraImage.java draws a and b. */
typedef struct {
  int64_t first; /* place */
  int64_t count; /* of places */
  int64_t low;   /* row of low that is the first place's */
  int64_t column; /* first output */
  int64_t rank;
  int64_t outputs;
  double scale;
  const uint16_t *a;
  const uint16_t *b;
} lora_piece;

typedef struct {
  operand in;
  const lora_piece *pieces;
  const int32_t *rows; /* [places] of the input */
  float *out;          /* first row */
  int64_t out_stride;
  int64_t by_place; /* whether out has a row for each place, and not for each row of the input */
  float *low;       /* [places of all pieces][low_stride] */
  int64_t low_stride;
  int64_t slices;   /* units of a piece */
  int64_t per_unit; /* shrink: ranks; expand: tiles of 16 outputs */
} lora_args;

typedef struct {
  operand out;
  const float *in;
  int64_t in_stride;
  int64_t columns;
  const float *gain; /* [columns]; null: only convert */
  double epsilon;
  int64_t rows_per_unit;
} rows_args;

typedef struct {
  float *out;
  int64_t out_stride;
  int64_t columns;
  const uint8_t *table;
  int64_t format;
  const int32_t *tokens;
  int64_t rows;
  int64_t rows_per_unit;
} embed_args;

/*
 * The KV cache is bfloat16. A block of 16 n tokens holds all layers, so that it can be copied out
 * whole; a plane is one head's keys or values of 16 tokens.
 *
 *   block   [layers][n][keys | values][heads] planes
 *   keys    [headDim / 2 pairs][16 tokens][2]        a score kernel reads it in order
 *   values  [8 token pairs][headPad][2]              a value kernel reads it in order
 *
 * headPad: headDim rounded up to 32, so that both planes have headPad * 32 bytes.
 */
typedef struct {
  float *queries;
  int64_t query_stride;
  float *keys;
  int64_t key_stride;
  const float *values;
  int64_t value_stride;
  int64_t rows;
  int64_t rows_per_unit;
  int64_t query_heads;
  int64_t heads;
  int64_t head_dim;
  const float *query_gain; /* [headDim] or null */
  const float *key_gain;
  double epsilon;
  const float *const *angles; /* [rows] -> [cosines headDim / 2 | sines headDim / 2] */
  uint8_t *cache;
  const int64_t *planes; /* [rows] byte offset of the first key plane of the row's token group */
  const int32_t *positions;
} rope_args;

typedef struct {
  operand out;
  float *plain; /* where out cannot be written by heads: f32 instead; else null */
  int64_t plain_stride;
  const float *queries;
  int64_t query_stride;
  int64_t query_heads;
  int64_t heads;
  int64_t head_dim;
  double scale;
  int64_t window;
  const int32_t *positions; /* [rows] */
  int64_t heads_per_unit;    /* divides heads */
  const int32_t *tile_first; /* [tiles] first row of a run of tokens of one sequence */
  const int32_t *tile_count;
  const int64_t *tile_table; /* index of the run's block table in tables */
  const int32_t *tables;
  const uint8_t *cache;
  int64_t block_tokens;
  int64_t block_bytes;
  int64_t layer_offset; /* bytes from a block's begin to the layer's */
  uint8_t *scratch;
  int64_t scratch_bytes;
} attend_args;

typedef struct {
  const uint8_t *source; /* row-major */
  int64_t source_type;   /* 0 bf16, 1 f16, 2 f32 */
  int64_t source_rows;
  int64_t columns;
  int64_t row_bytes; /* from row to row: more than a row has where it is some columns of a wider one */
} pack_part;

typedef struct {
  const pack_part *parts;
  int64_t part_count;
  int64_t gated; /* two parts, interleaved: 16 rows of the first, then 16 of the second in a tile */
  uint8_t *target;
  int64_t format;
  int64_t groups;
} pack_args;

typedef struct {
  const uint8_t *data;
  int64_t bytes_per_unit;
  int64_t rounds;
  int64_t kind;
  double *sink; /* [workers * 8] */
} probe_args;

V_API int32_t v_abi(void);
V_API int32_t v_layout(void);
V_API int32_t v_prepare(void); /* 0 if this process may use the level */
V_API int64_t v_panels(int64_t operand_format, int64_t rows);
V_API int64_t v_matmul_scratch(int64_t rows, int64_t tiles);
V_API int64_t v_attend_scratch(int64_t rows, int64_t head_dim);
V_API void v_matmul(const matmul_args *args, int32_t unit, int32_t worker);
V_API void v_lora_shrink(const lora_args *args, int32_t unit, int32_t worker);
V_API void v_lora_expand(const lora_args *args, int32_t unit, int32_t worker);
V_API void v_rows(const rows_args *args, int32_t unit, int32_t worker);
V_API void v_embed(const embed_args *args, int32_t unit, int32_t worker);
V_API void v_rope(const rope_args *args, int32_t unit, int32_t worker);
V_API void v_attend(const attend_args *args, int32_t unit, int32_t worker);
V_API void v_pack(const pack_args *args, int32_t unit, int32_t worker);
V_API void v_probe(const probe_args *args, int32_t unit, int32_t worker);

/* Asks memory for so many lines, into the second-level cache; reads nothing, so any address will do. */
V_API void v_ask(const void *first, int32_t lines, int32_t worker);

#endif
