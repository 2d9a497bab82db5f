/**
 * Direct connections between nodes, beside the event bus, for what is too large for it: opened with
 * a version, signed frame by frame with the cluster's secret, every length bounded. What the frames
 * mean is not known here.
 */
@NullMarked
package io.verdier.verticles.cluster.socket;

import org.jspecify.annotations.NullMarked;
