/** Threads, bus, HTTP, clustering, start-up. The only module that imports Vert.x. */
@NullMarked
package io.verdier.verticles;

import org.jspecify.annotations.NullMarked;
