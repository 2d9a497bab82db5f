// What stands between the matmuls: norms, gate, sums, gathered rows, greedy choice, and copies of KV blocks.
//
// One block works out one row, from registers, in a single pass: in decode these kernels run a few times per layer with
// 1 to 64 rows, and what they cost is the way there and back. So whatever an earlier kernel did not write (gains,
// counts, indices) is asked for before pdl_wait. Sums have one order, which depends on the number of columns alone.
//
// Rows: every kernel takes `rows`, the address of their count on the device (counts + 0 for the step's, counts + 3 for
// the rows that want logits), and leaves early beyond it. Tensors are f32 [rows][stride]; operands are bf16
// (verdier.cuh), their padding columns are written as zero.
#include "verdier.cuh"

namespace elementwise {

constexpr int THREADS = 512;
constexpr int VECTORS = 8;  // of 4 columns in a thread: rows of up to 16384 columns
constexpr unsigned ALL = 0xffffffffu;

// Four neighbouring columns; those behind the last are zero. Rows that begin at a multiple of 16 bytes take one load.
DEVICE float4 load4(const float* row, int column, int columns) {
  if (column + 4 <= columns && (reinterpret_cast<uintptr_t>(row) & 15) == 0) {
    return *reinterpret_cast<const float4*>(row + column);
  }
  return make_float4(column < columns ? row[column] : 0.0f, column + 1 < columns ? row[column + 1] : 0.0f,
                     column + 2 < columns ? row[column + 2] : 0.0f, column + 3 < columns ? row[column + 3] : 0.0f);
}

DEVICE void store4(float* row, int column, int columns, float4 v) {
  if (column + 4 <= columns && (reinterpret_cast<uintptr_t>(row) & 15) == 0) {
    *reinterpret_cast<float4*>(row + column) = v;
    return;
  }
  if (column < columns) row[column] = v.x;
  if (column + 1 < columns) row[column + 1] = v.y;
  if (column + 2 < columns) row[column + 2] = v.z;
  if (column + 3 < columns) row[column + 3] = v.w;
}

DEVICE void store4(void* operand, int rowsPad, int row, int column, float4 v) {
  *reinterpret_cast<uint2*>(operand_at(operand, rowsPad, row, column)) = make_uint2(pack2(v.x, v.y), pack2(v.z, v.w));
}

DEVICE float4 sum4(float4 x, float4 y) {
  return make_float4(__fadd_rn(x.x, y.x), __fadd_rn(x.y, y.y), __fadd_rn(x.z, y.z), __fadd_rn(x.w, y.w));
}

DEVICE int padded(int columns) { return (columns + 63) & ~63; }

// ---------------------------------------------------------------------------------------------------------------------
// Root mean square norm
// ---------------------------------------------------------------------------------------------------------------------

// out = x / sqrt(mean(x^2) + epsilon) * gain (Zhang and Sennrich, 2019). Thread i has the columns 4i.., 4(i + 512)..;
// squares add up column by column in a thread, then over lanes 16, 8, 4, 2, 1 apart, then over warps one after another.
struct Norm {
  float4 x[VECTORS];
  const float* gain;  // shared
  int columns;

  DEVICE static int column(int i) { return (i * THREADS + threadIdx.x) * 4; }

  // Before pdl_wait: gains do not change.
  DEVICE void begin(float* shared, const float* from, int count) {
    DEVICE_ASSERT(count <= THREADS * VECTORS * 4 && blockDim.x == THREADS);
    gain = shared;
    columns = count;
    for (int c = threadIdx.x * 4; c < columns; c += THREADS * 4) {
      if (c + 4 <= columns) {
        cp_async16(shared + c, from + c);
      } else {
        for (int d = c; d < columns; d++) shared[d] = from[d];
      }
    }
    cp_async_commit();
  }

