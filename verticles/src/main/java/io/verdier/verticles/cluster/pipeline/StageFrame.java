package io.verdier.verticles.cluster.pipeline;

import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageWork;
import java.util.Map;

/**
 * What nodes that share a model tell each other. A closed choice. Immutable.
 *
 * <pre>
 *   node n → node 0     Hello         who it is and what it has       node 0 → node n   Welcome | Refused
 *   node n → node n-1   Attach        work goes this way
 *   node n → node 0     Ready         it has loaded
 *   node n-1 → node n   Work          last node → node 0   Result
 *   both ways           Alive, once a second;  Failed, Bye: the last word
 * </pre>
 */
sealed interface StageFrame {

  /**
   * A node is there.
   *
   * @param facts what must be the same on all nodes, by name
   * @param blocks of the KV cache that it has room for
   * @param port on which the node behind it finds it; 0: there is none behind it
   */
  record Hello(int node, Map<String, String> facts, int blocks, int port) implements StageFrame {
    public Hello {
      facts = Map.copyOf(facts);
    }
  }

  /**
   * All nodes are there.
   *
   * @param blocks that every stage has
   * @param host of the node before
   * @param port of the node before
   */
  record Welcome(int blocks, String host, int port) implements StageFrame {}

  /** The node does not fit. */
  record Refused(String reason) implements StageFrame {}

  /** A node wants the work of the node before it over this connection. */
  record Attach(int node) implements StageFrame {}

  /** A node has loaded its layers. */
  record Ready() implements StageFrame {}

  /** Nothing else is to be said. */
  record Alive() implements StageFrame {}

  /** A node can do no more. */
  record Failed(String reason) implements StageFrame {}

  /** Node 0 ends, as it is to. */
  record Bye() implements StageFrame {}

  /** For the stages behind. */
  record Work(StageWork work) implements StageFrame {}

  /** From the last stage. */
  record Result(StageResult result) implements StageFrame {}
}
