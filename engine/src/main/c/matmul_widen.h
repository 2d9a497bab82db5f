/*
 * int4 weights as int8 ones, for more rows than nibbles are best taken apart for in registers.
 * Included by matmul.c behind what asks for memory early.
 */
#ifndef MATMUL_WIDEN_H
#define MATMUL_WIDEN_H

#include "lanes.h"

/*
 * Bytes of [groups] int4 columns as int8 ones: (nibble - 8) * factor + 128. Where a factor is below
 * zero nibbles are turned round, (nibble - 8) * -f = (15 - nibble - 7) * f: a multiplication of 16
 * bits then does two of them, as no product leaves its byte. 300 cycles a block where even and odd
 * bytes apart took 590 (AVX-512), which was most of what products of 7 to 16 rows took in tiles.
 */
static void widen(const uint8_t *from, uint8_t *to, int64_t groups, early *next) {
  const int8_t *factors = (const int8_t *)from + SCALES_BYTES;
  const uint8_t *nibbles = from + SCALES_BYTES + FACTORS_BYTES;
  uint8_t sizes[FACTORS_BYTES], turns[FACTORS_BYTES], offsets[FACTORS_BYTES];
  for (int i = 0; i < FACTORS_BYTES; i++) {
    uint8_t factor = (uint8_t)factors[i], below = factors[i] < 0 ? 0xff : 0;
    uint8_t size = (uint8_t)((factor ^ below) - below);
    sizes[i] = size;
    turns[i] = below & 0x0f;
    offsets[i] = (uint8_t)(128 - 8 * size + (size & below));
  }
  memcpy(to, from, SCALES_BYTES);
  to += SCALES_BYTES;
  vi low = vi_set(0x0f0f0f0f), even = vi_set(0x00ff00ff);
  for (int64_t g = 0; g < groups; g++, nibbles += INT4_GROUP_BYTES, to += INT8_STEP_BYTES / 2) {
    vi size[2], turn[2], offset[2];
    ask(next);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      int64_t at = g * TILE + half * 16;
      size[half] = vi_and(vi_spread_u8(sizes + at), even);
      turn[half] = vi_spread_u8(turns + at);
      offset[half] = vi_spread_u8(offsets + at);
    }
#pragma GCC unroll 8
    for (int q = 0; q < GROUP / 4; q++) {
      vi both = vi_load(nibbles + q * 64);
#pragma GCC unroll 2
      for (int half = 0; half < 2; half++) {
        vi turned = vi_xor(vi_and(half ? vi_shr(both, 4) : both, low), turn[half]);
        vi_store(to + q * 128 + half * 64, vi_add8(vi_mul16(turned, size[half]), offset[half]));
      }
    }
  }
}

#endif
