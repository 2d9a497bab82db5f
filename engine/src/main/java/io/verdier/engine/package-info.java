/**
 * Math and decisions: tokenizer, templates, scheduler, sampler, model families, weights, backends.
 * Plain objects without threads of their own (the CPU backend's pool apart). Vert.x must not enter.
 */
@NullMarked
package io.verdier.engine;

import org.jspecify.annotations.NullMarked;
