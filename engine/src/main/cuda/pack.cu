// Into and out of the layouts of matmul: weights into fragment order at load time, rows of the embedding out of it, f32 rows into operands.
//
//   pack_weights_FORMAT_SOURCE   rows of a checkpoint (bf16, f16, f32) to bf16, or quantised a row at a time to fp8, int8 or int4
//   fill_random_bf16             dummy weights, the same for the same seed on any machine
//   embed_FORMAT                 one row a token, f32
//   operand_from_tensor          f32 rows to a swizzled bf16 operand
//
// Packing happens once and at the speed of the bus the checkpoint comes over; it is written to be read. Layouts: matmul.cuh.
#include "matmul.cuh"

// ---------------------------------------------------------------------------------------------------------------- where an element lies

/// The element's number in fragment order for bf16: 16 x 16 tiles, of each lane eight elements.
DEVICE long fragment_index16(int row, int k, int groups) {
  int lane = row % 8 * 4 + k % 8 / 2;
  int element = (k % 16 / 8 * 2 + row % 16 / 8) * 2 + k % 2;
  return ((static_cast<long>(row / 16) * groups * 4 + k / 16) * 32 + lane) * 8 + element;
}

/// The number of the word in fragment order for 8-bit weights that holds columns k, k + 1, k + 8 and k + 9 of a row: 16 x 32 tiles, of each
/// lane two words of the first k16 and two of the second, the upper row's first. Others of the word's columns give the same number.
DEVICE long fragment_word8(int row, int k, int groups) {
  int lane = row % 8 * 4 + k % 8 / 2;
  return ((static_cast<long>(row / 16) * groups * 2 + k / 32) * 32 + lane) * 4 + k % 32 / 16 * 2 + row % 16 / 8;
}

/// Where a group of int4 lies: 16 rows x 64 k.
DEVICE unsigned char* group4(void* weights, int row, int k, int groups) {
  return static_cast<unsigned char*>(weights) + (static_cast<long>(row / 16) * groups + k / GROUP_K) * Int4Weights::GROUP_BYTES;
}

/// The word of codes in such a group that holds columns k, k + 1, k + 8, k + 9 of two steps of a row, and the value of the row's code 0.
DEVICE uint32_t* codes4(unsigned char* group, int row, int k) {
  int lane = row % 8 * 4 + k % 8 / 2;
  return reinterpret_cast<uint32_t*>(group) + lane * 4 + k % GROUP_K / 32 * 2 + row % 16 / 8;
}

DEVICE bf16* zero4(unsigned char* group, int row) { return reinterpret_cast<bf16*>(group + 512) + row % 8 * 2 + row % 16 / 8; }

/// Which of a word's bits a column's code has.
DEVICE int shift4(int k) { return k % 2 * 16 + k % 32 / 16 * 8 + k % 16 / 8 * 4; }

/// The matrix row that row `row` of a part becomes. A part is 0: the whole matrix; 1: gate, 2: up, which alternate by eights.
DEVICE int packed_row(int row, int part) { return part == 0 ? row : row / 8 * 16 + (part - 1) * 8 + row % 8; }

// ---------------------------------------------------------------------------------------------------------------- numbers

/// IEEE half to float, exactly: the bits at float's place are the value times 2^-112.
DEVICE float half_to_float(uint16_t half) {
  uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  uint32_t bits = (half & 0x7c00) == 0x7c00 ? magnitude | 0x7f800000u
                                            : __float_as_uint(__fmul_rn(__uint_as_float(magnitude), __uint_as_float(0x77800000u)));
  return __uint_as_float(bits | static_cast<uint32_t>(half & 0x8000) << 16);
}

struct SourceBf16 {
  DEVICE static float at(const void* source, long i) { return to_float(static_cast<const bf16*>(source)[i]); }
};

struct SourceF16 {
  DEVICE static float at(const void* source, long i) { return half_to_float(static_cast<const uint16_t*>(source)[i]); }
};

struct SourceF32 {
  DEVICE static float at(const void* source, long i) { return static_cast<const float*>(source)[i]; }
};

