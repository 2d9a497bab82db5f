/**
 * Many nodes, one service: who is there, which engine gets a request, and how a stream goes on when
 * its engine dies. One event loop owns all of it ({@link
 * io.verdier.verticles.cluster.ClusterVerticle}); Hazelcast and the clustered event bus have a
 * Vert.x of their own, so that nothing inside a node can be addressed from outside. What nodes tell
 * each other has one explicit binary form ({@link io.verdier.verticles.cluster.FrameCodec}) and is
 * signed ({@link io.verdier.verticles.cluster.Seal}). No HTTP, no tokenizing, no model.
 */
@NullMarked
package io.verdier.verticles.cluster;

import org.jspecify.annotations.NullMarked;
