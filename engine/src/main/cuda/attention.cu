// Paged causal attention: storing rotated keys and values, and attending in two ways that give the same bits.
//
// THE ORDER. A query row sees the keys begin..position (begin is 0, or position - window + 1). Keys are cut into chunks
// of 64 by absolute position, and every chunk is worked out by itself, for one row as follows:
//
//   s[key] = sum over dimensions of q * k       mma.m16n8k16, ascending dimensions, f32 from zero; unseen keys: -inf
//   top    = max s,  m = top * scale            scale = softmax scale * log2(e), so that weights are powers of two
//   p[key] = 2^(s * scale - m)                  one fused multiply-add, one ex2
//   l      = sum of p                           neighbours in a thread, its 8 pairs in order, then lanes t^1, t^2
//   o[d]   = sum over keys of bf16(p) * v       mma.m16n8k16, ascending tokens, f32 from zero
//
// and folded into the row's state (M, L, O), from (-inf, 0, 0), in ascending order of chunks:
//
//   M' = max(M, m)   a = 2^(M - M')   b = 2^(m - M')   O = fma(o, b, O * a)   L = fma(l, b, L * a)
//
// The result is O * (1 / L). Nothing else enters: not the other rows of a tile, not where a tile begins, not who
// computes which chunk. (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al.,
// "FlashAttention", 2022; here chunks have an absolute place and are never merged before their turn.) A chunk of which
// a row sees nothing has m = -inf, o = l = +0 and is folded with a = 1, b = -0, which leaves every bit, that of a
// negative zero too.
//
// WHO. attend_prefill works a tile of 64 or 128 rows chunk by chunk and folds in registers. attend_decode works a tile
// of 16 rows: one block takes a run of chunks; when that run is all of them it folds in registers as well, otherwise it
// writes every chunk's (m, l, o), and the tile's block that is the last to have done so folds them all; of a long
// context attend_fold does, which shares the rows out among blocks. A tile's rows are (token, query head of the group)
// pairs, token first, so that a group's heads share one reading of keys and values.
//
// LAYOUTS (HD: head dimension rounded up to 32, 64, 96, 128 or 256; padding is zero)
//   queries  bf16 [rows][heads][HD], each 32 dimensions in fragment order: what a lane holds of an A fragment, 16 bytes
//   cache    bf16 or e4m3, per layer [block][kvHead][keys: blockTokens * HD | values: blockTokens * HD]. 16 tokens are
//            the unit of addressing: keys [token/8][dim/32][lane][8], values [token/16][dim/16][lane][8], 16 * HD each
//   result   the matmul operand (verdier.cuh), column = head * headDim + d
//
// E4M3. Keys and values are rounded to nearest when they are stored, with a scale of 1 (448 is the largest), and are
// exactly bf16 again before they meet a tensor core: the order above and all that follows are the same. An element has
// the place that it has in bf16, but for two bits: of a lane's eight bytes, 0 2 | 1 3 | 4 6 | 5 7 are its four registers,
// as e4m3_bytes_to_bf16 leaves them.
//
// GARBAGE. Cache slots that a tile may not see can hold anything, NaN included: their scores are replaced (not
// multiplied), their values are cleared before they meet a weight of zero, and groups of 16 tokens that no row of the
// tile sees are not read at all, so that block tables need no entry for them.
//
// WORK LISTS, filled by the host once per step, 8 ints a record, 16-byte aligned; counts[2], [4] and [5] say how many
// are valid, grids may be larger, and the lists then as long as the grids. Kernels read counts, lists, tables, positions
// and slots before pdl_wait: no kernel of the step may write them.
//   tiles  (prefill) row, position, tokens, table                    tokens <= rows of a tile / group
//   items  (decode)  row, position, tokens, table, firstChunk, chunks, partial, items     tokens <= 16 / group
//   folds            row, position, partial, tileRows, firstChunk    a row of a tile whose `items` is negative
// row: first batch row of the tile; position: of that row; table: index in `tables` of the sequence's first block. An
// item's `partial` is -1 where the item covers all chunks of its tile, else the index of the record of its firstChunk,
// kvHead 0, tile row 0; `items` is how many the tile has, negative where attend_fold folds: a fold's `partial` is the
// record of its row with chunk `firstChunk`, kvHead 0, head 0 of the group. Records of a tile lie
// [chunk][kvHead][tileRows], tileRows = tokens * group, chunk 0 first. `arrivals` counts a tile's items that are
// done, for each kv head, at the tile's row: int [rows][kvHeads], zero before and after every kernel, which lets a
// captured graph be repeated.
#include "verdier.cuh"

namespace attention {

constexpr int CHUNK = 64;     // keys
constexpr int TILES = 8;      // key tiles of an mma in a chunk
constexpr int GROUPS = 4;     // 16-token groups in a chunk
constexpr int RECORD = 8;     // ints of a record in a work list
constexpr int NO_WINDOW = 0x7fffffff;
constexpr unsigned ALL = 0xffffffffu;

constexpr int COUNT_ROWS = 0;
constexpr int COUNT_TILES = 2;
constexpr int COUNT_ITEMS = 4;
constexpr int COUNT_FOLDS = 5;

DEVICE float unseen() { return __uint_as_float(0xff800000u); }  // -inf

// ---------------------------------------------------------------------------------------------------------------------
// Layout
// ---------------------------------------------------------------------------------------------------------------------

// Place of a dimension among its 32 when lane t of a quad holds 2t 2t+1 | 2t+8 .. | 2t+16 .. | 2t+24 ..
DEVICE int fragment_place(int d) { return (d & ~31) + ((d & 6) << 2) + ((d & 24) >> 2) + (d & 1); }

// Element offsets in a head's keys and values of one block.
DEVICE int key_place(int token, int d, int paddedDim) {
  return (token >> 3) * 8 * paddedDim + (d >> 5) * 256 + (token & 7) * 32 + fragment_place(d & 31);
}

DEVICE int value_place(int token, int d, int paddedDim) {
  int lane = (d & 7) * 4 + ((token & 7) >> 1);
  int reg = ((d & 8) >> 2) + ((token & 8) >> 3);
  return (token >> 4) * 16 * paddedDim + (d >> 4) * 256 + lane * 8 + reg * 2 + (token & 1);
}

// What the cache holds: eight elements are what a lane has of a fragment, a Piece.
struct Bf16 {
  typedef bf16 Element;
  typedef uint4 Piece;

  // Of an element, from its place in bf16.
  DEVICE static int place(int place) { return place; }

  DEVICE static bf16 of(float x) { return from_float_rn(x); }

  DEVICE static Piece load(const bf16* from) { return load_stream(reinterpret_cast<const uint4*>(from)); }

  // As registers of a fragment.
  DEVICE static uint4 wide(Piece piece) { return piece; }

  DEVICE static Piece chosen(bool first, Piece a, Piece b) {
    return make_uint4(first ? a.x : b.x, first ? a.y : b.y, first ? a.z : b.z, first ? a.w : b.w);
  }

  // Puts a token's value into a piece of its lane: first is dimension n, second n + 8.
  DEVICE static void put(Piece& piece, bool here, int token, bf16 first, bf16 second) {
    const uint32_t kept = token & 1 ? 0xffffu : 0xffff0000u;
    const int shift = token & 1 ? 16 : 0;
    const bool low = here && !(token & 8), high = here && (token & 8);
    uint32_t x = static_cast<uint32_t>(bf16_bits(first)) << shift;
    uint32_t z = static_cast<uint32_t>(bf16_bits(second)) << shift;
    piece.x = low ? (piece.x & kept) | x : piece.x;
    piece.y = high ? (piece.y & kept) | x : piece.y;
    piece.z = low ? (piece.z & kept) | z : piece.z;
    piece.w = high ? (piece.w & kept) | z : piece.w;
  }

  // Clears those of a value piece's tokens that lie outside [begin, end); first: token 2t of the group.
  DEVICE static void clear_unseen(Piece& v, int first, int begin, int end) {
    uint32_t low = (first >= begin && first < end ? 0xffffu : 0) |
                   (first + 1 >= begin && first + 1 < end ? 0xffff0000u : 0);
    uint32_t high = (first + 8 >= begin && first + 8 < end ? 0xffffu : 0) |
                    (first + 9 >= begin && first + 9 < end ? 0xffff0000u : 0);
    v.x &= low;
    v.y &= high;
    v.z &= low;
    v.w &= high;
  }
};

struct E4m3 {
  typedef uint8_t Element;
  typedef uint2 Piece;

  DEVICE static int place(int place) { return (place & ~3) | (place & 1) << 1 | (place & 2) >> 1; }

  DEVICE static uint8_t of(float x) { return e4m3_from_float(x); }

  DEVICE static Piece load(const uint8_t* from) { return load_stream(reinterpret_cast<const uint2*>(from)); }

  DEVICE static uint4 wide(Piece piece) {
    uint4 v;
    e4m3_bytes_to_bf16(piece.x, v.y, v.x);
    e4m3_bytes_to_bf16(piece.y, v.w, v.z);
    return v;
  }

  DEVICE static Piece chosen(bool first, Piece a, Piece b) {
    return make_uint2(first ? a.x : b.x, first ? a.y : b.y);
  }

  DEVICE static void put(Piece& piece, bool here, int token, uint8_t first, uint8_t second) {
    const int shift = (token & 1) * 16 + (token & 8);
    const uint32_t kept = ~(0xffu << shift);
    piece.x = here ? (piece.x & kept) | static_cast<uint32_t>(first) << shift : piece.x;
    piece.y = here ? (piece.y & kept) | static_cast<uint32_t>(second) << shift : piece.y;
  }