struct ToFp8 {
  static constexpr float LARGEST = 448.0f;
  static constexpr float UNIT = 1.0f;  // of the values that the kernels make of the codes
  DEVICE static uint8_t of(float x) { return e4m3_from_float(x); }
  DEVICE static uint32_t word(const uint8_t (&codes)[4]) { return e4m3x4_pack(codes[0], codes[1], codes[2], codes[3]); }
};

struct ToInt8 {
  static constexpr float LARGEST = 127.0f;
  static constexpr float UNIT = 64.0f;
  DEVICE static uint8_t of(float x) { return static_cast<uint8_t>(128 + static_cast<int>(rintf(fminf(fmaxf(x, -127.0f), 127.0f)))); }
  DEVICE static uint32_t word(const uint8_t (&codes)[4]) { return bytes_pack(codes[0], codes[1], codes[2], codes[3]); }
};

// ---------------------------------------------------------------------------------------------------------------- packing
//
//   source       [rows][stride] elements, of which `columns` count
//   firstRow     the part's row that source row 0 is; rows from `rows` to `rowsPadded` are written as zeros without being read
//   grid (anything, rowsPadded), block 256

#define PACK_PARAMETERS \
  const void *source, long long stride, int rows, int rowsPadded, int columns, void *weights, float *scales, int firstRow, int part

template <class Source>
DEVICE void pack_bf16(const void* source, long long stride, int rows, int rowsPadded, int columns, bf16* weights, int firstRow, int part) {
  int groups = (columns + GROUP_K - 1) / GROUP_K;
  for (int row = blockIdx.y; row < rowsPadded; row += gridDim.y) {
    int to = packed_row(firstRow + row, part);
    for (int k = (blockIdx.x * blockDim.x + threadIdx.x) * 2; k < groups * GROUP_K; k += gridDim.x * blockDim.x * 2) {
      float even = row < rows && k < columns ? Source::at(source, row * stride + k) : 0.0f;
      float odd = row < rows && k + 1 < columns ? Source::at(source, row * stride + k + 1) : 0.0f;
      *reinterpret_cast<uint32_t*>(weights + fragment_index16(to, k, groups)) = pack2(even, odd);
    }
  }
}

/// The largest magnitude of a row; of every order of maxima the same.
template <class Source>
DEVICE float row_absmax(const void* source, long long first, int columns) {
  SHARED float largest[256];
  float mine = 0.0f;
  for (int k = threadIdx.x; k < columns; k += blockDim.x) mine = fmaxf(mine, fabsf(Source::at(source, first + k)));
  __syncthreads();  // the last row's value has been read
  largest[threadIdx.x] = mine;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) largest[threadIdx.x] = fmaxf(largest[threadIdx.x], largest[threadIdx.x + half]);
    __syncthreads();
  }
  return largest[0];
}

/// A row at a time, by a block of 256 threads: scale = absmax / largest code, code = nearest(x / scale). A thread writes a word.
template <class Source, class To>
DEVICE void pack_quantised(const void* source, long long stride, int rows, int rowsPadded, int columns, uint32_t* weights, float* scales,
                           int firstRow, int part) {
  int groups = (columns + GROUP_K - 1) / GROUP_K;
  for (int row = blockIdx.y; row < rowsPadded; row += gridDim.y) {
    int to = packed_row(firstRow + row, part);
    float absmax = row_absmax<Source>(source, row * stride, row < rows ? columns : 0);
    float scale = absmax > 0.0f ? __fdiv_rn(absmax, To::LARGEST) : 1.0f;
    if (threadIdx.x == 0 && blockIdx.x == 0) scales[to] = __fmul_rn(scale, To::UNIT);
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < groups * (GROUP_K / 4); i += gridDim.x * blockDim.x) {
      int first = i / 4 * 16 + i % 4 * 2;
      uint8_t codes[4];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int k = first + j % 2 + j / 2 * 8;
        float x = row < rows && k < columns ? Source::at(source, row * stride + k) : 0.0f;
        codes[j] = To::of(__fdiv_rn(x, scale));
      }
      weights[fragment_word8(to, first, groups)] = To::word(codes);
    }
  }
}

/// Eight threads have a group of a row, each the columns of one word of codes.
struct Int4Group {
  float x[8];

