// Low-rank additions of adapters (Hu et al., "LoRA", 2021): out[row] += scale * B (A x[row]) with the A, B and scale of the row's
// adapter. Many adapters in one batch cost what their rows cost (Chen et al., "Punica", 2023): the host sorts the rows that have one by
// adapter and cuts them into tiles of up to 32 rows; every block works on one tile.
//
// What a row gets depends on the row and its adapter alone, one order for every batch:
//   shrink   s[r] = A[r] . x: pieces of 256 columns, each from zero by mma in steps of 16 columns; four pieces are one segment, added in
//            ascending order, and the segments' sums in ascending order by who reads them. No atomics.
//   expand   scale * s[r] times B[o][r], one chain of fused multiply-adds over ascending r, from zero; then one addition to the output.
//
// A slot holds one adapter: first an entry for each adapted part of each product, then the matrices, row-major bf16, as long as their own
// rank makes them, so that a low rank costs no more than its own bytes.
//   entry   rank | scale (f32) | A at | B at, in 16 bytes from the slot's beginning     4 ints; rank 0: this part is not adapted
//   A       [rank][columns rounded up to 64, zeros]
//   B       [part's rows][rank rounded up to 8, zeros]
// What the host says of a batch: counts[0] tiles; order[] rows that have an adapter, by adapter; places[row] where a row is in `order`, or
// -1; tiles[][4] slot | first in `order` | rows | 0.
#include "verdier.cuh"

namespace lora {

constexpr int TILE_ROWS = 32;
constexpr int SEGMENT = 1024;  // columns of a block of shrink
constexpr int WARPS = 4;
constexpr int PIECE = SEGMENT / WARPS;
constexpr int STEP = 32;  // columns of a lane's 16 bytes, all four lanes of a row
constexpr int STEPS = PIECE / STEP;
constexpr int RANKS = 16;  // rows of A in a tile of mma, ranks that expand takes at a time
constexpr int EXPAND_THREADS = 256;

struct Tile {
  int slot, first, rows;

  DEVICE Tile(const int* tiles, int index)
      : slot(tiles[index * 4]), first(tiles[index * 4 + 1]), rows(tiles[index * 4 + 2]) {}
};

struct Entry {
  int rank;
  float scale;
  const uint4* a;
  const uint4* b;

  DEVICE Entry(const void* slots, long long slotBytes, int slot, int index) {
    const uint4* at = reinterpret_cast<const uint4*>(static_cast<const char*>(slots) + slot * slotBytes);
    uint4 words = at[index];
    rank = static_cast<int>(words.x);
    scale = __uint_as_float(words.y);
    a = at + words.z;
    b = at + words.w;
  }
};

// Where the sums of one row, part and segment lie: [places][parts][segments][ranks].
DEVICE int64_t sums_at(int place, int part, int parts, int segment, int segments, int ranks) {
  return ((static_cast<int64_t>(place) * parts + part) * segments + segment) * ranks;
}

// A lane's 16 bytes of row `row` of an operand from column `column` on.
DEVICE uint4 operand16(const void* operand, int rowsPad, int row, int column) {
  return *reinterpret_cast<const uint4*>(operand_at(operand, rowsPad, row, column));
}

// The columns of a step are dealt to the two mma so that a lane's registers are 16 neighbouring bytes of a row, of A as of x: lane
// (g, t) has columns 8t.. of the step, the first mma its columns 0 1 | 2 3, the second 4 5 | 6 7.
DEVICE void multiply(float (&sums)[4], const uint4& low, const uint4& high, const uint4& x) {
  const uint32_t first[4] = {low.x, high.x, low.y, high.y};
  const uint32_t second[4] = {low.z, high.z, low.w, high.w};
  mma16816(sums, first, x.x, x.y);
  mma16816(sums, second, x.z, x.w);
}

}  // namespace lora

