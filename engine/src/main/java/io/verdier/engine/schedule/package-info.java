/**
 * Who runs this step, in which blocks: one deterministic object. Owned by the scheduler thread. No
 * clock, I/O, log, lock or randomness may enter.
 */
@NullMarked
package io.verdier.engine.schedule;

import org.jspecify.annotations.NullMarked;
