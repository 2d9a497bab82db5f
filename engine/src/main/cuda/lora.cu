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
constexpr int EXPAND_THREADS = 128;
constexpr int EXPAND_ROWS = 8;     // that a block of expand adds up at a time
constexpr int EXPAND_COLUMNS = 2;  // of a thread, EXPAND_THREADS apart
constexpr int EXPAND_OUTPUTS = EXPAND_COLUMNS * EXPAND_THREADS;

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

// A lane's part of 256 columns of one row of x.
struct Piece {
  const void* operand;
  int operandRows, column0, padded, t;
  uint4 words[STEPS];

  DEVICE Piece(const void* from, int rowsPad, int column, int columns, int lane)
      : operand(from), operandRows(rowsPad), column0(column), padded(columns), t(lane) {}

  // Zeros where there is no row (-1) or column.
  DEVICE void load(int row) {
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      int column = column0 + i * STEP;
      words[i] = row >= 0 && column < padded ? operand16(operand, operandRows, row, column + t * 8) : make_uint4(0, 0, 0, 0);
    }
  }
};

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
  if (static_cast<int>(blockIdx.x) >= counts[0]) return pdl_wait();
  Tile tile(tiles, blockIdx.x);
  Entry entry(slots, slotBytes, tile.slot, firstEntry + part);
  if (rank0 >= entry.rank) return pdl_wait();
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
  int rows[TILE_ROWS / 8];  // of this lane's token in each eighth, -1 for none
#pragma unroll
  for (int i = 0; i < TILE_ROWS / 8; i++) rows[i] = i * 8 + g < tile.rows ? order[tile.first + i * 8 + g] : -1;
  pdl_wait();
  Piece x(operand, operandRows, column0, padded, t);
  x.load(rows[0]);
#pragma unroll
  for (int eighth = 0; eighth < TILE_ROWS / 8; eighth++) {
    if (eighth * 8 >= tile.rows) break;
    Piece next = x;
    if (eighth + 1 < TILE_ROWS / 8) next.load(rows[eighth + 1]);
    float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < STEPS; i++) multiply(d, low[i], high[i], x.words[i]);
    int token = eighth * 8 + t * 2;
    partial[warp][token][g] = d[0];
    partial[warp][token + 1][g] = d[1];
    partial[warp][token][g + 8] = d[2];
    partial[warp][token + 1][g + 8] = d[3];
    x = next;
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

// A thread's columns of a part: sixteen ranks of them, and what they come to for the rows of a block.
struct Columns {
  float sums[EXPAND_ROWS][EXPAND_COLUMNS];
  const uint4* b;  // of the first
  int pieces;      // of 8 ranks
  int left;        // outputs of the part from the first on
  int loaded = -1; // the first rank of `factors`
  uint4 factors[EXPAND_COLUMNS][RANKS / 8];

  DEVICE Columns(const Entry& entry, int output, int outputs)
      : b(entry.b + static_cast<int64_t>(output) * ((entry.rank + 7) / 8)), pieces((entry.rank + 7) / 8), left(outputs - output) {}

  DEVICE void clear() {
#pragma unroll
    for (int row = 0; row < EXPAND_ROWS; row++) {
#pragma unroll
      for (int c = 0; c < EXPAND_COLUMNS; c++) sums[row][c] = 0.0f;
    }
  }

  // What is not there counts as zeros.
  DEVICE void load(int rank) {
    if (rank == loaded) return;
    loaded = rank;
#pragma unroll
    for (int c = 0; c < EXPAND_COLUMNS; c++) {
      const uint4* column = b + static_cast<int64_t>(c) * EXPAND_THREADS * pieces;
#pragma unroll
      for (int i = 0; i < RANKS / 8; i++) {
        int piece = rank / 8 + i;
        factors[c][i] = piece < pieces && c * EXPAND_THREADS < left ? column[piece] : make_uint4(0, 0, 0, 0);
      }
    }
  }

  // Sixteen ranks, four at a time; s is [rows][16] in shared memory.
  DEVICE void multiply(const float (*s)[RANKS]) {
#pragma unroll
    for (int i = 0; i < RANKS / 4; i++) {
      float four[EXPAND_COLUMNS][4];
#pragma unroll
      for (int c = 0; c < EXPAND_COLUMNS; c++) {
        const uint4& piece = factors[c][i / 2];
        uint32_t low = i % 2 ? piece.z : piece.x, high = i % 2 ? piece.w : piece.y;
        four[c][0] = low_to_float(low);
        four[c][1] = high_to_float(low);
        four[c][2] = low_to_float(high);
        four[c][3] = high_to_float(high);
      }
#pragma unroll
      for (int row = 0; row < EXPAND_ROWS; row++) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
          float factor = s[row][i * 4 + r];
#pragma unroll
          for (int c = 0; c < EXPAND_COLUMNS; c++) sums[row][c] = __fmaf_rn(four[c][r], factor, sums[row][c]);
        }
      }
    }
  }
};