// s = A x for the rows of one tile, 16 ranks, one segment of columns; 8 tokens an mma.
// Grid (tiles, parts * rank tiles, segments of 1024 columns), 128 threads. sums: f32, see sums_at. Bytes a block: 32 KB of A, as much a
// row of x from L2. A's come before pdl_wait: adapters do not change while a step runs.
KERNEL_BOUNDS(lora_shrink, 128, 1, const void* operand, int operandRows, int columns, const void* slots, long long slotBytes,
              int firstEntry, int parts, int rankTiles, const int* counts, const int* order, const int* tiles, float* sums) {
  using namespace lora;
  SHARED float partial[WARPS][TILE_ROWS][RANKS];
  pdl_launch();
  int part = static_cast<int>(blockIdx.y) / rankTiles;
  int rank0 = static_cast<int>(blockIdx.y) % rankTiles * RANKS;
  bool isTile = static_cast<int>(blockIdx.x) < counts[0];
  Tile tile(tiles, isTile ? blockIdx.x : 0);
  Entry entry(slots, slotBytes, isTile ? tile.slot : 0, firstEntry + part);
  if (!isTile || rank0 >= entry.rank) {
    pdl_wait();
    return;
  }
  int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  int stride = (columns + 63) / 64 * 8;  // of A, in 16 bytes
  int column0 = blockIdx.z * SEGMENT + warp * PIECE;
  int padded = stride * 8;
  const uint4 none = make_uint4(0, 0, 0, 0);
  uint4 low[STEPS], high[STEPS];
#pragma unroll
  for (int i = 0; i < STEPS; i++) {
    int at = (column0 + i * STEP) / 8 + t;
    bool isColumn = column0 + i * STEP < padded;
    low[i] = isColumn && rank0 + g < entry.rank ? entry.a[static_cast<int64_t>(rank0 + g) * stride + at] : none;
    high[i] = isColumn && rank0 + g + 8 < entry.rank ? entry.a[static_cast<int64_t>(rank0 + g + 8) * stride + at] : none;
  }
  pdl_wait();
#pragma unroll
  for (int eighth = 0; eighth < TILE_ROWS / 8; eighth++) {
    if (eighth * 8 >= tile.rows) break;
    int inTile = eighth * 8 + g;
    bool isRow = inTile < tile.rows;
    int row = isRow ? order[tile.first + inTile] : 0;
    uint4 x[STEPS];
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      int column = column0 + i * STEP;
      x[i] = isRow && column < padded ? operand16(operand, operandRows, row, column + t * 8) : none;
    }
    float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < STEPS; i++) multiply(d, low[i], high[i], x[i]);
    int token = eighth * 8 + t * 2;
    partial[warp][token][g] = d[0];
    partial[warp][token + 1][g] = d[1];
    partial[warp][token][g + 8] = d[2];
    partial[warp][token + 1][g + 8] = d[3];
  }
  __syncthreads();
  int ranks = rankTiles * RANKS;
  for (int i = threadIdx.x; i < tile.rows * RANKS; i += blockDim.x) {
    int token = i / RANKS, r = i % RANKS;
    float sum = partial[0][token][r];
#pragma unroll
    for (int w = 1; w < WARPS; w++) sum = __fadd_rn(sum, partial[w][token][r]);
    sums[sums_at(tile.first + token, part, parts, blockIdx.z, gridDim.z, ranks) + rank0 + r] = sum;
  }
}

namespace lora {

// One column of a part for all rows of a tile.
struct Column {
  float sums[TILE_ROWS];
  const uint4* b;  // of this column
  int pieces;      // of 8 ranks
  uint4 next[2];   // the ranks that are multiplied next

  // What is not there counts as zeros.
  DEVICE Column(const Entry& entry, int output, bool isReal) {
#pragma unroll
    for (int i = 0; i < TILE_ROWS; i++) sums[i] = 0.0f;
    pieces = isReal ? (entry.rank + 7) / 8 : 0;
    b = entry.b + static_cast<int64_t>(output) * pieces;
    load(0);
  }

  DEVICE void load(int rank) {
#pragma unroll
    for (int i = 0; i < 2; i++) next[i] = rank / 8 + i < pieces ? b[rank / 8 + i] : make_uint4(0, 0, 0, 0);
  }

