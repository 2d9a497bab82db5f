/**
 * Responses, kept for a while, and the events of those that are made in the background: a thin
 * actor around a bounded store. Owned by one event loop. No HTTP, no tokens, nothing of how a
 * response is made.
 */
@NullMarked
package io.verdier.verticles.respond;

import org.jspecify.annotations.NullMarked;