// Segments' sums, `stride` floats apart, in ascending order; four are on their way at once.
DEVICE float sum_of(const float* from, int segments, int stride) {
  constexpr int AT_ONCE = 4;
  float sum = from[0];
  for (int first = 1; first < segments; first += AT_ONCE) {
    float next[AT_ONCE];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) next[i] = first + i < segments ? from[(first + i) * stride] : 0.0f;
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      if (first + i < segments) sum = __fadd_rn(sum, next[i]);
    }
  }
  return sum;
}

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
    first = block * EXPAND_OUTPUTS;
  }

  DEVICE static int blocks(int rows) { return (rows + EXPAND_OUTPUTS - 1) / EXPAND_OUTPUTS; }
};

}  // namespace lora

// out += scale * B s for the rows of one tile, eight at a time, and 256 outputs. With `gate`, for the epilogue of a gated product
// (matmul.cuh): `out` is [places][outStride], written and not added to, its columns in the order of the weights' rows, eight of the gate
// and the eight of up that go with them; rows0 = rows1 and the columns that fill up the last eight are zeros.
// Grid (tiles, blocks of 256 outputs of each part, 1 to 4 blocks that share a tile's rows), 128 threads. Bytes a block: 512 * rank of B,
// 2 KB a row read and written. What a thread adds to is on its way while the block adds up its rows' segments: read one after another,
// each behind the write of the last, the rows would be as many trips to L2.
KERNEL_BOUNDS(lora_expand, lora::EXPAND_THREADS, 4, float* out, int outStride, int gate, const void* slots, long long slotBytes,
              int firstEntry, int parts, int rows0, int rows1, int rows2, int rankTiles, int segments, const int* counts,
              const int* order, const int* tiles, const float* sums) {
  using namespace lora;
  SHARED float s[EXPAND_ROWS][RANKS];
  SHARED int lines[EXPAND_ROWS];
  pdl_launch();
  if (static_cast<int>(blockIdx.x) >= counts[0]) return pdl_wait();
  Outputs outputs(rows0, rows1, rows2);
  Tile tile(tiles, blockIdx.x);
  int row0 = blockIdx.z * EXPAND_ROWS;
  Entry entry(slots, slotBytes, tile.slot, firstEntry + outputs.part);
  if (row0 >= tile.rows || (entry.rank == 0 && gate == 0)) return pdl_wait();
  int output = outputs.first + threadIdx.x;
  Columns columns(entry, output, outputs.count);
  columns.load(0);
  int count = gate ? (outputs.count + 7) / 8 * 8 : outputs.count;
  int before = rows0 * (outputs.part > 0) + rows1 * (outputs.part > 1);
  float* to = out + (gate ? output / 8 * 16 + outputs.part * 8 + output % 8 : before + output);
  int apart = EXPAND_THREADS * (gate ? 2 : 1);  // of a thread's columns in `out`
  pdl_wait();
  for (; row0 < tile.rows; row0 += gridDim.z * EXPAND_ROWS) {
    int first = tile.first + row0;
    int rows = min(tile.rows - row0, EXPAND_ROWS);
    __syncthreads();  // all are done with the rows before
    if (threadIdx.x < rows) lines[threadIdx.x] = gate ? first + threadIdx.x : order[first + threadIdx.x];
    __syncthreads();
    float present[EXPAND_ROWS][EXPAND_COLUMNS];
#pragma unroll
    for (int row = 0; row < EXPAND_ROWS; row++) {
#pragma unroll
      for (int c = 0; c < EXPAND_COLUMNS; c++) {
        bool isAdded = gate == 0 && row < rows && output + c * EXPAND_THREADS < count;
        present[row][c] = isAdded ? to[static_cast<int64_t>(lines[row]) * outStride + c * apart] : 0.0f;
      }
    }
    columns.clear();
    for (int rank = 0; rank < entry.rank; rank += RANKS) {
      columns.load(rank);
      __syncthreads();  // all are done with the ranks before
      if (threadIdx.x < EXPAND_ROWS * RANKS) {
        int row = threadIdx.x / RANKS, r = rank + threadIdx.x % RANKS;
        const float* from = sums + sums_at(first + row, outputs.part, parts, 0, segments, rankTiles * RANKS) + r;
        bool isSum = row < rows && r < entry.rank;
        s[row][threadIdx.x % RANKS] = isSum ? __fmul_rn(sum_of(from, segments, rankTiles * RANKS), entry.scale) : 0.0f;
      }
      __syncthreads();
      columns.multiply(s);
    }
#pragma unroll
    for (int row = 0; row < EXPAND_ROWS; row++) {
      if (row >= rows) break;
      float* line = to + static_cast<int64_t>(lines[row]) * outStride;
#pragma unroll
      for (int c = 0; c < EXPAND_COLUMNS; c++) {
        float sum = columns.sums[row][c];
        if (output + c * EXPAND_THREADS < count) line[c * apart] = gate ? sum : __fadd_rn(present[row][c], sum);
      }
    }
  }
}
