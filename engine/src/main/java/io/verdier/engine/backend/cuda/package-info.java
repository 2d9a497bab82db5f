/**
 * Computes on an NVIDIA GPU: JCuda's driver interface, own kernels (in {@code src/main/cuda}), one
 * queue. The executor thread owns everything here; device addresses do not leave.
 */
@NullMarked
package io.verdier.engine.backend.cuda;

import org.jspecify.annotations.NullMarked;