  DEVICE static void clear_unseen(Piece& v, int first, int begin, int end) {
    uint32_t kept = (first >= begin && first < end ? 0xffu : 0) |
                    (first + 1 >= begin && first + 1 < end ? 0xff0000u : 0) |
                    (first + 8 >= begin && first + 8 < end ? 0xff00u : 0) |
                    (first + 9 >= begin && first + 9 < end ? 0xff000000u : 0);
    v.x &= kept;
    v.y &= kept;
  }
};

// Where a sequence's keys and values lie for one kv head: 16-token groups by number, a block's keys before its values.
template <class Cache>
struct Pages {
  typedef typename Cache::Element Element;

  const Element* cache;
  const int* table;   // block ids
  int head;
  int heads;
  int groups;         // 16-token groups per block

  // Number of a chunk's group lane%4, or -1 where no token of it is in [begin, end).
  DEVICE int group(int chunk, int begin, int end) const {
    int index = chunk * GROUPS + (threadIdx.x & 3);
    return index * 16 >= end || index * 16 + 16 <= begin ? -1 : number(index);
  }

  // index: of a group among the sequence's
  DEVICE int number(int index) const {
    int inTable = index / groups;
    return (table[inTable] * heads + head) * 2 * groups + (index - inTable * groups);
  }

  template <int HD>
  DEVICE const Element* keys(int group) const {
    return cache + static_cast<int64_t>(group) * (16 * HD);
  }

  template <int HD>
  DEVICE const Element* values(int group) const {
    return cache + static_cast<int64_t>(group + groups) * (16 * HD);
  }
};

// ---------------------------------------------------------------------------------------------------------------------
// The arithmetic of one row, the same text for every kernel
// ---------------------------------------------------------------------------------------------------------------------

// A row's scores become weights relative to this.
DEVICE float shift_of(float top, float scale) { return top == unseen() ? 0.0f : __fmul_rn(top, scale); }

DEVICE float weight(float score, float scale, float shift) { return exp2_fast(__fmaf_rn(score, scale, -shift)); }

// Maximum and sum over the four lanes of a quad, which hold one row.
DEVICE float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(ALL, x, 1));
  return fmaxf(x, __shfl_xor_sync(ALL, x, 2));
}

DEVICE float quad_sum(float x) {
  x = __fadd_rn(x, __shfl_xor_sync(ALL, x, 1));
  return __fadd_rn(x, __shfl_xor_sync(ALL, x, 2));
}

// Factors of one fold; takes the chunk's maximum into the row's.
DEVICE void fold_factors(float& rowMax, float chunkMax, float& a, float& b) {
  float before = rowMax;
  rowMax = fmaxf(before, chunkMax);
  bool seen = chunkMax != unseen();
  a = seen ? exp2_fast(__fsub_rn(before, rowMax)) : 1.0f;
  b = seen ? exp2_fast(__fsub_rn(chunkMax, rowMax)) : -0.0f;
}

DEVICE float fold(float state, float chunk, float a, float b) { return __fmaf_rn(chunk, b, __fmul_rn(state, a)); }

DEVICE float inverse(float total) { return __fdiv_rn(1.0f, total); }

DEVICE float finish(float sum, float inverseTotal) { return __fmul_rn(sum, inverseTotal); }

DEVICE bool sees(int last, int key, int window) {
  return static_cast<unsigned>(last - key) < static_cast<unsigned>(window);
}

// First key that a position sees.
DEVICE int first_seen(int position, int window) { return position >= window ? position - window + 1 : 0; }

// Queries as attention reads them; present: whether the row exists, absent ones are zero.
struct Queries {
  const bf16* vectors;  // [rows][heads][HD]
  int row;
  int kvHead;
  int heads;
  int group;
  int tileRows;

  template <int HD>
  DEVICE uint4 piece(int tileRow, int d32, int t) const {
    if (tileRow >= tileRows) return make_uint4(0, 0, 0, 0);
    int token = tileRow / group;
    int64_t vector = static_cast<int64_t>(row + token) * heads + kvHead * group + tileRow - token * group;
    return *reinterpret_cast<const uint4*>(vectors + vector * HD + d32 * 32 + t * 8);
  }

  // The A fragments of the two k16 steps of 32 dimensions, rows tileRow + g and + 8 + g: to[0], to[32] of each lane.
  template <int HD>
  DEVICE void fragments(uint4* to, int tileRow, int d32) const {
    int lane = threadIdx.x & 31;
    uint4 upper = piece<HD>(tileRow + (lane >> 2), d32, lane & 3);
    uint4 lower = piece<HD>(tileRow + (lane >> 2) + 8, d32, lane & 3);
    to[lane] = make_uint4(upper.x, lower.x, upper.y, lower.y);
    to[lane + 32] = make_uint4(upper.z, lower.z, upper.w, lower.w);
  }
};

DEVICE void load_fragment(uint32_t (&a)[4], const uint4* from) {
  uint4 v = *from;
  a[0] = v.x;
  a[1] = v.y;
  a[2] = v.z;
  a[3] = v.w;
}

// One head's columns in one row of the operand.
struct Result {
  char* row;        // of the operand's first 64 columns
  int64_t chunk;    // bytes from 64 columns to the next
  int exchange;     // the row's low bits, which exchange its 16-byte pieces
  int column;       // of dimension 0
  int headDim;

  // Two neighbouring dimensions, the first even.
  DEVICE void put(int d, float x, float y) const {
    int k = column + d;
    char* to = row + (k >> 6) * chunk + ((((k >> 3) & 7) ^ exchange) << 4) + (k & 7) * 2;
    if (d < headDim) *reinterpret_cast<uint32_t*>(to) = pack2(x, y);
  }

  // The zero columns behind the last head, by the lanes of a quad.
  DEVICE void pad(int heads) const {
    int columns = heads * headDim;
    if (column + headDim != columns) return;
    for (int k = columns + (threadIdx.x & 3) * 2; k < ((columns + 63) & ~63); k += 8) {
      *reinterpret_cast<uint32_t*>(row + (k >> 6) * chunk + ((((k >> 3) & 7) ^ exchange) << 4) + (k & 7) * 2) = 0;
    }
  }
};

DEVICE Result result_of(void* operand, int rowsPad, int row, int head, int headDim) {
  return {static_cast<char*>(operand) + static_cast<int64_t>(row) * 128, static_cast<int64_t>(rowsPad) * 128, row & 7,
          head * headDim, headDim};
}

// ---------------------------------------------------------------------------------------------------------------------
// Rotation, head norm, storing: one warp per head of a row
// ---------------------------------------------------------------------------------------------------------------------

// Pair j of a lane is dimensions i = lane + 32 j and i + half of a head; PAIRS = 4 has room for 256 dimensions.
template <int PAIRS>
struct Angles {
  float2 of[PAIRS];  // (cos, sin)

  // position: its row in the table
  DEVICE void load(const float2* position, int half) {
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      int i = (threadIdx.x & 31) + 32 * j;
      of[j] = i < half ? position[i] : make_float2(1.0f, 0.0f);
    }
  }
};

// Places of dimensions in fragment order, 32-dimension pieces `step` elements apart: 32 for a query, 256 for a token's
// row of an 8-token key tile.
template <class Cache>
struct InPieces {
  int step;

  DEVICE int operator()(int d) const { return Cache::place((d >> 5) * step + fragment_place(d & 31)); }
};

// Places of a row's dimensions among the A fragments of a tile of 16 rows.
struct InTile {
  int row;

  DEVICE int operator()(int d) const {
    int place = fragment_place(d & 31);
    int pair = (place & 7) >> 1;  // of a lane's four, two for each k16 step; rows r and r + 8 lie side by side
    return ((d >> 5) * 2 + (pair >> 1)) * 256 + ((row & 7) * 4 + (place >> 3)) * 8 + ((pair & 1) * 2 + (row >> 3)) * 2 +
           (place & 1);
  }
};

// A head in registers.
template <int PAIRS>
struct Head {
  float low[PAIRS];
  float high[PAIRS];
  int lane;
  int half;

  DEVICE explicit Head(int headDim) : lane(threadIdx.x & 31), half(headDim / 2) {}

  DEVICE void load(const float* from) {
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      int i = lane + 32 * j;
      low[j] = i < half ? from[i] : 0.0f;
      high[j] = i < half ? from[i + half] : 0.0f;
    }
  }

  // x / sqrt(mean(x^2) + epsilon) * gain; squares sum by pairs of a lane, then lanes by halves. No gain, no norm.
  DEVICE void norm(const float* gain, float epsilon) {
    if (gain == nullptr) return;
    float squares = 0.0f;
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      squares = __fmaf_rn(low[j], low[j], squares);
      squares = __fmaf_rn(high[j], high[j], squares);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) squares = __fadd_rn(squares, __shfl_xor_sync(ALL, squares, step));
    float mean = __fdiv_rn(squares, static_cast<float>(2 * half));
    float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      int i = lane + 32 * j;
      if (i < half) {
        low[j] = __fmul_rn(__fmul_rn(low[j], factor), gain[i]);
        high[j] = __fmul_rn(__fmul_rn(high[j], factor), gain[i + half]);
      }
    }
  }

  // (x, y) becomes (x cos - y sin, y cos + x sin).
  DEVICE void rotate(const Angles<PAIRS>& angles) {
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      float2 angle = angles.of[j];
      float x = low[j], y = high[j];
      low[j] = __fmaf_rn(x, angle.x, -__fmul_rn(y, angle.y));
      high[j] = __fmaf_rn(y, angle.x, __fmul_rn(x, angle.y));
    }
  }

  // As Bf16 or E4m3, zero where a head ends before paddedDim.
  template <class Format, class Place>
  DEVICE void store(typename Format::Element* to, int paddedDim, Place place) const {
#pragma unroll
    for (int j = 0; j < PAIRS; j++) {
      int i = lane + 32 * j;
      if (i < half) {
        to[place(i)] = Format::of(low[j]);
        to[place(i + half)] = Format::of(high[j]);
      }
    }
    for (int d = 2 * half + lane; d < paddedDim; d += 32) to[place(d)] = Format::of(0.0f);
  }
};

