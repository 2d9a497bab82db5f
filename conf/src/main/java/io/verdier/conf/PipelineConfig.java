package io.verdier.conf;

import java.time.Duration;

/**
 * How the layers of a model are shared out: in stages behind each other, on this node or on several
 * of them. Immutable.
 *
 * @param stages groups of consecutive layers; 1: all layers are in one
 * @param nodes processes that have the stages, each as many
 * @param node number of this one; 0 has the first stages and answers HTTP
 * @param masterHost address of node 0, which binds it
 * @param masterPort port of node 0; the others bind those behind it
 * @param patience so long nodes wait for each other at the start, and then until all have loaded
 */
public record PipelineConfig(
    int stages, int nodes, int node, String masterHost, int masterPort, Duration patience) {

  /** All layers here. */
  public static final PipelineConfig NONE =
      new PipelineConfig(1, 1, 0, "127.0.0.1", 29501, Duration.ofMinutes(5));

  /** Whether there is more than one stage. */
  public boolean isWanted() {
    return stages > 1;
  }

  /** Whether stages are on other nodes. */
  public boolean spansNodes() {
    return nodes > 1;
  }

  /** Whether this node has the first stages, and with them everything but the other stages. */
  public boolean isLead() {
    return node == 0;
  }

  /** Stages of each node. */
  public int stagesHere() {
    return stages / nodes;
  }

  /** The first of this node's. */
  public int firstStage() {
    return node * stagesHere();
  }
}
