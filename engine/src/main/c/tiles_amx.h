/*
 * AMX tile registers as every kernel here uses them: 2 x 2 sums of 16 x 16, fed by two tiles of inputs
 * and two of the matrix.
 *
 *                          B6: columns 0..15   B7: 16..31
 *   A4: upper rows 0..15         sums 0             1
 *   A5: lower rows 16..31        sums 2             3
 *
 * Four multiplications of 16 x 16 x 32 bf16 pairs, 16 cycles each, for four loads of 8 cycles. A row's
 * result depends neither on the other rows of its tile nor on how many there are.
 */
#ifndef TILES_AMX_H
#define TILES_AMX_H

#include "lanes.h"

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;

/* All registers are cleared. */
V_INLINE void tiles_configure(const tile_config *c) {
  __asm__ volatile("" : : : "memory"); /* to gcc the intrinsic reads 8 bytes of it */
  _tile_loadconfig(c);
}

/* Tile loads do not tell gcc that they read memory: what they read must be stored before this. */
V_INLINE void tiles_barrier(void) { __asm__ volatile("" : : : "memory"); }

V_INLINE void tiles_release(void) { _tile_release(); }

#endif