// A token's number of 16-token group, as Pages counts them. slot: block * blockTokens + place in the block.
DEVICE int64_t group_of_slot(int slot, int kvHead, int kvHeads, int blockTokens) {
  int64_t block = slot / blockTokens;
  return (block * kvHeads + kvHead) * 2 * (blockTokens / 16) + slot % blockTokens / 16;
}

template <class Element>
DEVICE Element* key_slot(Element* cache, int64_t group, int token, int paddedDim) {
  return cache + group * 16 * paddedDim + key_place(token & 15, 0, paddedDim);
}

// Of the group's first token and dimension.
template <class Element>
DEVICE Element* value_slots(Element* cache, int64_t group, int blockTokens, int paddedDim) {
  return cache + (group + blockTokens / 16) * 16 * paddedDim;
}

template <class Cache>
DEVICE void store_value(typename Cache::Element* slots, int token, int d, int paddedDim, float value) {
  slots[Cache::place(value_place(token & 15, d, paddedDim))] = Cache::of(value);
}

// Arguments of the entry points.
template <class Cache>
DEVICE void rotate_store(const float* projected, int stride, bf16* queries, typename Cache::Element* cache,
                         const float2* table, const float* queryGain, const float* keyGain, float epsilon,
                         const int* counts, const int* positions, const int* slots, int heads, int kvHeads,
                         int headDim, int paddedDim, int blockTokens) {
  typedef typename Cache::Element Element;
  pdl_launch();
  const int row = blockIdx.x;
  const int vector = blockIdx.y * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= counts[COUNT_ROWS] || vector >= heads + 2 * kvHeads) {
    pdl_wait();
    return;
  }
  const int slot = slots[row];
  const int token = slot % blockTokens;
  Angles<4> angles;
  angles.load(table + static_cast<int64_t>(positions[row]) * (headDim / 2), headDim / 2);
  pdl_wait();
  const float* from = projected + static_cast<int64_t>(row) * stride + vector * headDim;
  if (vector >= heads + kvHeads) {
    int64_t group = group_of_slot(slot, vector - heads - kvHeads, kvHeads, blockTokens);
    Element* to = value_slots(cache, group, blockTokens, paddedDim);
    for (int d = threadIdx.x & 31; d < paddedDim; d += 32) {
      store_value<Cache>(to, token, d, paddedDim, d < headDim ? from[d] : 0.0f);
    }
    return;
  }
  Head<4> head(headDim);
  head.load(from);
  bool isQuery = vector < heads;
  head.norm(isQuery ? queryGain : keyGain, epsilon);
  head.rotate(angles);
  if (isQuery) {
    head.template store<Bf16>(queries + (static_cast<int64_t>(row) * heads + vector) * paddedDim, paddedDim,
                              InPieces<Bf16>{32});
  } else {
    int64_t group = group_of_slot(slot, vector - heads, kvHeads, blockTokens);
    head.template store<Cache>(key_slot(cache, group, token, paddedDim), paddedDim, InPieces<Cache>{256});
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Fold of a tile's partial results, by a block of HD threads
// ---------------------------------------------------------------------------------------------------------------------

// Whether this block is the last of `items` to come here; it then sees what all of them had written before the barrier
// ahead of this. All threads.
DEVICE bool arrives_last(int* arrivals, int items) {
  bool last = false;
  if (threadIdx.x == 0) {
    last = arrive(arrivals) == items - 1;
    if (last) *arrivals = 0;
  }
  return __syncthreads_or(last) != 0;
}

// A thread folds four dimensions of a row at a time. What it reads comes through a ring in shared memory that is its
// own, so that several groups of chunks are under way and nobody waits for anybody. The lanes of a group have one row;
// each works out the factors of one of its chunks: the row's maximum before and behind a chunk is a running maximum,
// which may be computed in any order. Only the sums are one chain, of a multiplication and a fused multiply-add a chunk.
// What bounds long contexts is how much a multiprocessor has under way: records lie in L2, half a microsecond off.
template <int HD>
struct Fold {
  static constexpr int AHEAD = HD == 256 ? 8 : 16;
  static constexpr int GROUP = AHEAD / 2;  // chunks, and lanes that share their factors; a row has a multiple of them
  static constexpr int ROUNDS = 4;         // groups whose (m, l) are under way
  static constexpr int ROW_PIECES = HD / 4;

  float4 (*ring)[HD];    // [AHEAD][thread], shared
  const float* sums;     // of the first chunk: the thread's four dimensions
  const float2* states;  // of the first chunk: the row
  int step;              // records from one chunk to the next
  int chunks;

  DEVICE static int place() { return static_cast<int>(threadIdx.x) % GROUP; }

  // From this lane, so far below or above; the lanes of a group alone.
  DEVICE static float of_lane(float x, int lane) {
    const int first = static_cast<int>(threadIdx.x & 31) & ~(GROUP - 1);
    return __shfl_sync(((1u << GROUP) - 1) << first, x, first + lane);
  }

  DEVICE void fetch(int group) const {
#pragma unroll
    for (int i = 0; i < GROUP; i++) {
      int chunk = group + i;
      if (chunk < chunks) cp_async16(&ring[chunk % AHEAD][threadIdx.x], sums + static_cast<int64_t>(chunk * step) * HD);
    }
    cp_async_commit();
  }

  // (m, l) of this lane's chunk.
  DEVICE float2 state(int group) const {
    return group + place() < chunks ? states[(group + place()) * step] : make_float2(unseen(), 0.0f);
  }

  // The factors of this lane's chunk; takes the maxima of the group's chunks into the row's.
  DEVICE static void factors(float& rowMax, float chunkMax, float& a, float& b) {
    float running = chunkMax;
#pragma unroll
    for (int distance = 1; distance < GROUP; distance *= 2) {
      float other = of_lane(running, max(place() - distance, 0));
      if (place() >= distance) running = fmaxf(running, other);
    }
    float ahead = of_lane(running, max(place() - 1, 0));
    float before = place() == 0 ? rowMax : fmaxf(rowMax, ahead);
    rowMax = fmaxf(rowMax, of_lane(running, GROUP - 1));
    fold_factors(before, chunkMax, a, b);
  }

  // The finished sums.
  DEVICE float4 run() const {
    float rowMax = unseen(), total = 0.0f;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 1
    for (int group = 0; group < AHEAD; group += GROUP) fetch(group);
    float2 coming[ROUNDS];
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) coming[i] = state(i * GROUP);
#pragma unroll 1
    for (int group = 0; group < chunks; group += GROUP) {
      const float2 now = coming[0];
#pragma unroll
      for (int i = 1; i < ROUNDS; i++) coming[i - 1] = coming[i];
      coming[ROUNDS - 1] = state(group + ROUNDS * GROUP);
      float a, b;
      factors(rowMax, now.x, a, b);
      cp_async_wait<AHEAD / GROUP - 1>();
#pragma unroll
      for (int i = 0; i < GROUP; i++) {
        float4 o = ring[(group + i) % AHEAD][threadIdx.x];
        if (group + i >= chunks) o = make_float4(0.0f, 0.0f, 0.0f, 0.0f);  // changes nothing: see THE ORDER
        const float aOf = of_lane(a, i), bOf = of_lane(b, i);
        total = fold(total, of_lane(now.y, i), aOf, bOf);
        sum.x = fold(sum.x, o.x, aOf, bOf);
        sum.y = fold(sum.y, o.y, aOf, bOf);
        sum.z = fold(sum.z, o.z, aOf, bOf);
        sum.w = fold(sum.w, o.w, aOf, bOf);
      }
      fetch(group + AHEAD);
    }
    float inverseTotal = inverse(total);
    return make_float4(finish(sum.x, inverseTotal), finish(sum.y, inverseTotal), finish(sum.z, inverseTotal),
                       finish(sum.w, inverseTotal));
  }
};

// ---------------------------------------------------------------------------------------------------------------------
// Decode: 16 rows, a block of HD threads per item and kv head
// ---------------------------------------------------------------------------------------------------------------------

// One warp per 32 dimensions. Of a chunk, each warp scores its share of the keys for all rows; the weights go through
// shared memory; each warp then sums its 32 dimensions of the values. So every warp reads 8 KB of a chunk (8 or 9 times
// 16 bytes a lane of keys, 8 of values), no byte is read twice, and nothing waits for the weights but the last
// products. The next chunk's keys are asked for as soon as this one's are used up, and so are the values: with four
// blocks on a multiprocessor there are 64 to 128 KB under way.
template <int HD, class Cache>
struct Decode {
  typedef typename Cache::Element Element;
  typedef typename Cache::Piece Piece;

  static constexpr int WARPS = HD / 32;
  static constexpr int OWN = (TILES + WARPS - 1) / WARPS;  // key tiles of a warp
  static constexpr int PIECES = HD / 32;                   // 16-byte pieces of a key row a lane

  uint4 (*queries)[2][32];    // [dim/32][k16 step][lane]: A fragments, shared
  float (*maxima)[16];        // [warp][row], shared
  uint2 (*weights)[32][2];    // [16-key group][lane][its two tiles]: A fragments, shared
  float2 (*pairs)[32];        // [tile][lane] sums of two neighbouring weights of rows g, g+8, shared

  int warp;
  int lane;
  Piece k[OWN][PIECES];
  Piece v[GROUPS][2];

