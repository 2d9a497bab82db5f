package io.verdier.verticles.launch;

import io.verdier.conf.PipelineConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadProgress;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.StageBackends;
import io.verdier.engine.model.StageLoader;
import io.verdier.engine.run.LocalStages;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import io.verdier.verticles.cluster.pipeline.StageFacts;
import io.verdier.verticles.cluster.pipeline.StageHub;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A model in stages, as node 0 loads it: its own stages, while the other nodes load theirs. Owned
 * by the loading thread.
 */
final class StagedModel {
  /** A stage in a thread of this process hangs no more than one that has all layers. */
  private static final Duration NO_HURRY = Duration.ofDays(1);

  private StagedModel() {}

  /**
   * Waits for the other nodes, if there are any.
   *
   * @param files of the model
   * @return what runs all stages
   * @throws io.verdier.engine.model.ModelException if any node cannot serve it
   */
  static ModelRunner load(ServerConfig config, CheckpointFiles files, LoadProgress progress) {
    PipelineConfig pipeline = config.cluster().pipeline();
    if (!pipeline.spansNodes()) {
      return load(config, files, progress, null);
    }
    StageHub hub = StageHub.listen(config.cluster(), StageFacts.of(config, files, Version.TEXT));
    try {
      return load(config, files, progress, hub);
    } catch (RuntimeException | Error e) {
      hub.abandon("the model was not loaded: " + ModelParts.reason(e));
      throw e;
    }
  }

  private static ModelRunner load(
      ServerConfig config, CheckpointFiles files, LoadProgress progress, @Nullable StageHub hub) {
    List<LoadedModel> stages = List.of();
    try (StageLoader loader = new StageLoader(files, config, backends(config, files))) {
      int blocks = hub == null ? loader.blocks() : hub.gather(loader.blocks());
      stages = loader.load(blocks, progress);
      if (hub != null) {
        hub.awaitReady();
      }
      return runner(config, stages, hub);
    } catch (RuntimeException | Error e) {
      stages.forEach(LoadedModel::close);
      throw e;
    }
  }

  /** Stages of one process have devices of their own, or shares of the processor's threads. */
  static StageBackends backends(ServerConfig config, CheckpointFiles files) {
    DType type = ModelLoader.describe(files, config).weightType();
    int count = config.cluster().pipeline().stagesHere();
    return index ->
        BackendOpener.open(
            config, config.backend(), type, KernelForm.WARMING, new Rank(index, count));
  }

  private static ModelRunner runner(
      ServerConfig config, List<LoadedModel> stages, @Nullable StageHub hub) {
    List<LoadedModel> behind = stages.subList(1, stages.size());
    Pipeline.Link link = hub;
    if (link == null || !behind.isEmpty()) {
      link = new LocalStages(behind, config, hub);
    }
    Duration patience = hub == null ? NO_HURRY : config.cluster().hang();
    Pipeline pipeline = Pipeline.start(config.cluster().pipeline().stages(), link, patience);
    ServerConfig.Scheduling scheduling = config.scheduling();
    return new ModelRunner(
        stages.getFirst(), scheduling.batchedTokensMax(), scheduling.sequencesMax(), pipeline);
  }
}
