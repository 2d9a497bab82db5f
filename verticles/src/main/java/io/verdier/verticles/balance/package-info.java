/**
 * Which of several engines gets a request: one policy for those of a node and those of a cluster.
 * Decisions only: no bus, no clock. {@link io.verdier.verticles.balance.EnginePool} is shared by
 * the event loops of a node.
 */
@NullMarked
package io.verdier.verticles.balance;

import org.jspecify.annotations.NullMarked;
