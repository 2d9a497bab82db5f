package io.verdier.conf;

import java.util.List;

/**
 * Reads the flags that share a model's layers out. Owned by the thread that loads.
 *
 * <p>They are vLLM's, for one model on several hosts: each host starts the same command with
 * another {@code --node-rank}.
 */
final class PipelineFlags {
  private static final List<String> OF_NODES =
      List.of("--node-rank", "--master-addr", "--master-port");

  private final Settings settings;
  private final Findings findings;

  PipelineFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  PipelineConfig pipeline() {
    int stages = Math.max(1, settings.whole("--pipeline-parallel-size"));
    int nodes = nodes(stages);
    int node = settings.whole("--node-rank");
    boolean isBad = false;
    if (nodes > 1 && stages % nodes != 0) {
      problem(
          "--nnodes",
          "%d nodes cannot share --pipeline-parallel-size %d evenly".formatted(nodes, stages));
      isBad = true;
    }
    if (node >= nodes) {
      problem(
          "--node-rank",
          "%d of %d nodes; it must be at most %d, for the first one is 0%s"
              .formatted(
                  node,
                  nodes,
                  nodes - 1,
                  stages == 1 ? ". --pipeline-parallel-size says how many share the model" : ""));
      isBad = true;
    }
    int port = settings.whole("--master-port");
    if (nodes > 1 && (port == 0 || port + nodes - 2 > 65_535)) {
      problem(
          "--master-port", "%d leaves no room for %d ports from it on".formatted(port, nodes - 1));
    }
    String host = settings.text("--master-addr");
    if (!host.matches("[A-Za-z0-9._:%-]+")) {
      problem("--master-addr", "'" + Shown.text(host) + "' is not a host or address");
    }
    if (nodes == 1 && settings.given("--distributed-timeout-seconds")) {
      findings.notice("--distributed-timeout-seconds has no effect on a single node");
    }
    return isBad
        ? PipelineConfig.NONE
        : new PipelineConfig(
            stages, nodes, node, host, port, settings.duration("--distributed-timeout-seconds"));
  }

  /** Who says where a node is has several, and without another word each has one stage. */
  private int nodes(int stages) {
    return settings.given("--nnodes") || OF_NODES.stream().noneMatch(settings::given)
        ? settings.whole("--nnodes")
        : stages;
  }

  private void problem(String flag, String text) {
    findings.problem(settings.origin(flag), flag + ": " + text);
  }
}
