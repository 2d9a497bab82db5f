/**
 * Complete responses, kept for a while: a thin actor around a bounded store. Owned by one event
 * loop. No HTTP, no tokens, no answers that are still under way.
 */
@NullMarked
package io.verdier.verticles.respond;

import org.jspecify.annotations.NullMarked;
