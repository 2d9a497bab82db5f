// What stands between several devices that share a model: sums and rows of all ranks, from copies that were gathered
// one behind the other. Which rank a device has does not show here, so all of them compute the same bits.
#include "verdier.cuh"

// out[i] = parts[0][i] + parts[1][i] + ..., in this order whatever the number of ranks, rows or blocks: an addend is
// one rank's product, so the sum of a row depends on that row alone. `elements`, of each part, is a multiple of 4.
// Grid ceil(elements / 1024), 256 threads. Bytes an element: 4 a rank in, 4 out.
KERNEL(sum_ranks, float* out, const float* parts, int64_t elements, int ranks) {
  pdl_launch();
  pdl_wait();
  int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
  if (at >= elements) return;
  float4 sum = *reinterpret_cast<const float4*>(parts + at);
  for (int rank = 1; rank < ranks; rank++) {
    float4 v = *reinterpret_cast<const float4*>(parts + rank * elements + at);
    sum = make_float4(__fadd_rn(sum.x, v.x), __fadd_rn(sum.y, v.y), __fadd_rn(sum.z, v.z), __fadd_rn(sum.w, v.w));
  }
  *reinterpret_cast<float4*>(out + at) = sum;
}

// out[row][rank * columns + c] = parts[rank][row][c]: logits of each rank's tokens, side by side.
// Grid (rows, ceil(columns / 256), ranks), 256 threads.
KERNEL(join_ranks, float* out, int outStride, const float* parts, int64_t elements, int stride, int columns) {
  pdl_launch();
  pdl_wait();
  int column = blockIdx.y * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  int64_t row = blockIdx.x;
  out[row * outStride + static_cast<int64_t>(blockIdx.z) * columns + column] =
      parts[blockIdx.z * elements + row * stride + column];
}
