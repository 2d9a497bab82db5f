package io.verdier.verticles.bus;

import io.verdier.engine.schedule.FinishReason;

/**
 * Ends sequences: the client is gone, a stop string appeared, the deadline passed. One of the two
 * back edges. Immutable.
 *
 * <p>HTTP sends it to the scheduler, and where nothing was heard of a sequence yet also to the
 * tokenizer that has its {@link Submit}: the first may overtake that request, the second is passed
 * on behind it.
 *
 * @param silent whether nobody waits for a last word of the scheduler
 */
public record Cancel(long[] keys, FinishReason reason, boolean silent) {}
