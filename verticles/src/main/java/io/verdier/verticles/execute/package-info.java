/**
 * The executor's actor: a thin shell around {@link io.verdier.engine.run.StepRunner}. One worker
 * thread per device. Nothing is decided here.
 */
@NullMarked
package io.verdier.verticles.execute;

import org.jspecify.annotations.NullMarked;