  DEVICE void load_keys(const Pages<Cache>& pages, int units) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int tile = warp * OWN + i;
      int unit = __shfl_sync(ALL, units, (tile >> 1) & 3);
      bool present = tile < TILES && unit >= 0;
      const Element* from = pages.template keys<HD>(unit) + (tile & 1) * (8 * HD) + lane * 8;
#pragma unroll
      for (int d = 0; d < PIECES; d++) {
        k[i][d] = Piece{};
        if (present) k[i][d] = Cache::load(from + d * 256);
      }
    }
  }

  DEVICE void load_values(const Pages<Cache>& pages, int units) {
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
      int unit = __shfl_sync(ALL, units, j);
      const Element* from = pages.template values<HD>(unit) + warp * 512 + lane * 8;
#pragma unroll
      for (int h = 0; h < 2; h++) {
        v[j][h] = Piece{};
        if (unit >= 0) v[j][h] = Cache::load(from + h * 256);
      }
    }
  }

  // Scores of the warp's keys, rows g (0, 1) and g + 8 (2, 3).
  DEVICE void scores(float (&s)[OWN][4]) const {
#pragma unroll
    for (int d = 0; d < PIECES; d++) {
      uint32_t first[4], second[4];
      load_fragment(first, &queries[d][0][lane]);
      load_fragment(second, &queries[d][1][lane]);
      uint4 key[OWN];
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        key[i] = Cache::wide(k[i][d]);
        if (d == 0) {
          mma16816_first(s[i], first, key[i].x, key[i].y);
        } else {
          mma16816(s[i], first, key[i].x, key[i].y);
        }
      }
#pragma unroll
      for (int i = 0; i < OWN; i++) mma16816(s[i], second, key[i].z, key[i].w);
    }
  }

  DEVICE bool owns(int i) const { return TILES % WARPS == 0 || warp * OWN + i < TILES; }

  // position: of the tile's first row.
  DEVICE void hide(float (&s)[OWN][4], int chunk, int tileRows, int group, int position, int window) const {
    int g = lane >> 2;
    int last0 = g < tileRows ? position + g / group : -1;  // last key that the row sees
    int last1 = g + 8 < tileRows ? position + (g + 8) / group : -1;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int key = chunk * CHUNK + (warp * OWN + i) * 8 + (lane & 3) * 2;
      s[i][0] = sees(last0, key, window) ? s[i][0] : unseen();
      s[i][1] = sees(last0, key + 1, window) ? s[i][1] : unseen();
      s[i][2] = sees(last1, key, window) ? s[i][2] : unseen();
      s[i][3] = sees(last1, key + 1, window) ? s[i][3] : unseen();
    }
  }

  // Highest scores of rows g and g + 8 over all warps. A barrier.
  DEVICE void tops(const float (&s)[OWN][4], float& top0, float& top1) const {
    top0 = top1 = unseen();
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      if (!owns(i)) continue;
      top0 = fmaxf(top0, fmaxf(s[i][0], s[i][1]));
      top1 = fmaxf(top1, fmaxf(s[i][2], s[i][3]));
    }
    top0 = quad_max(top0);
    top1 = quad_max(top1);
    int g = lane >> 2;
    if ((lane & 3) == 0) {
      maxima[warp][g] = top0;
      maxima[warp][g + 8] = top1;
    }
    __syncthreads();
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      top0 = fmaxf(top0, maxima[w][g]);
      top1 = fmaxf(top1, maxima[w][g + 8]);
    }
  }

  // Puts the weights of the warp's keys where all warps find them. A barrier.
  DEVICE void share_weights(const float (&s)[OWN][4], float scale, float shift0, float shift1) const {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      if (!owns(i)) continue;
      int tile = warp * OWN + i;
      float p0 = weight(s[i][0], scale, shift0);
      float p1 = weight(s[i][1], scale, shift0);
      float p2 = weight(s[i][2], scale, shift1);
      float p3 = weight(s[i][3], scale, shift1);
      pairs[tile][lane] = make_float2(__fadd_rn(p0, p1), __fadd_rn(p2, p3));
      weights[tile >> 1][lane][tile & 1] = make_uint2(pack2(p0, p1), pack2(p2, p3));
    }
    __syncthreads();
  }

  DEVICE void totals(float& l0, float& l1) const {
    l0 = pairs[0][lane].x;
    l1 = pairs[0][lane].y;
#pragma unroll
    for (int tile = 1; tile < TILES; tile++) {
      float2 pair = pairs[tile][lane];
      l0 = __fadd_rn(l0, pair.x);
      l1 = __fadd_rn(l1, pair.y);
    }
    l0 = quad_sum(l0);
    l1 = quad_sum(l1);
  }

  // The warp's 32 dimensions of weights times values: o[n] has dimensions 8n 8n+1 (+2t) of rows g and g + 8.
  DEVICE void weighted_values(float (&o)[4][4]) const {
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
      uint32_t a[4];
      load_fragment(a, reinterpret_cast<const uint4*>(&weights[j][lane][0]));
#pragma unroll
      for (int h = 0; h < 2; h++) {
        uint4 value = Cache::wide(v[j][h]);
        if (j == 0) {
          mma16816_first(o[2 * h], a, value.x, value.y);
          mma16816_first(o[2 * h + 1], a, value.z, value.w);
        } else {
          mma16816(o[2 * h], a, value.x, value.y);
          mma16816(o[2 * h + 1], a, value.z, value.w);
        }
      }
    }
  }

  DEVICE void clear_unseen_values(int chunk, int begin, int end) {
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
      int first = chunk * CHUNK + j * 16 + (lane & 3) * 2;
      Cache::clear_unseen(v[j][0], first, begin, end);
      Cache::clear_unseen(v[j][1], first, begin, end);
    }
  }

  // Puts a token's key (fragment order, shared) in its place among the chunk's keys. A choice for every register, here
  // and below: an index that is not known when this is compiled would put them all in memory.
  DEVICE void put_key(const Element* key, int token) {
#pragma unroll
    for (int d = 0; d < PIECES; d++) {
      Piece piece = reinterpret_cast<const Piece*>(key)[d * 4 + (lane & 3)];
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        k[i][d] = Cache::chosen((warp * OWN + i) * 8 + (lane >> 2) == token, piece, k[i][d]);
      }
    }
  }

  // The same for its value (by dimension, shared).
  DEVICE void put_value(const Element* value, int token) {
    const bool isLane = (lane & 3) == (token & 7) >> 1;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const Element* from = value + warp * 32 + h * 16 + (lane >> 2);
#pragma unroll
      for (int j = 0; j < GROUPS; j++) Cache::put(v[j][h], isLane && j == token >> 4, token, from[0], from[8]);
    }
  }
};

// Queries that rotate_store has left.
struct Stored {
  static constexpr bool ROTATES = false;
  const bf16* queries;  // [rows][heads][HD]
};

// What the QKV product has left: f32, heads queries | kvHeads keys | kvHeads values side by side.
template <class Cache>
struct Projected {
  static constexpr bool ROTATES = true;
  const float* rows;
  int stride;
  const float2* table;     // of angles
  const float* queryGain;  // null: no norm
  const float* keyGain;
  float epsilon;
  typename Cache::Element* cache;
};

// A token's queries, key and value of a kv head, made ready by the blocks that use them.
template <int HD, class Cache>
struct NewToken {
  typedef typename Cache::Element Element;
  static constexpr int WARPS = HD / 32;
  static constexpr int PAIRS = (HD + 63) / 64;

  bf16* queries;  // A fragments of a tile, shared
  Element* key;   // [HD], fragment order, shared
  Element* value; // [HD], shared
  int group;      // queries of the kv head
  bool stores;    // whether this block is the one that has the key and the value

  // Whole block, a warp a vector, two of them under way. query, keyOf, valueOf: of the row's product.
  DEVICE void prepare(const Projected<Cache>& from, const Angles<PAIRS>& angles, const float* query,
                      const float* keyOf, const float* valueOf, int headDim, Element* keySlot, Element* valueSlots,
                      int token) const {
    const int vectors = stores ? group + 1 : group;
    const int d = threadIdx.x;
    const float x = stores && d < headDim ? valueOf[d] : 0.0f;
    for (int first = d >> 5; first < vectors; first += 2 * WARPS) {
      Head<PAIRS> heads[2] = {Head<PAIRS>(headDim), Head<PAIRS>(headDim)};
#pragma unroll
      for (int i = 0; i < 2; i++) {
        int vector = first + i * WARPS;
        if (vector < vectors) heads[i].load(vector < group ? query + vector * headDim : keyOf);
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
        int vector = first + i * WARPS;
        if (vector >= vectors) continue;
        heads[i].norm(vector < group ? from.queryGain : from.keyGain, from.epsilon);
        heads[i].rotate(angles);
        if (vector < group) {
          heads[i].template store<Bf16>(queries, HD, InTile{vector});
        } else {
          heads[i].template store<Cache>(key, HD, InPieces<Cache>{32});
          heads[i].template store<Cache>(keySlot, HD, InPieces<Cache>{256});
        }
      }
    }
    if (stores) {
      value[d] = Cache::of(x);
      store_value<Cache>(valueSlots, token, d, HD, x);
    }
  }
};

// Asks for a chunk's keys and values; units: Pages::group.
template <int HD, class Cache>
DEVICE void prefetch(const Pages<Cache>& pages, int units) {
  constexpr int BYTES = 16 * HD * sizeof(typename Cache::Element);
  if (threadIdx.x >= GROUPS || units < 0) return;
  prefetch_l2(pages.template keys<HD>(units), BYTES);
  prefetch_l2(pages.template values<HD>(units), BYTES);
}

// The block's record in the list of items.
struct Item {
  int row, position, tokens, table;
  int firstChunk, chunks, partial, items;
};

DEVICE Item item_of_block(const int* items) {
  int4 head = reinterpret_cast<const int4*>(items)[blockIdx.y * 2];
  int4 tail = reinterpret_cast<const int4*>(items)[blockIdx.y * 2 + 1];
  return {head.x, head.y, head.z, head.w, tail.x, tail.y, tail.z, tail.w};
}