  DEVICE void load(const float* row) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) x[i] = load4(row, column(i), columns);
  }

  DEVICE void add(const float* row) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      float4 y = load4(row, column(i), columns);
      x[i] = sum4(x[i], y);
    }
  }

  DEVICE void store(float* row) const {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) store4(row, column(i), columns, x[i]);
  }

  // Barriers.
  DEVICE void apply(float epsilon) {
    SHARED float warps[THREADS / 32];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      sum = __fmaf_rn(x[i].x, x[i].x, sum);
      sum = __fmaf_rn(x[i].y, x[i].y, sum);
      sum = __fmaf_rn(x[i].z, x[i].z, sum);
      sum = __fmaf_rn(x[i].w, x[i].w, sum);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum = __fadd_rn(sum, __shfl_xor_sync(ALL, sum, step));
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = sum;
    cp_async_wait<0>();
    __syncthreads();
    sum = warps[0];
#pragma unroll
    for (int w = 1; w < THREADS / 32; w++) sum = __fadd_rn(sum, warps[w]);
    float mean = __fdiv_rn(sum, static_cast<float>(columns));
    float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      int c = column(i);
      if (c >= columns) continue;
      float4 g = load4(gain, c, columns);
      x[i] = make_float4(__fmul_rn(__fmul_rn(x[i].x, factor), g.x), __fmul_rn(__fmul_rn(x[i].y, factor), g.y),
                         __fmul_rn(__fmul_rn(x[i].z, factor), g.z), __fmul_rn(__fmul_rn(x[i].w, factor), g.w));
    }
  }

  DEVICE void store_operand(void* operand, int rowsPad, int row) const {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      if (column(i) < padded(columns)) store4(operand, rowsPad, row, column(i), x[i]);
    }
  }
};

// silu(gate) * up, gate / (1 + e^-gate).
DEVICE float gated(float gate, float up) {
  float e = exp2_fast(__fmul_rn(gate, -1.4426950408889634f));
  return __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, e)), up);
}

DEVICE float4 gated4(const float* row, int column, int columns) {
  float4 g = load4(row, column, columns);
  float4 u = load4(row + columns, column, columns);
  return make_float4(gated(g.x, u.x), gated(g.y, u.y), gated(g.z, u.z), gated(g.w, u.w));
}

// Greater for a higher value, of equal values for the lower id; -0 and 0 are equal. 0 for NaN.
DEVICE unsigned long long rank(float x, int id) {
  unsigned bits = __float_as_uint(__fadd_rn(x, 0.0f));
  unsigned ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return x == x ? static_cast<unsigned long long>(ascending) << 32 | ~static_cast<unsigned>(id) : 0;
}

DEVICE unsigned long long larger(unsigned long long a, unsigned long long b) { return a > b ? a : b; }

}  // namespace elementwise

// ---------------------------------------------------------------------------------------------------------------------
// Entry points. Unless said otherwise: grid rowsMax, 512 threads
// ---------------------------------------------------------------------------------------------------------------------

// Operand from a tensor, before each matmul that follows a norm. source: rows of `in` to take, or null for row i itself
// (the last norm takes the rows that want logits). Dynamic shared memory: columns floats, rounded up to 16 bytes.
// Columns up to 16384. Bytes a row: 4 in, 2 out per column.
KERNEL_BOUNDS(rms_norm, elementwise::THREADS, 2, void* out, int rowsPad, const float* in, int stride, const int* source,
              const float* gain, int columns, float epsilon, const int* rows) {
  DYNAMIC_SHARED(shared);
  elementwise::Norm norm;
  pdl_launch();
  if (static_cast<int>(blockIdx.x) >= *rows) {
    pdl_wait();
    return;
  }
  norm.begin(reinterpret_cast<float*>(shared), gain, columns);
  pdl_wait();
  int from = source == nullptr ? blockIdx.x : source[blockIdx.x];
  norm.load(in + static_cast<int64_t>(from) * stride);
  norm.apply(epsilon);
  norm.store_operand(out, rowsPad, blockIdx.x);
}

