/**
 * Requests that leave this host: which addresses may be asked, and a client that connects to
 * nothing else. Blocking; called on threads that may wait. What is asked for, and why, must not
 * enter.
 */
@NullMarked
package io.verdier.cache.outbound;

import org.jspecify.annotations.NullMarked;