// If the block is the tile's last one, folds what all of them have written. The item is read again, so that nothing of
// this takes registers in the loop over chunks.
template <int HD>
DEVICE void fold_tile_if_last(float4 (*ring)[HD], const int* items, int* arrivals, const float* partialSums,
                              const float2* partialStates, void* out, int rowsPad, int heads, int kvHeads, int headDim,
                              int window) {
  typedef Fold<HD> F;
  const Item item = item_of_block(items);
  if (item.items < 0) return;  // attend_fold does
  __syncthreads();
  const int kvHead = blockIdx.x;
  const int group = heads / kvHeads;
  const int tileRows = item.tokens * group;
  if (!arrives_last(arrivals + item.row * kvHeads + kvHead, item.items)) return;
  const int chunksBegin = first_seen(item.position, window) / CHUNK;
  const int chunksEnd = (item.position + item.tokens + CHUNK - 1) / CHUNK;
  const int step = kvHeads * tileRows;
  const int first = item.partial + (chunksBegin - item.firstChunk) * step + kvHead * tileRows;
  for (int piece = threadIdx.x; piece < tileRows * F::ROW_PIECES; piece += HD) {
    int r = piece / F::ROW_PIECES;
    int d = piece % F::ROW_PIECES * 4;
    const float* sums = partialSums + static_cast<int64_t>(first + r) * HD + d;
    const F work = {ring, sums, partialStates + first + r, step, chunksEnd - chunksBegin};
    float4 sum = work.run();
    int token = r / group;
    Result result = result_of(out, rowsPad, item.row + token, kvHead * group + r - token * group, headDim);
    result.put(d, sum.x, sum.y);
    result.put(d + 2, sum.z, sum.w);
    if (d < 16) result.pad(heads);  // four threads, a quad
  }
}

