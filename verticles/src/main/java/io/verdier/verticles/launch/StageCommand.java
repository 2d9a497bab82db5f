package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.StageLoader;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.verticles.cache.ModelFiles;
import io.verdier.verticles.cluster.pipeline.StageFacts;
import io.verdier.verticles.cluster.pipeline.StageMember;
import java.time.Duration;
import org.slf4j.Logger;

/**
 * {@code verdier serve --node-rank 1} and up: a process that has some layers of a model and nothing
 * else, no HTTP either. It ends when node 0 does, or any other node, with a status that says which:
 * only together are they of use.
 */
final class StageCommand {
  /** Node 0 drains first, and what it still computes needs this node. */
  private static final Duration BEHIND_DRAIN = Duration.ofSeconds(10);

  private StageCommand() {}

  /** Runs in the calling thread until the end. */
  static int run(ServerConfig config, Logger log) {
    StageMember member = new StageMember(config);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> onSignal(member, config), "drain"));
    try {
      serve(member, config, log);
    } catch (RuntimeException | Error unusable) {
      String reason = ModelParts.reason(unusable);
      log.error("This node cannot serve: {}", reason);
      member.fail(reason);
      member.close();
      return Command.FAILED;
    }
    String reason = member.awaitEnd();
    member.close();
    if (reason.isEmpty()) {
      log.info("Node 0 has ended, and so does this node");
    } else {
      log.error("The engine failed: {}. The process ends so that it can be restarted.", reason);
    }
    return status(reason);
  }

  private static void serve(StageMember member, ServerConfig config, Logger log) {
    ArtifactStore artifacts =
        new ArtifactStore(config, StageCommand.class.getClassLoader(), DownloadDisplay.choose());
    ModelFiles files = new ModelFiles(artifacts, config);
    try {
      CheckpointFiles model = files.resolve(early -> {}).model(); // all of it has to be compared
      try (StageLoader loader =
          new StageLoader(model, config, StagedModel.backends(config, model))) {
        int blocks = member.join(StageFacts.of(config, model, Version.TEXT), loader.blocks());
        member.start(loader.load(blocks, ModelParts.progress()));
      }
    } finally {
      files.close();
    }
    log.info("Application startup complete.");
  }

  /**
   * A signal: where all nodes of a model are told to end at once, node 0 still finishes its
   * streams, and needs this one for that.
   */
  private static void onSignal(StageMember member, ServerConfig config) {
    int status = 0;
    if (member.awaitEnd(config.limits().drainTimeout().plus(BEHIND_DRAIN))) {
      status = status(member.awaitEnd());
    } else {
      member.fail("it was told to end");
      member.close();
    }
    Runtime.getRuntime().halt(status); // else it would be 143, as if nobody had heard the signal
  }

  private static int status(String reason) {
    return reason.isEmpty() ? 0 : Command.FAILED;
  }
}
