// What stands between the matmuls: norms and gathered rows.
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

}  // namespace elementwise

// ---------------------------------------------------------------------------------------------------------------------
// Entry points
// ---------------------------------------------------------------------------------------------------------------------

// Operand from a tensor, before each matmul that follows a norm. source: rows of `in` to take, or null for row i itself
// (the last norm takes the rows that want logits). Columns up to 16384. Grid rowsMax, 512 threads. Dynamic shared
// memory: columns floats, rounded up to 16 bytes. Bytes a row: 4 in, 2 out per column.
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

// out[i] = in[source[i]]. Grid (rowsMax, ceil(columns / 2048)), 512 threads.
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