// Arguments in the order of the entry points, see ATTEND_DECODE and ROTATE_ATTEND below.
template <int HD, class Cache, class Source>
DEVICE void decode(const Source& source, const void* cache, const int* tables, const int* items, const int* counts,
                   int* arrivals, float* partialSums, float2* partialStates, void* out, int rowsPad, int heads,
                   int kvHeads, int headDim, int blockTokens, int window, float scale) {
  typedef Decode<HD, Cache> D;
  typedef typename Cache::Element Element;
  SHARED uint4 sharedQueries[D::PIECES][2][32];
  SHARED float maxima[D::WARPS][16];
  SHARED uint2 weights[GROUPS][32][2];
  SHARED float2 pairs[TILES][32];
  SHARED float4 ring[Fold<HD>::AHEAD][HD];
  SHARED Element newKey[HD];
  SHARED Element newValue[HD];

  pdl_launch();
  const Item item = item_of_block(items);
  if (static_cast<int>(blockIdx.y) >= counts[COUNT_ITEMS]) {
    // The others wait for the kernel before this one, so that who waits for this one has waited for both. Blocks in vain
    // must not: they would hold the place in which the next kernel begins to read its weights.
    if (blockIdx.y == 0) pdl_wait();
    return;
  }
  const int row = item.row, position = item.position, tokens = item.tokens;
  const int firstChunk = item.firstChunk;
  const bool isShared = item.items != 1;
  const int kvHead = blockIdx.x;
  const int group = heads / kvHeads;
  const int tileRows = tokens * group;
  const int records = item.partial + (kvHead - firstChunk * kvHeads) * tileRows;  // of chunk 0
  DEVICE_ASSERT(tileRows >= 1 && tileRows <= 16 && headDim <= HD && blockTokens % 16 == 0 && blockDim.x == HD);
  if (window == 0) window = NO_WINDOW;
  const int begin = first_seen(position, window);
  const int end = position + tokens;
  const int chunksBegin = max(firstChunk, begin / CHUNK);
  const int chunksEnd = min(firstChunk + item.chunks, (end + CHUNK - 1) / CHUNK);
  const Pages<Cache> pages = {static_cast<const Element*>(cache), tables + item.table, kvHead, kvHeads,
                              blockTokens / 16};

  D work = {sharedQueries, maxima, weights, pairs, static_cast<int>(threadIdx.x >> 5),
            static_cast<int>(threadIdx.x & 31)};
  const int g = work.lane >> 2;
  const int t = work.lane & 3;

  int units = chunksBegin < chunksEnd ? pages.group(chunksBegin, begin, end) : -1;
  int unitsNext = pages.group(chunksBegin + 1, begin, end);
  if constexpr (Source::ROTATES) {
    // What steps before this one stored is there. Place `position` is not: it is put in when its chunk's turn comes.
    // The values come into registers later, which the rotation needs.
    typedef NewToken<HD, Cache> N;
    DEVICE_ASSERT(tokens == 1);
    work.load_keys(pages, units);
    prefetch<HD, Cache>(pages, units);
    if (chunksBegin + 1 < chunksEnd) prefetch<HD, Cache>(pages, unitsNext);
    Angles<N::PAIRS> angles;
    angles.load(source.table + static_cast<int64_t>(position) * (headDim / 2), headDim / 2);
    uint4* rows = &sharedQueries[0][0][0];
    rows[threadIdx.x] = rows[threadIdx.x + HD] = make_uint4(0, 0, 0, 0);
    const int group16 = pages.number(position / 16);
    const bool stores = position / CHUNK >= chunksBegin && position / CHUNK < chunksEnd;
    __syncthreads();
    pdl_wait();
    const float* projected = source.rows + static_cast<int64_t>(row) * source.stride;
    const N token = {reinterpret_cast<bf16*>(rows), newKey, newValue, group, stores};
    token.prepare(source, angles, projected + kvHead * group * headDim, projected + (heads + kvHead) * headDim,
                  projected + (heads + kvHeads + kvHead) * headDim, headDim,
                  key_slot(source.cache, group16, position, HD),
                  value_slots(source.cache, group16, blockTokens, HD), position);
    work.load_values(pages, units);
  } else {
    prefetch<HD, Cache>(pages, units);  // most of the first chunk was written long ago
    pdl_wait();
    work.load_keys(pages, units);
    const Queries from = {source.queries, row, kvHead, heads, group, tileRows};
    from.template fragments<HD>(&sharedQueries[work.warp][0][0], 0, work.warp);
    work.load_values(pages, units);
  }
  __syncthreads();

  float max0 = unseen(), max1 = unseen(), total0 = 0.0f, total1 = 0.0f;
  float sum[4][4] = {};
  for (int chunk = chunksBegin; chunk < chunksEnd; chunk++) {
    bool more = chunk + 1 < chunksEnd;
    // Whether some row of the tile does not see some key of the chunk.
    bool edge = chunk * CHUNK + CHUNK - 1 > position || chunk * CHUNK < first_seen(end - 1, window);
    const bool isNewest = Source::ROTATES && chunk == position / CHUNK;
    float s[D::OWN][4];
    if (isNewest) work.put_key(newKey, position % CHUNK);
    work.scores(s);
    units = unitsNext;
    if (more) {
      work.load_keys(pages, units);
      unitsNext = pages.group(chunk + 2, begin, end);
    }
    if (edge) work.hide(s, chunk, tileRows, group, position, window);
    float top0, top1;
    work.tops(s, top0, top1);
    float shift0 = shift_of(top0, scale), shift1 = shift_of(top1, scale);
    work.share_weights(s, scale, shift0, shift1);
    if (isNewest) work.put_value(newValue, position % CHUNK);
    if (chunk * CHUNK + CHUNK > end || chunk * CHUNK < begin) work.clear_unseen_values(chunk, begin, end);
    float o[4][4];
    work.weighted_values(o);
    if (more) work.load_values(pages, units);
    float l0, l1;
    work.totals(l0, l1);
    float m0 = top0 == unseen() ? top0 : shift0, m1 = top1 == unseen() ? top1 : shift1;

    if (isShared) {
      int record = records + chunk * kvHeads * tileRows;
      if (work.warp == 0 && t == 0) {
        if (g < tileRows) partialStates[record + g] = make_float2(m0, l0);
        if (g + 8 < tileRows) partialStates[record + g + 8] = make_float2(m1, l1);
      }
      float* to = partialSums + static_cast<int64_t>(record + g) * HD + work.warp * 32 + t * 2;
#pragma unroll
      for (int n = 0; n < 4; n++) {
        if (g < tileRows) *reinterpret_cast<float2*>(to + n * 8) = make_float2(o[n][0], o[n][1]);
        if (g + 8 < tileRows) *reinterpret_cast<float2*>(to + 8 * HD + n * 8) = make_float2(o[n][2], o[n][3]);
      }
    } else {
      float a0, b0, a1, b1;
      fold_factors(max0, m0, a0, b0);
      fold_factors(max1, m1, a1, b1);
      total0 = fold(total0, l0, a0, b0);
      total1 = fold(total1, l1, a1, b1);
#pragma unroll
      for (int n = 0; n < 4; n++) {
        sum[n][0] = fold(sum[n][0], o[n][0], a0, b0);
        sum[n][1] = fold(sum[n][1], o[n][1], a0, b0);
        sum[n][2] = fold(sum[n][2], o[n][2], a1, b1);
        sum[n][3] = fold(sum[n][3], o[n][3], a1, b1);
      }
    }
  }
  if (isShared) {
    fold_tile_if_last<HD>(ring, items, arrivals, partialSums, partialStates, out, rowsPad, heads, kvHeads, headDim,
                          window);
    return;
  }

#pragma unroll
  for (int h = 0; h < 2; h++) {
    int r = g + h * 8;
    if (r >= tileRows) break;
    int token = r / group;
    Result result = result_of(out, rowsPad, row + token, kvHead * group + r - token * group, headDim);
    float inverseTotal = inverse(h == 0 ? total0 : total1);
#pragma unroll
    for (int n = 0; n < 4; n++) {
      result.put(work.warp * 32 + n * 8 + t * 2, finish(sum[n][2 * h], inverseTotal),
                 finish(sum[n][2 * h + 1], inverseTotal));
    }
    if (work.warp == 0) result.pad(heads);
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Fold of long contexts: one warp's worth of dimensions of one row and head, a block of 128 threads
// ---------------------------------------------------------------------------------------------------------------------

constexpr int FOLD_THREADS = 128;
constexpr int FOLD_CHUNKS = 128;  // at a time

// The factors of all chunks at once: the row's maximum before and behind each is a running maximum, which may be
// computed in any order. The sums then take one multiplication and one fused multiply-add a chunk, in order, by the
// first warp, while the next chunks' sums are on their way to shared memory.
struct LongFold {
  float (*sums)[FOLD_CHUNKS][32];   // two buffers, shared
  float4 (*factors)[FOLD_CHUNKS];   // two buffers of a, b, l; shared
  float* warpMaxima;                // [4], shared

  const float* partialSums;         // of the row's first chunk, first of the 32 dimensions
  const float2* partialStates;
  int64_t chunkRecords;             // records from one chunk to the next
  int paddedDim;

  DEVICE void load(int chunk, int count, int buffer) const {
#pragma unroll
    for (int i = 0; i < FOLD_CHUNKS * 8 / FOLD_THREADS; i++) {
      int piece = i * FOLD_THREADS + threadIdx.x;
      int c = piece >> 3;
      if (c < count) {
        cp_async16(&sums[buffer][c][(piece & 7) * 4],
                   partialSums + (chunk + c) * chunkRecords * paddedDim + (piece & 7) * 4);
      }
    }
    cp_async_commit();
  }

  // Takes `count` chunks' maxima into rowMax; all threads. A barrier.
  DEVICE void prepare(int chunk, int count, int buffer, float& rowMax) const {
    int i = threadIdx.x;
    int lane = i & 31;
    float2 state = make_float2(unseen(), 0.0f);
    if (i < count) state = partialStates[(chunk + i) * chunkRecords];
    float running = state.x;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      float other = __shfl_sync(ALL, running, lane - step);
      if (lane >= step) running = fmaxf(running, other);
    }
    if (lane == 31) warpMaxima[i >> 5] = running;
    __syncthreads();
    float before = __shfl_sync(ALL, running, lane - 1);
    before = lane == 0 ? rowMax : fmaxf(before, rowMax);
#pragma unroll
    for (int w = 0; w < FOLD_THREADS / 32; w++) {
      if (w < i >> 5) before = fmaxf(before, warpMaxima[w]);
      rowMax = fmaxf(rowMax, warpMaxima[w]);
    }
    float a, b;
    fold_factors(before, state.x, a, b);
    factors[buffer][i] = make_float4(a, b, state.y, 0.0f);
  }
};

template <int HD>
DEVICE void fold_partials(const float* partialSums, const float2* partialStates, const int* folds, const int* counts,
                          void* out, int rowsPad, int heads, int kvHeads, int headDim, int window) {
  SHARED float sums[2][FOLD_CHUNKS][32];
  SHARED float4 factors[2][FOLD_CHUNKS];
  SHARED float warpMaxima[FOLD_THREADS / 32];

  pdl_launch();
  const int slices = HD / 32;
  const int jobs = counts[COUNT_FOLDS] * heads * slices;
  const int group = heads / kvHeads;
  const int lane = threadIdx.x & 31;
  if (window == 0) window = NO_WINDOW;
  pdl_wait();
  for (int job = blockIdx.x; job < jobs; job += gridDim.x) {
    const int slice = job % slices;
    const int head = job / slices % heads;
    const int* record = folds + static_cast<int64_t>(job / (slices * heads)) * RECORD;
    const int row = record[0], position = record[1], tileRows = record[3], firstChunk = record[4];
    const int chunksBegin = first_seen(position, window) / CHUNK;
    const int chunksEnd = position / CHUNK + 1;
    const int64_t chunkRecords = static_cast<int64_t>(kvHeads) * tileRows;
    const int64_t first =
        record[2] + (chunksBegin - firstChunk) * chunkRecords + (head / group) * tileRows + head % group;
    const LongFold work = {sums, factors, warpMaxima, partialSums + first * HD + slice * 32, partialStates + first,
                       chunkRecords, HD};

    const int chunks = chunksEnd - chunksBegin;
    float rowMax = unseen(), sum = 0.0f, total = 0.0f;
    work.load(0, min(FOLD_CHUNKS, chunks), 0);
    for (int chunk = 0, buffer = 0; chunk < chunks; chunk += FOLD_CHUNKS, buffer ^= 1) {
      const int count = min(FOLD_CHUNKS, chunks - chunk);
      const int next = chunk + FOLD_CHUNKS;
      work.prepare(chunk, count, buffer, rowMax);
      if (next < chunks) {
        work.load(next, min(FOLD_CHUNKS, chunks - next), buffer ^ 1);
        cp_async_wait<1>();
      } else {
        cp_async_wait<0>();
      }
      __syncthreads();
      if (threadIdx.x < 32) {
#pragma unroll 8
        for (int c = 0; c < count; c++) {
          float4 f = factors[buffer][c];
          sum = fold(sum, sums[buffer][c][lane], f.x, f.y);
          total = fold(total, f.z, f.x, f.y);
        }
      }
      __syncthreads();
    }
    if (threadIdx.x < 32) {
      const Result result = result_of(out, rowsPad, row, head, headDim);
      float mine = finish(sum, inverse(total));
      float neighbour = __shfl_xor_sync(ALL, mine, 1);
      if ((lane & 1) == 0) result.put(slice * 32 + lane, mine, neighbour);
      if (slice == 0 && lane < 4) result.pad(heads);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Prefill: 16 * MT rows a warp, four warps
// ---------------------------------------------------------------------------------------------------------------------

constexpr int PREFILL_THREADS = 128;

// Chunks pass through shared memory in two stages, copied as they lie in the cache: every fragment is then one 16-byte
// read a lane without bank conflicts, used for MT row tiles. Two row tiles a warp halve the traffic of shared memory,
// which would otherwise take longer than the products; more would not fit the registers. The values are summed 16
// dimensions at a time and folded at once, so that a chunk's sums need no registers of their own.
//
// Registers decide (128 sums, 64 scores, 32 weights at HD 128): the loop over dimensions stays a loop, what only edges
// need is worked out there, the branches of Pages::group stand between scores and values as a bound for the compiler's
// reordering, and no warp skips what only others see. Each of these avoids spills, as ptxas -v shows.
//
// A chunk of e4m3 is widened when it has come, once for all warps, from one of two half as large stages into the one that
// fragments are read from: as much shared memory, and one barrier more.
template <int HD, int MT, class Cache>
struct Prefill {
  typedef typename Cache::Element Element;

  static constexpr bool WIDENS = sizeof(Element) == 1;
  static constexpr int ROWS = 64 * MT;
  static constexpr int PIECES = HD / 32;
  static constexpr int STAGE = 2 * CHUNK * HD;  // elements: keys, values
  static constexpr int SHARED_BYTES = (ROWS * HD + 2 * STAGE) * 2;

  // Rows of the tile as A fragments [row/16][dim/16][lane].
  DEVICE static void load_queries(uint4* to, const Queries& from) {
#pragma unroll 4
    for (int i = threadIdx.x >> 5; i < ROWS / 16 * PIECES; i += PREFILL_THREADS / 32) {
      from.fragments<HD>(to + i * 64, i / PIECES * 16, i % PIECES);
    }
  }

  // Groups that nobody sees are left as they are: their scores are replaced, their values cleared.
  DEVICE static void load_chunk(Element* stage, const Pages<Cache>& pages, int units) {
    constexpr int EACH = 16 / sizeof(Element);  // elements of 16 bytes
    constexpr int KEYS = 16 * HD / EACH;        // pieces of 16 bytes in a group's keys
    const int64_t toValues = static_cast<int64_t>(pages.groups - 1) * (16 * HD);  // from the end of the keys' group
    Element* to = stage + threadIdx.x * EACH;
#pragma unroll
    for (int j = 0; j < GROUPS; j++) {
      int unit = __shfl_sync(ALL, units, j);
      if (unit < 0) continue;
      const Element* keys = pages.template keys<HD>(unit) + threadIdx.x * EACH;
      const Element* values = keys + toValues;
#pragma unroll
      for (int i = 0; i < 2 * KEYS; i += PREFILL_THREADS) {  // keys, then values
        const int piece = i + static_cast<int>(threadIdx.x);
        if (2 * KEYS % PREFILL_THREADS != 0 && piece >= 2 * KEYS) continue;
        bool isKey = KEYS % PREFILL_THREADS == 0 ? i < KEYS : piece < KEYS;
        cp_async16(to + i * EACH + (isKey ? j * (16 * HD) : CHUNK * HD + (j - 1) * (16 * HD)),
                   (isKey ? keys : values) + i * EACH);
      }
    }
  }

  DEVICE static void widen(bf16* to, const Element* from) {
#pragma unroll HD == 96 ? 1 : 4
    for (int i = threadIdx.x; i < STAGE / 8; i += PREFILL_THREADS) {
      reinterpret_cast<uint4*>(to)[i] = Cache::wide(reinterpret_cast<const typename Cache::Piece*>(from)[i]);
    }
  }

  DEVICE static void clear_unseen_values(bf16* stage, int chunk, int begin, int end) {
    uint4* values = reinterpret_cast<uint4*>(stage + CHUNK * HD);
    for (int piece = threadIdx.x; piece < CHUNK * HD / 8; piece += PREFILL_THREADS) {
      Bf16::clear_unseen(values[piece], chunk * CHUNK + piece / (2 * HD) * 16 + (piece & 3) * 2, begin, end);
    }
  }

  // The state of the warp's rows: index [row tile][0: row g, 1: row g + 8].
  float maxima[MT][2];
  float sums[MT][HD / 8][4];
#if VERDIER_HAS_WGMMA
  float totals[MT][2];

  DEVICE float& total(int m, int h) { return totals[m][h]; }
#else
  float (*totals)[2][PREFILL_THREADS];  // this thread's; shared, because other compilations need a few registers more

  DEVICE float& total(int m, int h) { return totals[m][h][threadIdx.x]; }
#endif

  DEVICE void scores(float (&s)[MT][TILES][4], const uint4* queries, const uint4* keys, int lane) const {
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
      for (int n = 0; n < TILES; n++) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0.0f;
    }
#pragma unroll 1
    for (int d = 0; d < PIECES; d++) {
      uint32_t first[MT][4], second[MT][4];
#pragma unroll
      for (int m = 0; m < MT; m++) {
        load_fragment(first[m], queries + (m * PIECES + d) * 64 + lane);
        load_fragment(second[m], queries + (m * PIECES + d) * 64 + lane + 32);
      }
#pragma unroll
      for (int n = 0; n < TILES; n++) {
        uint4 k = keys[(n * PIECES + d) * 32 + lane];
#pragma unroll
        for (int m = 0; m < MT; m++) mma16816(s[m][n], first[m], k.x, k.y);
#pragma unroll
        for (int m = 0; m < MT; m++) mma16816(s[m][n], second[m], k.z, k.w);
      }
    }
  }

  // row: tile row of the lane's first; position: of the tile's first row.
  DEVICE void hide(float (&s)[MT][TILES][4], int chunk, int row, int tileRows, int group, int position,
                   int window) const {
#pragma unroll
    for (int m = 0; m < MT; m++) {
      int upper = row + m * 16, lower = upper + 8;
      int last[2] = {upper < tileRows ? position + upper / group : -1,  // last key that the row sees
                     lower < tileRows ? position + lower / group : -1};
#pragma unroll
      for (int n = 0; n < TILES; n++) {
        int key = chunk * CHUNK + n * 8 + (threadIdx.x & 3) * 2;
#pragma unroll
        for (int i = 0; i < 4; i++) s[m][n][i] = sees(last[i >> 1], key + (i & 1), window) ? s[m][n][i] : unseen();
      }
    }
  }

  // Scores become the A fragments of the second product; takes maxima and totals in and gives the factors of the fold.
  DEVICE void weigh(float (&s)[MT][TILES][4], float scale, uint32_t (&p)[MT][GROUPS][4], float (&a)[MT][2],
                    float (&b)[MT][2]) {
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        float top = unseen();
#pragma unroll
        for (int n = 0; n < TILES; n++) top = fmaxf(top, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
        top = quad_max(top);
        float shift = shift_of(top, scale);
        float l = 0.0f;
#pragma unroll
        for (int n = 0; n < TILES; n++) {
          float p0 = weight(s[m][n][2 * h], scale, shift);
          float p1 = weight(s[m][n][2 * h + 1], scale, shift);
          float pair = __fadd_rn(p0, p1);
          l = n == 0 ? pair : __fadd_rn(l, pair);
          p[m][n >> 1][(n & 1) * 2 + h] = pack2(p0, p1);
        }
        l = quad_sum(l);
        fold_factors(maxima[m][h], top == unseen() ? top : shift, a[m][h], b[m][h]);
        total(m, h) = fold(total(m, h), l, a[m][h], b[m][h]);
      }
    }
  }

  DEVICE void fold_values(const uint32_t (&p)[MT][GROUPS][4], const float (&a)[MT][2], const float (&b)[MT][2],
                          const uint4* values, int lane) {
#pragma unroll
    for (int d = 0; d < HD / 16; d++) {
      float o[MT][2][4];
#pragma unroll
      for (int j = 0; j < GROUPS; j++) {
        uint4 v = values[(j * (HD / 16) + d) * 32 + lane];
#pragma unroll
        for (int m = 0; m < MT; m++) {
          if (j == 0) {
            mma16816_first(o[m][0], p[m][j], v.x, v.y);
            mma16816_first(o[m][1], p[m][j], v.z, v.w);
          } else {
            mma16816(o[m][0], p[m][j], v.x, v.y);
            mma16816(o[m][1], p[m][j], v.z, v.w);
          }
        }
      }
#pragma unroll
      for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
          float& sum = sums[m][2 * d + (i >> 2)][i & 3];
          sum = fold(sum, o[m][i >> 2][i & 3], a[m][(i >> 1) & 1], b[m][(i >> 1) & 1]);
        }
      }
    }
  }
};

