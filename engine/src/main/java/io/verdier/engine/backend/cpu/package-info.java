/**
 * The CPU backends: weights in tiles of 32 rows and a pool of compute threads. Owned by the
 * executor thread, which takes part in the pool's work.
 *
 * <p>{@link io.verdier.engine.backend.cpu.CpuBackends} chooses. {@code Native*} classes drive the C
 * kernels in {@code src/main/c}: bfloat16 or quantized products and a bfloat16 cache, for
 * processors that have the instructions. {@code CpuBackend} computes in Java, with float32
 * activations and cache, everywhere.
 *
 * <p>In Java every kernel exists twice, scalar and with the Vector API, and both give the same
 * bits: each output is accumulated with fused multiply-adds in one fixed order, and no library
 * function with an unspecified last bit is used. That is what makes batches, chunks, thread counts,
 * vector widths and compilation states invisible in the answers.
 */
@NullMarked
package io.verdier.engine.backend.cpu;

import org.jspecify.annotations.NullMarked;