  /// Every order of the eight threads' exchange makes the same sums: they are formed in pairs, and a + b is b + a.
  DEVICE static float sum(float mine) {
    for (int lane = 1; lane < 8; lane *= 2) mine = __fadd_rn(mine, __shfl_xor_sync(0xffffffffu, mine, lane));
    return mine;
  }

  /// The group's number that is largest in magnitude; of x and -x, x.
  DEVICE float extreme() const {
    float largest = 0.0f, smallest = 0.0f;
#pragma unroll
    for (int j = 0; j < 8; j++) {
      largest = fmaxf(largest, x[j]);
      smallest = fminf(smallest, x[j]);
    }
    for (int lane = 1; lane < 8; lane *= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, lane));
      smallest = fminf(smallest, __shfl_xor_sync(0xffffffffu, smallest, lane));
    }
    return -smallest > largest ? smallest : largest;
  }

  /// The nearest of -8 .. 7.
  DEVICE static float nearest(float x) { return fminf(fmaxf(rintf(x), -8.0f), 7.0f); }

  /// The scale of the least squared error, of those that come of the codes that 16 divisors of the extreme give. The extreme's code is
  /// -8 or near it, so that all codes are used, and the scale has the sign for that. For given codes q the best scale is sum(xq) / sum(qq),
  /// and the error then sum(xx) - sum(xq)^2 / sum(qq).
  DEVICE float scale() const {
    float end = extreme();
    float best = 0.0f, bestGain = 0.0f;
    if (end != 0.0f) best = __fdiv_rn(end, -8.0f);
    for (int i = 0; i < 16; i++) {
      float inverse = end == 0.0f ? 0.0f : __fdiv_rn(-6.6f - 0.15f * static_cast<float>(i), end);
      float xq = 0.0f, qq = 0.0f;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        float q = nearest(__fmul_rn(x[j], inverse));
        xq = __fmaf_rn(x[j], q, xq);
        qq = __fmaf_rn(q, q, qq);
      }
      xq = sum(xq);
      qq = sum(qq);
      float fit = qq > 0.0f ? __fdiv_rn(xq, qq) : 0.0f;
      float gain = __fmul_rn(xq, fit);
      if (gain > bestGain) {
        bestGain = gain;
        best = fit;
      }
    }
    return best;
  }
};

/// A row at a time, by a block of 256 threads: row scale = 64 times a power of two, such that what is left of a group's scale is below 1/32 in
/// magnitude, and the value of code 0 below 1/4.
template <class Source>
DEVICE void pack_int4(const void* source, long long stride, int rows, int rowsPadded, int columns, void* weights, float* scales, int firstRow,
                      int part) {
  int groups = (columns + GROUP_K - 1) / GROUP_K;
  for (int row = blockIdx.y; row < rowsPadded; row += gridDim.y) {
    int to = packed_row(firstRow + row, part);
    // Groups' scales are below a quarter of the largest magnitude.
    float quarter = __fmul_rn(row_absmax<Source>(source, row * stride, row < rows ? columns : 0), 0.25f);
    float unit = __uint_as_float((__float_as_uint(fmaxf(quarter, 1e-30f)) & 0x7f800000u));
    if (threadIdx.x == 0 && blockIdx.x == 0) scales[to] = __fmul_rn(unit, 64.0f);
    int words = groups * (GROUP_K / 8);
    for (int first = blockIdx.x * blockDim.x; first < words; first += gridDim.x * blockDim.x) {
      int word = first + static_cast<int>(threadIdx.x);  // whole warps exchange numbers, beyond the last group too
      int k0 = word / 8 * GROUP_K + word % 8 / 4 * 32 + word % 4 * 2;
      Int4Group group;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        int k = k0 + j / 4 * 16 + j % 4 / 2 * 8 + j % 2;
        group.x[j] = word < words && row < rows && k < columns ? Source::at(source, row * stride + k) : 0.0f;
      }
      bf16 scale = from_float_rn(__fdiv_rn(group.scale(), unit));
      if (fabsf(to_float(scale)) < 1e-20f) scale = from_float_rn(1.0f);
      float step = __fmul_rn(to_float(scale), unit);
      uint32_t codes = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        int k = k0 + j / 4 * 16 + j % 4 / 2 * 8 + j % 2;
        codes |= static_cast<uint32_t>(8 + static_cast<int>(Int4Group::nearest(__fdiv_rn(group.x[j], step)))) << shift4(k);
      }
      if (word >= words) continue;
      unsigned char* at = group4(weights, to, k0, groups);
      *codes4(at, to, k0) = codes;
      if (word % 8 == 0) *zero4(at, to) = from_float_rn(__fmul_rn(to_float(scale), -0.125f));
    }
  }
}