  // Sixteen ranks; s is [rows][16] in shared memory.
  DEVICE void multiply(const float (*s)[RANKS], int rows) {
    uint32_t words[8] = {next[0].x, next[0].y, next[0].z, next[0].w, next[1].x, next[1].y, next[1].z, next[1].w};
    float factors[RANKS];
#pragma unroll
    for (int i = 0; i < 8; i++) {
      factors[2 * i] = low_to_float(words[i]);
      factors[2 * i + 1] = high_to_float(words[i]);
    }
#pragma unroll
    for (int row = 0; row < TILE_ROWS; row++) {
      if (row >= rows) break;
#pragma unroll
      for (int r = 0; r < RANKS; r++) sums[row] = __fmaf_rn(factors[r], s[row][r], sums[row]);
    }
  }
};

// Blocks of a part's outputs, and which of them a block has: blockIdx.y runs over all parts' blocks.
struct Outputs {
  int part, first, count;

  DEVICE Outputs(int rows0, int rows1, int rows2) {
    int block = blockIdx.y;
    count = rows0;
    part = 0;
    if (block >= blocks(rows0)) {
      block -= blocks(rows0);
      count = rows1;
      part = 1;
      if (block >= blocks(rows1)) {
        block -= blocks(rows1);
        count = rows2;
        part = 2;
      }
    }
    first = block * EXPAND_THREADS;
  }

  DEVICE static int blocks(int rows) { return (rows + EXPAND_THREADS - 1) / EXPAND_THREADS; }
};

}  // namespace lora

// out += scale * B s for the rows of one tile and 256 outputs. With `gate`, for the epilogue of a gated product (matmul.cuh): `out` is
// [places][outStride], written and not added to, its columns in the order of the weights' rows, eight of the gate and the eight of up that
// go with them; rows0 = rows1 and the columns that fill up the last eight are zeros.
// Grid (tiles, blocks of 256 outputs of each part), 256 threads. Bytes a block: 512 * rank of B, 2 KB a row read and written.
KERNEL_BOUNDS(lora_expand, lora::EXPAND_THREADS, 2, float* out, int outStride, int gate, const void* slots, long long slotBytes,
              int firstEntry, int parts, int rows0, int rows1, int rows2, int rankTiles, int segments, const int* counts,
              const int* order, const int* tiles, const float* sums) {
  using namespace lora;
  SHARED float s[TILE_ROWS][RANKS];
  pdl_launch();
  Outputs outputs(rows0, rows1, rows2);
  bool isTile = static_cast<int>(blockIdx.x) < counts[0];
  Tile tile(tiles, isTile ? blockIdx.x : 0);
  Entry entry(slots, slotBytes, isTile ? tile.slot : 0, firstEntry + outputs.part);
  if (!isTile || (entry.rank == 0 && gate == 0)) {
    pdl_wait();
    return;
  }
  int output = outputs.first + threadIdx.x;
  Column column(entry, output, output < outputs.count);
  pdl_wait();
  for (int rank = 0; rank < entry.rank; rank += RANKS) {
    __syncthreads();  // all are done with the ranks before
    for (int i = threadIdx.x; i < tile.rows * RANKS; i += EXPAND_THREADS) {
      int r = rank + i % RANKS;
      const float* from = sums + sums_at(tile.first + i / RANKS, outputs.part, parts, 0, segments, rankTiles * RANKS) + r;
      float sum = r < entry.rank ? from[0] : 0.0f;
      for (int segment = 1; segment < segments && r < entry.rank; segment++) sum = __fadd_rn(sum, from[segment * rankTiles * RANKS]);
      s[i / RANKS][i % RANKS] = __fmul_rn(sum, entry.scale);
    }
    __syncthreads();
    column.multiply(s, tile.rows);
    column.load(rank + RANKS);
  }
  int columns = gate ? (outputs.count + 7) / 8 * 8 : outputs.count;
  if (output >= columns) return;
  int before = rows0 * (outputs.part > 0) + rows1 * (outputs.part > 1);
  int at = gate ? output / 8 * 16 + outputs.part * 8 + output % 8 : before + output;
#pragma unroll
  for (int row = 0; row < TILE_ROWS; row++) {
    if (row >= tile.rows) break;
    int to = gate ? tile.first + row : order[tile.first + row];
    float* sum = out + static_cast<int64_t>(to) * outStride + at;
    *sum = gate ? column.sums[row] : __fadd_rn(*sum, column.sums[row]);
  }
}
