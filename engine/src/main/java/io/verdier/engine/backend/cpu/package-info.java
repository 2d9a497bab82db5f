/**
 * The CPU backend: weights in tiles of 32 rows, float32 activations and cache, a pool of compute
 * threads. Owned by the executor thread, which takes part in the pool's work.
 *
 * <p>Every kernel exists twice, scalar and with the Vector API, and both give the same bits: each
 * output is accumulated with fused multiply-adds in one fixed order, and no library function with
 * an unspecified last bit is used. That is what makes batches, chunks, thread counts, vector widths
 * and compilation states invisible in the answers.
 */
@NullMarked
package io.verdier.engine.backend.cpu;

import org.jspecify.annotations.NullMarked;
