/**
 * The cache's actor: slow work beside a request's way. One worker thread. No books are kept here:
 * those belong to the scheduler.
 */
@NullMarked
package io.verdier.verticles.cache;

import org.jspecify.annotations.NullMarked;
