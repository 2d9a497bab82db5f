/**
 * What a checkpoint is: its numbers, checked; its family, a row that says how it differs; and the
 * forward pass that serves all of them. Built by the loading thread, then owned by the executor
 * thread. No pointer, no thread and no sampling may enter.
 */
@NullMarked
package io.verdier.engine.model;

import org.jspecify.annotations.NullMarked;
