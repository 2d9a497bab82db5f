/**
 * Prefix blocks that engines keep at other nodes: the node that keeps them, the actor of an engine
 * that asks it, and what they say to each other. Each of the two is a worker with a thread of its
 * own, for blocks are megabytes to copy and to sign. Which blocks are worth keeping, and what is
 * done with those that came, must not enter: that is the scheduler's.
 */
@NullMarked
package io.verdier.verticles.cluster.keep;

import org.jspecify.annotations.NullMarked;
