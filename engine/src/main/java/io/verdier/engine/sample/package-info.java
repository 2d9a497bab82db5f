/**
 * From logits to a token: penalties, bias, truncation, counter-based randomness, log probabilities,
 * in vLLM's order. Owned by the executor thread. Nothing here may depend on time, batch or thread.
 */
@NullMarked
package io.verdier.engine.sample;

import org.jspecify.annotations.NullMarked;
