/**
 * The command {@code verdier bench offline}: scheduler, model and sampler in one thread, without
 * HTTP, bus and text, so that what is measured is the engine alone. Owned by the thread that runs
 * the command. Nothing of it is used by a server.
 */
@NullMarked
package io.verdier.verticles.bench.offline;

import org.jspecify.annotations.NullMarked;