// What edges and the end need of a tile: read again there where the compiler finds no registers in the loop for it, as
// ptxas -v shows; on sm_90a and sm_100 it does.
DEVICE int4 tile_again(const int* tiles, const int4& tile) {
#if VERDIER_HAS_WGMMA || __CUDA_ARCH__ / 10 == 100
  (void)tiles;
  return tile;
#else
  (void)tile;
  return reinterpret_cast<const int4*>(tiles)[blockIdx.y * 2];
#endif
}

template <int HD, int MT, class Cache>
DEVICE void prefill(const bf16* queries, const void* cache, const int* tables, const int* tiles, const int* counts,
                    void* out, int rowsPad, int heads, int kvHeads, int headDim, int blockTokens, int window,
                    float scale) {
  typedef Prefill<HD, MT, Cache> P;
  typedef typename Cache::Element Element;
  DYNAMIC_SHARED(shared);
  uint4* sharedQueries = reinterpret_cast<uint4*>(shared);
  Element* stages = reinterpret_cast<Element*>(reinterpret_cast<bf16*>(shared) + P::ROWS * HD);

  pdl_launch();
  const int4 tile = reinterpret_cast<const int4*>(tiles)[blockIdx.y * 2];
  if (static_cast<int>(blockIdx.y) >= counts[COUNT_TILES]) {
    pdl_wait();
    return;
  }
  const int row = tile.x, position = tile.y, tokens = tile.z;
  const int kvHead = blockIdx.x;
  const int group = heads / kvHeads;
  const int tileRows = tokens * group;
  DEVICE_ASSERT(tileRows >= 1 && tileRows <= P::ROWS && headDim <= HD && blockTokens % 16 == 0);
  if (window == 0) window = NO_WINDOW;
  const int begin = first_seen(position, window);
  const int end = position + tokens;
  const int chunksEnd = (end + CHUNK - 1) / CHUNK;
  const Pages<Cache> pages = {static_cast<const Element*>(cache), tables + tile.w, kvHead, kvHeads, blockTokens / 16};
  const int warp = threadIdx.x >> 5;
  const int lane = threadIdx.x & 31;
  const int g = lane >> 2;
  const int t = lane & 3;

  P state;
#if !VERDIER_HAS_WGMMA
  SHARED float totals[MT][2][PREFILL_THREADS];
  state.totals = totals;
#endif
#pragma unroll
  for (int m = 0; m < MT; m++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      state.maxima[m][h] = unseen();
      state.total(m, h) = 0.0f;
    }
#pragma unroll
    for (int n = 0; n < HD / 8; n++) {
      state.sums[m][n][0] = state.sums[m][n][1] = state.sums[m][n][2] = state.sums[m][n][3] = 0.0f;
    }
  }
  int chunk = begin / CHUNK;
  int units = pages.group(chunk, begin, end);
  int unitsNext = pages.group(chunk + 1, begin, end);
  pdl_wait();
  P::load_chunk(stages + (chunk & 1) * P::STAGE, pages, units);
  cp_async_commit();
  P::load_queries(sharedQueries, {queries, row, kvHead, heads, group, tileRows});
  for (; chunk < chunksEnd; chunk++) {
    Element* raw = stages + (chunk & 1) * P::STAGE;
    bf16* here = reinterpret_cast<bf16*>(P::WIDENS ? stages + 2 * P::STAGE : raw);
    const int first = chunk * CHUNK;
    cp_async_wait<0>();
    __syncthreads();
    if (chunk + 1 < chunksEnd) {
      P::load_chunk(stages + (~chunk & 1) * P::STAGE, pages, unitsNext);
      cp_async_commit();
    }
    if (P::WIDENS) {
      P::widen(here, raw);
      __syncthreads();
    }
    if (first < begin || first + CHUNK > end) {
      P::clear_unseen_values(here, chunk, begin, end);
      __syncthreads();
    }
    float s[MT][TILES][4];
    uint32_t p[MT][GROUPS][4];
    float a[MT][2], b[MT][2];
    state.scores(s, sharedQueries + warp * MT * P::PIECES * 64, reinterpret_cast<const uint4*>(here), lane);
    if (first + CHUNK - 1 > position || first < first_seen(end - 1, window)) {
      const int4 edge = tile_again(tiles, tile);
      state.hide(s, chunk, warp * MT * 16 + g, edge.z * group, group, edge.y, window);
    }
    state.weigh(s, scale, p, a, b);
    unitsNext = pages.group(chunk + 2, begin, end);
    state.fold_values(p, a, b, reinterpret_cast<const uint4*>(here + CHUNK * HD), lane);
  }

  const int4 done = tile_again(tiles, tile);
#pragma unroll
  for (int m = 0; m < MT; m++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int r = (warp * MT + m) * 16 + g + h * 8;
      if (r >= done.z * group) continue;
      int token = r / group;
      Result result = result_of(out, rowsPad, done.x + token, kvHead * group + r - token * group, headDim);
      float inverseTotal = inverse(state.total(m, h));
#pragma unroll
      for (int n = 0; n < HD / 8; n++) {
        result.put(n * 8 + t * 2, finish(state.sums[m][n][2 * h], inverseTotal),
                   finish(state.sums[m][n][2 * h + 1], inverseTotal));
      }
      result.pad(heads);
    }
  }
}

}  // namespace attention

