package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend;

/**
 * A vector in device memory, float32. Immutable.
 *
 * @param address of its first element
 */
record CudaGain(int size, long address) implements Backend.Gain {}