#define PACK_SOURCE(source_name, Source)                                                                                     \
  KERNEL_BOUNDS(pack_weights_bf16_##source_name, 256, 1, PACK_PARAMETERS) {                                                  \
    (void)scales;                                                                                                            \
    pack_bf16<Source>(source, stride, rows, rowsPadded, columns, static_cast<bf16*>(weights), firstRow, part);              \
  }                                                                                                                          \
  KERNEL_BOUNDS(pack_weights_fp8_##source_name, 256, 1, PACK_PARAMETERS) {                                                   \
    pack_quantised<Source, ToFp8>(source, stride, rows, rowsPadded, columns, static_cast<uint32_t*>(weights), scales, firstRow, part); \
  }                                                                                                                          \
  KERNEL_BOUNDS(pack_weights_int8_##source_name, 256, 1, PACK_PARAMETERS) {                                                  \
    pack_quantised<Source, ToInt8>(source, stride, rows, rowsPadded, columns, static_cast<uint32_t*>(weights), scales, firstRow, part); \
  }                                                                                                                          \
  KERNEL_BOUNDS(pack_weights_int4_##source_name, 256, 1, PACK_PARAMETERS) {                                                  \
    pack_int4<Source>(source, stride, rows, rowsPadded, columns, weights, scales, firstRow, part);                           \
  }

PACK_SOURCE(bf16, SourceBf16)
PACK_SOURCE(f16, SourceF16)
PACK_SOURCE(f32, SourceF32)

// ---------------------------------------------------------------------------------------------------------------- dummy weights
//
// The element of a row and column depends on the seed and on nothing else: four 16-bit numbers of a hash, summed, are close to normal. Every 16-byte piece is one thread's. grid (anything), block 256. Padding is written too, as zeros.

/// Mean 0, deviation 1, magnitude below 3.47.
DEVICE float random_normal(unsigned long long seed, int row, int column) {
  unsigned long long z = seed + (static_cast<unsigned long long>(row) << 32 | static_cast<unsigned>(column)) * 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  int sum = static_cast<int>(z & 0xffff) + static_cast<int>(z >> 16 & 0xffff) + static_cast<int>(z >> 32 & 0xffff) + static_cast<int>(z >> 48);
  return __fmul_rn(static_cast<float>(sum - 131070), 1.0f / 37837.23f);
}

DEVICE float random_weight(unsigned long long seed, int row, int column, int rows, int columns) {
  return row < rows && column < columns ? random_normal(seed, row, column) : 0.0f;
}

