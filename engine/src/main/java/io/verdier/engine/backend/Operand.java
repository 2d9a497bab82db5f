package io.verdier.engine.backend;

/**
 * What a matrix is multiplied with, {@code [rows, columns]}, in the format in which the backend
 * multiplies: float32, bfloat16 or quantized, ordered as its kernels like it. Owned by the executor
 * thread.
 *
 * <p>It is a type of its own so that whoever produces a row (a norm, attention, a gate) can write
 * it in that format once, instead of each multiplication converting it. A format is a function of
 * the row alone.
 */
public interface Operand extends Rows {}
