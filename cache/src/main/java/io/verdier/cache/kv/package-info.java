/**
 * The books of the KV cache: which block holds what, who holds which block, what can be shared. No
 * bytes, no pointers, no tensors: those belong to the backend. Owned by the scheduler thread,
 * because every answer is needed inside a scheduling decision. No lock, clock or I/O may enter.
 */
@NullMarked
package io.verdier.cache.kv;

import org.jspecify.annotations.NullMarked;