KERNEL_BOUNDS(fill_random_bf16, 256, 1, void* weights, int rows, int columns, long long seed, float deviation) {
  int groups = (columns + GROUP_K - 1) / GROUP_K;
  long pieces = static_cast<long>((rows + 63) / 64) * 4 * groups * 4 * 32;
  for (long piece = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; piece < pieces; piece += static_cast<long>(gridDim.x) * blockDim.x) {
    int lane = static_cast<int>(piece % 32);
    long tile = piece / 32;
    int row = static_cast<int>(tile / (groups * 4)) * 16 + lane / 4;
    int k = static_cast<int>(tile % (groups * 4)) * 16 + lane % 4 * 2;
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float low = random_weight(seed, row + i % 2 * 8, k + i / 2 * 8, rows, columns);
      float high = random_weight(seed, row + i % 2 * 8, k + i / 2 * 8 + 1, rows, columns);
      words[i] = pack2(__fmul_rn(low, deviation), __fmul_rn(high, deviation));
    }
    static_cast<uint4*>(weights)[piece] = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

// ---------------------------------------------------------------------------------------------------------------- activations

/// An element of a matrix in fragment order as the tensor cores see it, before the row's scale.
template <class Format>
DEVICE float element(const void* weights, int row, int k, int groups);

template <>
DEVICE float element<Bf16Weights>(const void* weights, int row, int k, int groups) {
  return to_float(static_cast<const bf16*>(weights)[fragment_index16(row, k, groups)]);
}

/// Column k's of a word's four values.
DEVICE float element_of(uint32_t first, uint32_t second, int k) {
  uint32_t pair = k % 16 < 8 ? first : second;
  return k % 2 == 0 ? low_to_float(pair) : high_to_float(pair);
}

template <>
DEVICE float element<Fp8Weights>(const void* weights, int row, int k, int groups) {
  uint32_t first, second;
  e4m3x4_to_bf16(static_cast<const uint32_t*>(weights)[fragment_word8(row, k, groups)], first, second);
  return element_of(first, second, k);
}

template <>
DEVICE float element<Int8Weights>(const void* weights, int row, int k, int groups) {
  uint32_t first, second;
  excess128x4_to_bf16(static_cast<const uint32_t*>(weights)[fragment_word8(row, k, groups)], first, second);
  return element_of(first, second, k);
}

template <>
DEVICE float element<Int4Weights>(const void* weights, int row, int k, int groups) {
  unsigned char* group = group4(const_cast<void*>(weights), row, k, groups);
  uint32_t word = *codes4(group, row, k) >> k % 32 / 16 * 8;
  uint32_t first, second;
  int4x4_to_bf16(word, Int4Scale(bf16_bits(*zero4(group, row)) * 0x10001u), first, second);
  return element_of(first, second, k);
}

/// out[row] = embedding[tokens[row]] * factor, f32 [rows][outStride]. A negative token ~i is sampled[i], which sample_draw of the step before
/// wrote. The embedding may be the output matrix too (tied weights), so it is in fragment order: of bf16, a token's row is 8 bytes of every
/// 64. grid (rows), block 256.
template <class Format>
DEVICE void embed(const void* weights, const float* scales, int columns, const int* tokens, const int* sampled, float* out, int outStride,
                  const int* counts, float factor) {
  pdl_launch();
  pdl_wait();
  int row = blockIdx.x;
  if (row >= *counts) return;
  int token = tokens[row];
  if (token < 0) token = sampled[~token];
  float scale = scales == nullptr ? factor : __fmul_rn(scales[token], factor);
  int groups = (columns + GROUP_K - 1) / GROUP_K;
  for (int k = threadIdx.x; k < columns; k += blockDim.x) {
    out[static_cast<long>(row) * outStride + k] = __fmul_rn(element<Format>(weights, token, k, groups), scale);
  }
}

#define EMBED(name, Format)                                                                                                        \
  KERNEL_BOUNDS(name, 256, 1, const void* weights, const float* scales, int columns, const int* tokens, const int* sampled,        \
                float* out, int outStride, const int* counts, int countIndex, float factor) {                                      \
    embed<Format>(weights, scales, columns, tokens, sampled, out, outStride, counts + countIndex, factor);                         \
  }

EMBED(embed_bf16, Bf16Weights)
EMBED(embed_fp8, Fp8Weights)
EMBED(embed_int8, Int8Weights)
EMBED(embed_int4, Int4Weights)

/// f32 rows to an operand, padding columns included. A thread writes 16 bytes. grid (rows), block 256.
KERNEL_BOUNDS(operand_from_tensor, 256, 1, const float* in, int inStride, int columns, void* operand, int operandRows, const int* counts,
              int countIndex) {
  pdl_launch();
  pdl_wait();
  int row = blockIdx.x;
  if (row >= counts[countIndex]) return;
  const float* from = in + static_cast<long>(row) * inStride;
  for (int k = threadIdx.x * 8; k < (columns + 63) / 64 * 64; k += blockDim.x * 8) {
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = k + i < columns ? from[k + i] : 0.0f;
    *reinterpret_cast<uint4*>(operand_at(operand, operandRows, row, k)) =
        make_uint4(pack2(x[0], x[1]), pack2(x[2], x[3]), pack2(x[4], x[5]), pack2(x[6], x[7]));
  }
}