// residual += update, and the operand of its norm: what follows the projections back to the residual.
KERNEL_BOUNDS(add_rms_norm, elementwise::THREADS, 2, void* out, int rowsPad, float* residual, int stride,
              const float* update, int updateStride, const float* gain, int columns, float epsilon, const int* rows) {
  DYNAMIC_SHARED(shared);
  elementwise::Norm norm;
  pdl_launch();
  if (static_cast<int>(blockIdx.x) >= *rows) {
    pdl_wait();
    return;
  }
  norm.begin(reinterpret_cast<float*>(shared), gain, columns);
  pdl_wait();
  float* row = residual + static_cast<int64_t>(blockIdx.x) * stride;
  norm.load(row);
  norm.add(update + static_cast<int64_t>(blockIdx.x) * updateStride);
  norm.store(row);
  norm.apply(epsilon);
  norm.store_operand(out, rowsPad, blockIdx.x);
}

// The same norm with its result as a tensor.
KERNEL_BOUNDS(rms_norm_tensor, elementwise::THREADS, 2, float* out, int outStride, const float* in, int stride,
              const float* gain, int columns, float epsilon, const int* rows) {
  DYNAMIC_SHARED(shared);
  elementwise::Norm norm;
  pdl_launch();
  if (static_cast<int>(blockIdx.x) >= *rows) {
    pdl_wait();
    return;
  }
  norm.begin(reinterpret_cast<float*>(shared), gain, columns);
  pdl_wait();
  norm.load(in + static_cast<int64_t>(blockIdx.x) * stride);
  norm.apply(epsilon);
  norm.store(out + static_cast<int64_t>(blockIdx.x) * outStride);
}

// sum += term. Grid (rowsMax, ceil(columns / 2048)).
KERNEL(add, float* sum, int sumStride, const float* term, int termStride, int columns, const int* rows) {
  using namespace elementwise;
  pdl_launch();
  pdl_wait();
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (static_cast<int>(blockIdx.x) >= *rows || column >= columns) return;
  float* row = sum + static_cast<int64_t>(blockIdx.x) * sumStride;
  float4 x = load4(row, column, columns);
  float4 y = load4(term + static_cast<int64_t>(blockIdx.x) * termStride, column, columns);
  store4(row, column, columns, sum4(x, y));
}

// silu(left half) * right half; columns: of a half. The matmul's epilogue does this for interleaved weights; here both
// halves are side by side. Grid (rowsMax, ceil(columns / 2048)).
KERNEL(gate, void* out, int rowsPad, const float* in, int stride, int columns, const int* rows) {
  using namespace elementwise;
  pdl_launch();
  pdl_wait();
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (static_cast<int>(blockIdx.x) >= *rows || column >= padded(columns)) return;
  float4 v = gated4(in + static_cast<int64_t>(blockIdx.x) * stride, column, columns);
  store4(out, rowsPad, blockIdx.x, column, v);
}

KERNEL(gate_tensor, float* out, int outStride, const float* in, int stride, int columns, const int* rows) {
  using namespace elementwise;
  pdl_launch();
  pdl_wait();
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (static_cast<int>(blockIdx.x) >= *rows || column >= columns) return;
  float4 v = gated4(in + static_cast<int64_t>(blockIdx.x) * stride, column, columns);
  store4(out + static_cast<int64_t>(blockIdx.x) * outStride, column, columns, v);
}

// out[i] = in[source[i]]. Grid (rowsMax, ceil(columns / 2048)).
KERNEL(gather, float* out, int outStride, const float* in, int inStride, const int* source, int columns,
       const int* rows) {
  using namespace elementwise;
  pdl_launch();
  pdl_wait();
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (static_cast<int>(blockIdx.x) >= *rows || column >= columns) return;
  float4 v = load4(in + static_cast<int64_t>(source[blockIdx.x]) * inStride, column, columns);
  store4(out + static_cast<int64_t>(blockIdx.x) * outStride, column, columns, v);
}

