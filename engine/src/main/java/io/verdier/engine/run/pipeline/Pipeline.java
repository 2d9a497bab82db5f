package io.verdier.engine.run.pipeline;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The stages behind the first one, as the first one sees them. Thread-safe: the executor thread
 * sends and waits, results and failures come from any.
 *
 * <p>Nothing heals it: a stage that is gone has taken keys and values with it that the scheduler's
 * books still count. So the first failure is the last, every wait ends with it, and whoever listens
 * hears of it once, even when nobody waits.
 */
public final class Pipeline implements AutoCloseable {
  private static final StageResult NOTHING =
      new StageResult.Vacated(); // wakes, and is not looked at

  private static final int STEPS_AHEAD = 1;

  private final int stages;
  private final Link next;
  private final Duration patience;
  private int owed; // the executor thread's, like the next two: answers, confirmations not counted
  private int confirmsOwed;
  private boolean isUnanswered; // rows went down, and nothing has come back since
  private final BlockingQueue<StageResult> results = new LinkedBlockingQueue<>();
  private final AtomicReference<@Nullable String> failure = new AtomicReference<>();
  private final AtomicReference<@Nullable Consumer<String>> listener = new AtomicReference<>();

  /** The way to the second stage, wherever that is. Work comes from the executor thread. */
  public interface Link extends AutoCloseable {

    /** Begins: results and failures go there from now on. Called once, and first. */
    void start(Pipeline pipeline);

    /** Hands work on, in order; waits for nothing. */
    void send(StageWork work);

    /** Ends the stages behind it. */
    @Override
    void close();
  }

  private Pipeline(int stages, Link next, Duration patience) {
    this.stages = stages;
    this.next = next;
    this.patience = patience;
  }

  /**
   * Begins.
   *
   * @param stages all of them, the first one counted
   * @param next closed with this
   * @param patience a result that takes longer never comes
   */
  public static Pipeline start(int stages, Link next, Duration patience) {
    Pipeline pipeline = new Pipeline(stages, next, patience);
    next.start(pipeline);
    return pipeline;
  }

  /** Stages of the model, the first one counted. */
  public int stages() {
    return stages;
  }

  /**
   * Sends work down; waits for nothing.
   *
   * @throws PipelineFailure once a stage has failed
   */
  public void send(StageWork work) {
    requireWhole();
    if (work instanceof StageWork.Rows) {
      isUnanswered = true;
    } else if (!(work instanceof StageWork.Confirm)) {
      owed++;
    }
    next.send(work);
  }

  /**
   * Begins a step: waits where more than {@value #STEPS_AHEAD} before it are under way. Steps of a
   * long prompt have no answer that anybody waits for, and the first stage would run ahead of a
   * slower one by as much memory as the prompt's rows take.
   *
   * @throws PipelineFailure once a stage has failed, or if a step takes too long
   */
  public void beginStep() {
    if (!isUnanswered || owed > 0) { // an answer is on its way where a step has failed in between
      return;
    }
    send(new StageWork.Confirm());
    isUnanswered = false;
    confirmsOwed++;
    if (confirmsOwed > STEPS_AHEAD) {
      take(StageResult.Confirmed.class);
      confirmsOwed--;
    }
  }

  /**
   * Waits for the next result.
   *
   * @throws PipelineFailure once a stage has failed, or if none comes in time
   */
  public <T extends StageResult> T await(Class<T> type) {
    for (; confirmsOwed > 0; confirmsOwed--) { // they were asked for before it
      take(StageResult.Confirmed.class);
    }
    T result = take(type);
    owed--;
    isUnanswered = false;
    return result;
  }

  private <T extends StageResult> T take(Class<T> type) {
    requireWhole();
    StageResult result;
    try {
      result = results.poll(patience.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw failed("waiting for a result was interrupted");
    }
    if (result == null) {
      throw failed("no result came within " + patience.toSeconds() + " s");
    }
    requireWhole(); // or it is the one that only wakes
    if (!type.isInstance(result)) {
      throw failed("another result came than was asked for");
    }
    return type.cast(result);
  }

  private PipelineFailure failed(String reason) {
    fail(reason);
    return new PipelineFailure("A stage of the model failed: " + reason);
  }

  /** The last stage has a result. */
  public void onResult(StageResult result) {
    results.add(result);
  }

  /** Nothing more will come. The first reason counts. */
  public void fail(String reason) {
    if (failure.compareAndSet(null, reason)) {
      tell(reason); // first: who is woken may end all of this
      results.add(NOTHING);
    }
  }

  /** Calls back when it fails; at once if it has. */
  public void onFailed(Consumer<String> hears) {
    listener.set(hears);
    String reason = failure.get();
    if (reason != null) {
      tell(reason);
    }
  }

  private void tell(String reason) {
    Consumer<String> hears = listener.getAndSet(null); // both who fails and who listens may tell
    if (hears != null) {
      hears.accept(reason);
    }
  }

  private void requireWhole() {
    String reason = failure.get();
    if (reason != null) {
      throw new PipelineFailure("A stage of the model failed: " + reason);
    }
  }

  /** Ends the other stages, if they are still there. */
  @Override
  public void close() {
    listener.set(null); // they end because they are to
    next.close();
  }
}
