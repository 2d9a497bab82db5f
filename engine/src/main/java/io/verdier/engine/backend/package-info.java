/**
 * What a model asks of a device: whole-batch operations over ragged tokens, on opaque tensors that
 * the backend owns, and a token where the logits are. Owned by the executor thread. No model family
 * may enter; no pointer may leave.
 */
@NullMarked
package io.verdier.engine.backend;

import org.jspecify.annotations.NullMarked;
