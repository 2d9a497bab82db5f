package io.verdier.engine.run;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageThread;
import io.verdier.engine.run.pipeline.StageWork;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Stages of one process behind each other, each with a thread that hands on to the next.
 * Thread-safe as {@link StageThread} is.
 */
public final class StageChain implements AutoCloseable {
  private final List<StageThread> threads = new ArrayList<>(); // the last stage's first

  /** Where what leaves the chain goes; called on a stage's thread. */
  public interface Exits {
    /** To the stage behind the last one of these. */
    void onward(StageWork work);

    /** From the last stage of all. */
    void back(StageResult result);

    /** A stage does nothing more. */
    void failed(String reason);
  }

  /**
   * Starts the threads.
   *
   * @param stages in order, one at least; closed with this
   * @param config how large a step may be
   */
  public StageChain(List<LoadedModel> stages, ServerConfig config, Exits exits) {
    ServerConfig.Scheduling scheduling = config.scheduling();
    Consumer<StageWork> next = exits::onward;
    for (LoadedModel stage : stages.reversed()) {
      StageRunner runner =
          StageRunner.of(
              stage, scheduling.batchedTokensMax(), scheduling.sequencesMax(), next, exits::back);
      String name = "verdier-stage-" + stage.transformer().stage().index();
      StageThread thread = new StageThread(name, runner, exits::failed);
      threads.add(thread);
      next = thread::add;
    }
  }

  /** To the first of these stages. */
  public void add(StageWork work) {
    threads.getLast().add(work);
  }

  @Override
  public void close() {
    threads.reversed().forEach(StageThread::close); // nobody's work goes to one that is closed
  }
}
