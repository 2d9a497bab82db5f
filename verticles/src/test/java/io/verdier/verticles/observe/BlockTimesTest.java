package io.verdier.verticles.observe;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BlockTimesTest {
  private static final int BLOCKS = 8;

  private final Exposition page = new Exposition(Map.of("model_name", "m"));
  private long nanos = -5_000_000_000L; // clocks of the JVM may be below zero

  private BlockTimes times(int blocks, double share) {
    return new BlockTimes(page, blocks, share, () -> nanos);
  }

  private void after(double seconds) {
    nanos += Math.round(seconds * 1e9);
  }

  private double told(String series) {
    StringBuilder text = new StringBuilder();
    page.write(text);
    return text.toString()
        .lines()
        .filter(line -> line.startsWith("vllm:kv_block_" + series + "{"))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void block_takenAgain_tellsItsLifeAndItsFinds() {
    BlockTimes times = times(BLOCKS, 1);
    times.onTaken(3);
    for (double gap : new double[] {9, 7, 2, 3, 4}) {
      after(gap);
      times.onFound(3);
    }
    after(6);
    times.onTaken(3);
    assertThat(told("lifetime_seconds_sum")).isEqualTo(31);
    assertThat(told("idle_before_evict_seconds_sum")).isEqualTo(6);
    // Of five finds the last four are kept, which are three gaps.
    assertThat(told("reuse_gap_seconds_count")).isEqualTo(3);
    assertThat(told("reuse_gap_seconds_sum")).isEqualTo(9);
    after(5);
    times.onTaken(3);
    assertThat(told("lifetime_seconds_count")).isEqualTo(2);
    assertThat(told("idle_before_evict_seconds_sum")).isEqualTo(11);
    assertThat(told("reuse_gap_seconds_count")).isEqualTo(3);
  }

  @Test
  void contents_forgotten_tellNothing() {
    BlockTimes times = times(BLOCKS, 1);
    times.onTaken(1);
    times.onForgotten();
    after(1);
    times.onTaken(1);
    assertThat(told("lifetime_seconds_count")).isZero();
  }

  @Test
  void share_ofBlocks_isMeasured() {
    BlockTimes times = times(1, 0.25);
    for (int i = 0; i < 10_000; i++) {
      times.onTaken(0);
    }
    assertThat(told("lifetime_seconds_count")).isBetween(2300.0, 2700.0);
    BlockTimes none = new BlockTimes(new Exposition(Map.of()), 1, 0, BlockTimesTest::noClock);
    none.onTaken(0);
    none.onFound(0);
    none.onTaken(0);
  }

  /** What is not measured does not look at the clock. */
  private static long noClock() {
    throw new AssertionError("the clock was looked at");
  }

  /** As in a real cache: two prompts take each other's blocks, one finds its own again. */
  @Test
  void cache_evictingAndFinding_isHeard() {
    KvCacheManager kv = new KvCacheManager(4, 2);
    kv.observe(times(4, 1));
    pass(kv, 0, 4);
    after(1);
    pass(kv, 0, 4); // finds two of the four blocks at least, and takes the others again
    double before = told("lifetime_seconds_count");
    pass(kv, 100, 4);
    assertThat(told("lifetime_seconds_count") - before).isEqualTo(4);
    assertThat(told("idle_before_evict_seconds_count")).isEqualTo(told("lifetime_seconds_count"));
    assertThat(kv.forget()).isTrue();
    before = told("lifetime_seconds_count");
    pass(kv, 200, 4);
    assertThat(told("lifetime_seconds_count")).isEqualTo(before);
  }

  private static void pass(KvCacheManager kv, int first, int blocks) {
    int[] tokens = IntStream.range(first, first + blocks * kv.blockTokens()).toArray();
    BlockTable table = kv.open("", "");
    int found = kv.admit(table, tokens, tokens.length, tokens.length, KvCacheManager.Prefix.READ);
    assertThat(found).isNotNegative();
    kv.commit(table, tokens, tokens.length);
    kv.release(table);
  }

  @Test
  void measuring_everyBlock_allocatesNothing() {
    BlockTimes times = times(1000, 1);
    work(times); // what loads classes is not a step's
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    work(times);
    long bytes = threads.getCurrentThreadAllocatedBytes() - before;
    assertThat(bytes).as("bytes for 100,000 blocks taken and found").isLessThan(1000);
  }

  private static void work(BlockTimes times) {
    for (int i = 0; i < 100_000; i++) {
      times.onTaken(i % 1000);
      times.onFound(i % 1000);
    }
  }
}
