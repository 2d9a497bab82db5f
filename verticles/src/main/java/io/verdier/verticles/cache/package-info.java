/**
 * The cache's actors: slow work beside a request's way. One brings the model's files, on one worker
 * thread; one brings adapters to host memory, and has threads of its own for that. Blocks of the KV
 * cache are not counted here: those books belong to the scheduler.
 */
@NullMarked
package io.verdier.verticles.cache;

import org.jspecify.annotations.NullMarked;