// ---------------------------------------------------------------------------------------------------------------------
// Entry points
// ---------------------------------------------------------------------------------------------------------------------

// (cos, sin) * amplitude of count positions from `first` on: table[position][half] f32 pairs, from float64 angles.
// frequencies: float64 [half], then the amplitude. Grid: any number of blocks of 256 threads. Once, at start.
KERNEL(rope_table, float2* table, const double* frequencies, int half, int first, int count) {
  int64_t all = static_cast<int64_t>(count) * half;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < all;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    int position = first + static_cast<int>(i / half);
    double sine, cosine;
    sincos(position * frequencies[i % half], &sine, &cosine);
    double amplitude = frequencies[half];
    table[static_cast<int64_t>(first) * half + i] =
        make_float2(static_cast<float>(cosine * amplitude), static_cast<float>(sine * amplitude));
  }
}

// After the QKV product of a layer, where some slice has several tokens (rotate_attend does it for all others): norms
// (where the gains are not null) and rotates queries and keys, writes queries for attention, keys and values into their
// slots. projected: f32 [rows][stride], heads queries | kvHeads keys
// | kvHeads values side by side. slots[row] = block * blockTokens + place in the block. vectors = heads + 2 kvHeads.
// Grid (rowsMax, ceil(vectors / 8)), 256 threads. Bytes a row: 4 (in) + 2 (out) times (heads + 2 kvHeads) headDim.
#define ROTATE_STORE(name, Cache)                                                                                      \
  KERNEL_BOUNDS(name, 256, 4, const float* projected, int stride, bf16* queries, attention::Cache::Element* cache,    \
                const float2* angles, const float* queryGain, const float* keyGain, float epsilon, const int* counts, \
                const int* positions, const int* slots, int heads, int kvHeads, int headDim, int paddedDim,           \
                int blockTokens) {                                                                                    \
    attention::rotate_store<attention::Cache>(projected, stride, queries, cache, angles, queryGain, keyGain, epsilon, \
                                              counts, positions, slots, heads, kvHeads, headDim, paddedDim,           \
                                              blockTokens);                                                           \
  }
ROTATE_STORE(rotate_store, Bf16)
ROTATE_STORE(rotate_store_fp8, E4m3)

// Blocks on a multiprocessor that registers must be enough for. Where others compile, the decode kernels need a few more
// registers than sm_90a's, and their multiprocessors have less shared memory: fewer blocks.
#if VERDIER_HAS_WGMMA
#define BLOCKS_OF(most) most
#else
#define BLOCKS_OF(most) (most - (most + 3) / 4)
#endif

// attend_decode_HD: grid (kvHeads, itemsMax), HD threads. Reads 4 * HD bytes a key and kv head; partial results, where
// an item covers only some chunks, are (HD + 2) * 4 bytes a chunk, row and head, written and read once. window: 0 for
// all keys. scale: the softmax scale times log2(e).
#define ATTEND_DECODE(name, HD, BLOCKS, Cache)                                                                        \
  KERNEL_BOUNDS(name, HD, BLOCKS, const bf16* queries, const void* cache, const int* tables,                          \
                const int* items, const int* counts, int* arrivals, float* partialSums, float2* partialStates,        \
                void* out, int rowsPad, int heads, int kvHeads, int headDim, int blockTokens, int window,             \
                float scale) {                                                                                        \
    attention::decode<HD, attention::Cache>(attention::Stored{queries}, cache, tables, items, counts, arrivals,       \
                                            partialSums, partialStates, out, rowsPad, heads, kvHeads, headDim,        \
                                            blockTokens, window, scale);                                              \
  }
ATTEND_DECODE(attend_decode_32, 32, BLOCKS_OF(12), Bf16)
ATTEND_DECODE(attend_decode_64, 64, BLOCKS_OF(8), Bf16)
ATTEND_DECODE(attend_decode_96, 96, BLOCKS_OF(5), Bf16)
ATTEND_DECODE(attend_decode_128, 128, BLOCKS_OF(4), Bf16)
ATTEND_DECODE(attend_decode_256, 256, 1, Bf16)
ATTEND_DECODE(attend_decode_fp8_32, 32, BLOCKS_OF(12), E4m3)
ATTEND_DECODE(attend_decode_fp8_64, 64, BLOCKS_OF(8), E4m3)
ATTEND_DECODE(attend_decode_fp8_96, 96, BLOCKS_OF(5), E4m3)
ATTEND_DECODE(attend_decode_fp8_128, 128, BLOCKS_OF(4), E4m3)
ATTEND_DECODE(attend_decode_fp8_256, 256, 1, E4m3)

// rotate_attend_HD: rotate_store and attend_decode_HD at once, for steps in which every slice is one token: an item's
// block makes the queries ready that it uses, and the one that has the token's own chunk its key and value too, stores
// them, and takes them from where it has them. Nobody else of the step reads them, so that all other keys and values
// are asked for before pdl_wait: an earlier step has written them, and a copy or a graph's end lies between steps.
#define ROTATE_ATTEND(name, HD, BLOCKS, Cache)                                                                        \
  KERNEL_BOUNDS(name, HD, BLOCKS, const float* projected, int stride, const float2* angles, const float* queryGain,   \
                const float* keyGain, float epsilon, attention::Cache::Element* cache, const int* tables,             \
                const int* items, const int* counts, int* arrivals, float* partialSums, float2* partialStates,        \
                void* out, int rowsPad, int heads, int kvHeads, int headDim, int blockTokens, int window,             \
                float scale) {                                                                                        \
    typedef attention::Projected<attention::Cache> Source;                                                            \
    attention::decode<HD, attention::Cache>(                                                                          \
        Source{projected, stride, angles, queryGain, keyGain, epsilon, cache}, cache, tables, items, counts,          \
        arrivals, partialSums, partialStates, out, rowsPad, heads, kvHeads, headDim, blockTokens, window, scale);     \
  }
ROTATE_ATTEND(rotate_attend_32, 32, BLOCKS_OF(12), Bf16)
ROTATE_ATTEND(rotate_attend_64, 64, BLOCKS_OF(8), Bf16)
ROTATE_ATTEND(rotate_attend_96, 96, BLOCKS_OF(4), Bf16)
ROTATE_ATTEND(rotate_attend_128, 128, BLOCKS_OF(4), Bf16)
ROTATE_ATTEND(rotate_attend_256, 256, 1, Bf16)
ROTATE_ATTEND(rotate_attend_fp8_32, 32, BLOCKS_OF(12), E4m3)
ROTATE_ATTEND(rotate_attend_fp8_64, 64, BLOCKS_OF(8), E4m3)
ROTATE_ATTEND(rotate_attend_fp8_96, 96, BLOCKS_OF(4), E4m3)
ROTATE_ATTEND(rotate_attend_fp8_128, 128, BLOCKS_OF(4), E4m3)
ROTATE_ATTEND(rotate_attend_fp8_256, 256, 1, E4m3)

// attend_fold_HD: what attend_decode and rotate_attend have left of tiles whose `items` is negative. Grid any number of
// blocks of 128 threads (jobs: folds * heads * HD / 32).
#define ATTEND_FOLD(HD)                                                                                               \
  KERNEL_BOUNDS(attend_fold_##HD, attention::FOLD_THREADS, 4, const float* partialSums, const float2* partialStates,  \
                const int* folds, const int* counts, void* out, int rowsPad, int heads, int kvHeads, int headDim,     \
                int window) {                                                                                         \
    attention::fold_partials<HD>(partialSums, partialStates, folds, counts, out, rowsPad, heads, kvHeads, headDim,    \
                                 window);                                                                             \
  }
ATTEND_FOLD(32)
ATTEND_FOLD(64)
ATTEND_FOLD(96)
ATTEND_FOLD(128)
ATTEND_FOLD(256)

// attend_prefill_HD: grid (kvHeads, tilesMax), 128 threads, dynamic shared memory Prefill::SHARED_BYTES. Tiles of 128
// rows (64 where HD is 256), the longest first. Operations: 4 * HD a key, row and head.
#define ATTEND_PREFILL(name, HD, ROW_TILES, BLOCKS, Cache)                                                            \
  KERNEL_BOUNDS(name, attention::PREFILL_THREADS, BLOCKS, const bf16* queries, const void* cache,                     \
                const int* tables, const int* tiles, const int* counts, void* out, int rowsPad, int heads,            \
                int kvHeads, int headDim, int blockTokens, int window, float scale) {                                 \
    attention::prefill<HD, ROW_TILES, attention::Cache>(queries, cache, tables, tiles, counts, out, rowsPad, heads,   \
                                                        kvHeads, headDim, blockTokens, window, scale);                \
  }
ATTEND_PREFILL(attend_prefill_32, 32, 2, 3, Bf16)
ATTEND_PREFILL(attend_prefill_64, 64, 2, 2, Bf16)
ATTEND_PREFILL(attend_prefill_96, 96, 2, 2, Bf16)
ATTEND_PREFILL(attend_prefill_128, 128, 2, 2, Bf16)
ATTEND_PREFILL(attend_prefill_256, 256, 1, 1, Bf16)
ATTEND_PREFILL(attend_prefill_fp8_32, 32, 2, 3, E4m3)
ATTEND_PREFILL(attend_prefill_fp8_64, 64, 2, 2, E4m3)
ATTEND_PREFILL(attend_prefill_fp8_96, 96, 2, 2, E4m3)
ATTEND_PREFILL(attend_prefill_fp8_128, 128, 2, 2, E4m3)
ATTEND_PREFILL(attend_prefill_fp8_256, 256, 1, 1, E4m3)
