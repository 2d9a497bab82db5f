package io.verdier.engine.run;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageWork;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Stages behind the first one in its own process, as a link of its pipeline. Thread-safe once it
 * has started.
 */
public final class LocalStages implements Pipeline.Link {
  private final List<LoadedModel> stages;
  private final ServerConfig config;
  private final Pipeline.@Nullable Link behind;
  private @Nullable StageChain chain;

  /**
   * @param stages in order, one at least; closed with this
   * @param behind where the other stages are, closed with this; null: there are none
   */
  public LocalStages(
      List<LoadedModel> stages, ServerConfig config, Pipeline.@Nullable Link behind) {
    this.stages = List.copyOf(stages);
    this.config = config;
    this.behind = behind;
  }

  @Override
  public void start(Pipeline pipeline) {
    if (behind != null) {
      behind.start(pipeline);
    }
    chain = new StageChain(stages, config, new Exits(pipeline, behind));
  }

  /** Immutable. */
  private record Exits(Pipeline pipeline, Pipeline.@Nullable Link behind)
      implements StageChain.Exits {
    @Override
    public void onward(StageWork work) {
      if (behind == null) {
        throw new IllegalStateException("there is no stage behind the last one");
      }
      behind.send(work);
    }

    @Override
    public void back(StageResult result) {
      pipeline.onResult(result);
    }

    @Override
    public void failed(String reason) {
      pipeline.fail(reason);
    }
  }

  @Override
  public void send(StageWork work) {
    if (chain == null) {
      throw new IllegalStateException("the stages have not started");
    }
    chain.add(work);
  }

  @Override
  public void close() {
    if (chain != null) {
      chain.close();
    }
    if (behind != null) {
      behind.close();
    }
  }
}
