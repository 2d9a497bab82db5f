package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.BiConsumer;

/**
 * Copies as late as it may: one each time that somebody asks whether it is done, or all when
 * somebody waits. What does not wait sees memory as it was before. Owned by the driver's thread.
 */
final class EmulatedCopyQueue implements CopyQueue {
  private final EmulatedDriver driver;
  private final Deque<Runnable> waiting = new ArrayDeque<>();
  private int begun; // copies ever run
  private long mainBefore; // what of the main queue is to run before what is queued here

  EmulatedCopyQueue(EmulatedDriver driver) {
    this.driver = driver;
  }

  @Override
  public void followMain() {
    mainBefore = driver.stream().queued();
  }

  @Override
  public void holdMain(Mark mark) {
    driver.stream().add(mark::await);
  }

  @Override
  public void copyOut(MemorySegment to, long from, Pieces pieces) {
    add(
        pieces,
        (at, far) ->
            MemorySegment.copy(
                driver.memory(from + far, pieces.bytes()), 0, to, at, pieces.bytes()));
  }

  @Override
  public void copyIn(long to, MemorySegment from, Pieces pieces) {
    add(
        pieces,
        (at, far) ->
            MemorySegment.copy(
                from, at, driver.memory(to + far, pieces.bytes()), 0, pieces.bytes()));
  }

  private void add(Pieces pieces, BiConsumer<Long, Long> copy) {
    driver.requireNoRecording();
    long before = mainBefore;
    waiting.add(
        () -> {
          driver.stream().await(before);
          each(pieces, copy);
        });
  }

  @Override
  public void copyIn(long to, MemorySegment from, long bytes) {
    copyIn(to, from, new Pieces(1, bytes, bytes));
  }

  private void each(Pieces pieces, BiConsumer<Long, Long> copy) {
    for (int i = 0; i < pieces.count(); i++) {
      copy.accept(i * pieces.bytes(), i * pieces.stride());
    }
  }

  private void runOne() {
    begun++;
    waiting.remove().run();
  }

  @Override
  public Mark mark() {
    int last = begun + waiting.size();
    driver.marks().incrementAndGet();
    return new Mark() {
      @Override
      public boolean isPast() {
        if (begun < last) {
          runOne();
          return false;
        }
        return true;
      }

      @Override
      public void await() {
        while (begun < last) {
          runOne();
        }
      }

      @Override
      public void release() {
        driver.marks().decrementAndGet();
      }
    };
  }

  @Override
  public void close() {
    while (!waiting.isEmpty()) {
      runOne();
    }
  }
}
