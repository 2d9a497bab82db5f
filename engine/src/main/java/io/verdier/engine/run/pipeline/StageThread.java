package io.verdier.engine.run.pipeline;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A stage's thread, which works through what the stage before sends, in order. Thread-safe: work
 * comes from any thread.
 *
 * <p>Two parts of a step are under way at the same time because each stage has such a thread: this
 * one computes the first part while the stage before computes the second.
 */
public final class StageThread implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(StageThread.class);

  private static final long END_MILLIS = 5_000;

  /** The parts of a step, what is wanted of them, and one more for good measure. */
  private static final int WORK_MAX = 2048;

  private final BlockingQueue<StageWork> queue = new LinkedBlockingQueue<>(WORK_MAX);
  private final Thread thread;
  private volatile boolean ended;

  /** What a stage does. Owned by its thread. */
  public interface Worker extends AutoCloseable {
    void run(StageWork work);

    @Override
    void close();
  }

  /**
   * Starts the thread.
   *
   * @param name of the thread
   * @param stage closed by it in the end
   * @param failed hears why it will do nothing more
   */
  public StageThread(String name, Worker stage, Consumer<String> failed) {
    thread = new Thread(() -> work(stage, failed), name);
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Puts work behind what is there.
   *
   * @throws PipelineFailure if there is more than can be
   */
  public void add(StageWork work) {
    if (!queue.offer(work)) {
      throw new PipelineFailure(WORK_MAX + " pieces of work wait for a stage");
    }
  }

  private void work(Worker stage, Consumer<String> failed) {
    try (stage) {
      StageWork work = queue.take();
      while (!ended) {
        stage.run(work);
        work = queue.take();
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    } catch (Throwable thrown) { // nobody else would hear of it, and all would wait
      if (!ended) {
        LOG.error("A stage of the model failed", thrown);
        failed.accept(Thread.currentThread().getName() + ": " + thrown);
      }
    }
  }

  /** Ends it behind what it does, and waits for that for a while; what else is there is dropped. */
  @Override
  public void close() {
    ended = true;
    queue.clear();
    queue.add(new StageWork.Vacate()); // wakes it, and is not done
    try {
      thread.join(END_MILLIS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt(); // it has been told already
    }
    if (thread.isAlive()) {
      LOG.warn("A stage of the model did not end within {} s", END_MILLIS / 1000);
    }
  }
}
