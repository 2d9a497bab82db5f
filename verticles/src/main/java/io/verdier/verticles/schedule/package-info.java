/**
 * The scheduler's actor: a thin shell around {@link io.verdier.engine.schedule.Scheduler}. One
 * worker thread per engine. No decision is taken here.
 */
@NullMarked
package io.verdier.verticles.schedule;

import org.jspecify.annotations.NullMarked;