// An operand's values as a tensor, exactly. Grid (rowsMax, ceil(columns / 2048)).
KERNEL(tensor_from_operand, float* out, int outStride, const void* in, int rowsPad, int columns, const int* rows) {
  using namespace elementwise;
  pdl_launch();
  pdl_wait();
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
  if (static_cast<int>(blockIdx.x) >= *rows || column >= columns) return;
  uint2 v = *reinterpret_cast<const uint2*>(operand_at(in, rowsPad, blockIdx.x, column));
  store4(out + static_cast<int64_t>(blockIdx.x) * outStride, column, columns,
         make_float4(low_to_float(v.x), high_to_float(v.x), low_to_float(v.y), high_to_float(v.y)));
}

// Each row's highest logit, of equal ones the lowest id. flags[row]: 1 where some logit is NaN or +infinity, else 0.
// Grid rowsMax, 1024 threads.
KERNEL_BOUNDS(argmax, 1024, 1, int* out, int* flags, const float* logits, int stride, int columns, const int* rows) {
  using namespace elementwise;
  SHARED unsigned long long warpBest[32];
  SHARED int warpFlags[32];
  pdl_launch();
  pdl_wait();
  if (static_cast<int>(blockIdx.x) >= *rows) return;
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * stride;
  const float highest = __uint_as_float(0x7f7fffffu);
  unsigned long long best = 0;
  int flag = 0;
  for (int c = threadIdx.x * 4; c < columns; c += blockDim.x * 4) {
    float4 v = load4(row, c, columns);
    float x[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (c + i >= columns) break;
      if (!(x[i] <= highest)) flag = 1;
      best = larger(best, rank(x[i], c + i));
    }
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) best = larger(best, __shfl_xor_sync(ALL, best, step));
  flag = __any_sync(ALL, flag);
  if ((threadIdx.x & 31) == 0) {
    warpBest[threadIdx.x >> 5] = best;
    warpFlags[threadIdx.x >> 5] = flag;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < static_cast<int>(blockDim.x >> 5); w++) {
      best = larger(best, warpBest[w]);
      flag |= warpFlags[w];
    }
    out[blockIdx.x] = best == 0 ? 0 : static_cast<int>(~static_cast<unsigned>(best));
    flags[blockIdx.x] = flag;
  }
}

// Whole blocks of the KV cache into a buffer [count][layers][blockBytes] and back, for the prefix tier in host memory;
// the buffer may be pinned memory of the host. cache: layers layerBytes apart, blocks blockBytes apart; all multiples
// of 16. Grid: any number of blocks of any size.
namespace elementwise {
template <bool GATHER>
DEVICE void copy_blocks(uint4* buffer, uint4* cache, const int* blocks, int count, int layers, int64_t layerBytes,
                        int64_t blockBytes) {
  pdl_launch();
  pdl_wait();
  const int64_t pieces = blockBytes / 16;
  const int64_t all = pieces * layers * count;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < all; i += step) {
    int64_t run = i / pieces;  // block of the list, layer
    int64_t at = run % layers * (layerBytes / 16) + blocks[run / layers] * pieces + i % pieces;
    if (GATHER) {
      buffer[i] = cache[at];
    } else {
      cache[at] = buffer[i];
    }
  }
}
}  // namespace elementwise

KERNEL(kv_gather, uint4* buffer, uint4* cache, const int* blocks, int count, int layers, int64_t layerBytes,
       int64_t blockBytes) {
  elementwise::copy_blocks<true>(buffer, cache, blocks, count, layers, layerBytes, blockBytes);
}

KERNEL(kv_scatter, uint4* buffer, uint4* cache, const int* blocks, int count, int layers, int64_t layerBytes,
       int64_t blockBytes) {
  elementwise::copy_blocks<false>(buffer, cache, blocks, count, layers, layerBytes, blockBytes);
}
