// Low-rank additions to the embedding: what lora_shrink makes of a row of an operand, made of a token. A is kept by columns, so that a
// token's numbers lie together; lora_expand (lora.cu, which has the pictures of slots and batches) does the rest.
//
//   A       [tokens][rank rounded up to 8, zeros]
#include "verdier.cuh"

// sums[r] = A[token][r] for the rows of one tile: a copy, so there is no order to keep.
// Grid (tiles), 128 threads. sums: f32 [places][rankTiles * 16]. Bytes a row: 2 * rank. A negative token ~i is sampled[i], as in `embed`.
KERNEL_BOUNDS(lora_look_up, 128, 1, const void* slots, long long slotBytes, int entryIndex, int rankTiles, const int* tokens,
              const int* sampled, const int* counts, const int* order, const int* tiles, float* sums) {
  using namespace lora;
  pdl_launch();
  if (static_cast<int>(blockIdx.x) >= counts[0]) {
    pdl_wait();
    return;
  }
  Tile tile(tiles, blockIdx.x);
  Entry entry(slots, slotBytes, tile.slot, entryIndex);
  const uint16_t* a = reinterpret_cast<const uint16_t*>(entry.a);
  int64_t stride = (entry.rank + 7) / 8 * 8;
  pdl_wait();
  for (int i = threadIdx.x; i < tile.rows * entry.rank; i += blockDim.x) {
    int place = tile.first + i / entry.rank, r = i % entry.rank;
    int token = tokens[order[place]];
    if (token < 0) token = sampled[~token];
    sums[sums_at(place, 0, 1, 0, 1, rankTiles * RANKS) + r] = low_to_float(a[token * stride + r]);
  }
}
