// What the device can do at its best, to set beside what the other kernels do. Called by CudaProbe.
#include "verdier.cuh"

// What this image was compiled with, which the device does not tell: it may run PTX of an older architecture. Called by
// KernelFeatures. One thread.
KERNEL(kernel_features, int* features) { *features = VERDIER_HAS_BULK | VERDIER_HAS_WGMMA << 1; }

// Reads `pieces` pieces of 16 bytes, eight of them under way in a thread at any time. sink is never written. Grid a few blocks a
// multiprocessor, any block; the data should be many times the size of L2.
KERNEL(probe_read, const uint4* from, long long pieces, unsigned* sink) {
  unsigned sum = 0;
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i + 7 * step < pieces; i += 8 * step) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = ldg_stream(from + i + j * step);
#pragma unroll
    for (int j = 0; j < 8; j++) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678) *sink = sum;
}

// Tensor cores that nothing has to feed: each of a block's two warpgroups does 4 * rounds wgmma m64n256k16, from registers and
// 64 KB of shared memory (dynamic). 2 * 64 * 256 * 16 operations each. Grid the multiprocessors, block 256. data: 64 KB, any
// finite numbers. Without wgmma it does nothing.
KERNEL_BOUNDS(probe_wgmma, 256, 1, const unsigned char* data, float* sink, int rounds) {
#if VERDIER_HAS_WGMMA
  DYNAMIC_SHARED(memory);
  for (int i = threadIdx.x * 16; i < 65536; i += blockDim.x * 16) {
    *reinterpret_cast<uint4*>(memory + i) = *reinterpret_cast<const uint4*>(data + i);
  }
  fence_async_proxy();
  __syncthreads();
  uint32_t a[4][4];
  for (int i = 0; i < 16; i++) a[i / 4][i % 4] = reinterpret_cast<const uint32_t*>(data)[threadIdx.x * 16 + i];
  float sums[128];
#pragma unroll
  for (int i = 0; i < 128; i++) sums[i] = 0;
  for (int round = 0; round < rounds; round++) {
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; step++) {
      wgmma_rs<256>(sums, a[step], wgmma_descriptor(memory + round % 2 * 32768, step));
    }
    wgmma_commit();
    wgmma_wait<0>();
  }
  wgmma_settled(sums);
  float total = 0;
#pragma unroll
  for (int i = 0; i < 128; i++) total += sums[i];
  if (total == 12345.0f) *sink = total;
#endif
}
