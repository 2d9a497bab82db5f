/**
 * The stages of one model on several nodes: who is there, whether all have the same model, and the
 * sockets over which work goes down and results come back. One event loop of its own owns the
 * sockets; stages compute in threads of their own. What the work is, and how it is planned, must
 * not enter.
 */
@NullMarked
package io.verdier.verticles.cluster.pipeline;

import org.jspecify.annotations.NullMarked;
