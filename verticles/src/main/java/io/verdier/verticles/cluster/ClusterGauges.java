package io.verdier.verticles.cluster;

import io.verdier.verticles.observe.ServingMetrics;

/** Numbers of the cluster that other threads read. Thread-safe: the cluster's actor writes them. */
final class ClusterGauges {
  private volatile Seen seen = new Seen(0, 0, 0, 0, 0);

  private record Seen(
      int wantedJobs, int nodes, long migrations, long lateNews, long refusedFrames) {}

  ClusterGauges(ServingMetrics metrics) {
    metrics.watch("verdier:cluster_nodes", "Nodes in sight.", () -> seen.nodes);
    metrics.watchGrowing(
        "verdier:cluster_migrations",
        "Streams that went on at another engine.",
        () -> seen.migrations);
    metrics.watchGrowing(
        "verdier:cluster_late_news",
        "News of engines that had lost the stream.",
        () -> seen.lateNews);
    metrics.watchGrowing(
        "verdier:cluster_refused_frames",
        "Messages on the bus that were not of this cluster.",
        () -> seen.refusedFrames);
  }

  /** Sequences of this node's engine that somebody waits for. */
  int wantedJobs() {
    return seen.wantedJobs;
  }

  void update(EngineGate gate, ClusterView view, Router router, long refusedFrames) {
    seen =
        new Seen(
            gate.wantedCount(),
            view.heardCount(),
            router.migrations(),
            router.lateNews(),
            refusedFrames);
  }
}
