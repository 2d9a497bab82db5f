package io.verdier.engine.backend.cuda;

import io.verdier.engine.sample.LogSum;
import io.verdier.engine.sample.RowFault;
import io.verdier.engine.sample.TokenLogprobs;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the sampling kernels report about a chunk, on its way to the host and there. Owned by the
 * executor thread.
 *
 * <pre>
 *   results     status | token | logit | rank | tops | max | sum, sum     8 a row
 *   topIds      the most probable tokens, best first                      20 a row
 *   topLogits   their logits                                              20 a row
 * </pre>
 *
 * One copy brings results, and the tops with them where any row asks for some.
 */
final class SampleResults {
  static final int TOPS_MAX = 20;

  // As SampleResult and SampleStatus in sample.cu.
  private static final int STATUS = 0;
  private static final int TOKEN = 1;
  private static final int LOGIT = 2;
  private static final int RANK = 3;
  private static final int TOPS = 4;
  private static final int MAX = 5;
  private static final int SUM_LOW = 6;
  private static final int SUM_HIGH = 7;
  private static final int RESULT_INTS = 8;
  private static final int OK = 0;
  private static final int BROKEN_LOGIT = 1;
  private static final int BROKEN_ROW = 2;
  private static final int REFUSED_ROW = 3;
  private static final int REFUSED_LOGIT = 4;

  private final CudaDriver driver;
  private final MemorySegment host;
  private final CudaDriver.Event arrived;
  private final int[] words;
  private int rows;
  private int count; // of words
  private boolean isRead;

  SampleResults(CudaDriver driver, int rowsMax) {
    this.driver = driver;
    long bytes = bytes(rowsMax, true);
    host = driver.hostBuffer(bytes);
    arrived = driver.event();
    words = new int[(int) (bytes / Integer.BYTES)];
  }

  static long bytes(int rows, boolean hasTops) {
    return (long) rows * (RESULT_INTS + (hasTops ? 2 * TOPS_MAX : 0)) * Integer.BYTES;
  }

  /** Where the top tokens of so many rows begin, in bytes. */
  static long topIdsAt(int rows) {
    return bytes(rows, false);
  }

  /** Where their logits begin. */
  static long topLogitsAt(int rows) {
    return topIdsAt(rows) + (long) rows * TOPS_MAX * Integer.BYTES;
  }

  /** Queues the copy. */
  void bring(long from, int rowCount, boolean hasTops) {
    rows = rowCount;
    count = (int) (bytes(rowCount, hasTops) / Integer.BYTES);
    isRead = false;
    driver.copyOut(host, from, bytes(rowCount, hasTops));
    driver.record(arrived);
  }

  /** Waits for the copy. */
  void await() {
    if (!isRead) {
      driver.await(arrived);
      MemorySegment.copy(host, ValueLayout.JAVA_INT, 0, words, 0, count);
      isRead = true;
    }
  }

  private int word(int index) {
    await();
    return words[index];
  }

  /**
   * The token of a row.
   *
   * @throws IllegalStateException if the row is broken
   * @throws io.verdier.engine.RejectedException if no token can be chosen
   */
  int token(int row) {
    float logit = real(result(row, LOGIT));
    int token = word(result(row, TOKEN));
    int status = word(result(row, STATUS));
    return switch (status) {
      case OK -> token;
      case BROKEN_LOGIT -> throw RowFault.brokenLogit(token, logit);
      case BROKEN_ROW -> throw RowFault.brokenRow();
      case REFUSED_ROW -> throw RowFault.noTokenLeft();
      case REFUSED_LOGIT -> throw RowFault.refusedLogit(logit);
      default -> throw new IllegalStateException("status " + status + " of row " + row);
    };
  }

  /**
   * The log probabilities of a row that asks for some.
   *
   * @throws IllegalStateException as {@link #token}
   * @throws io.verdier.engine.RejectedException likewise
   */
  TokenLogprobs logprobs(int row) {
    int token = token(row);
    long sum =
        Integer.toUnsignedLong(word(result(row, SUM_LOW)))
            | (long) word(result(row, SUM_HIGH)) << Integer.SIZE;
    LogSum logSum = LogSum.of(real(result(row, MAX)), sum);
    int[] ids = new int[word(result(row, TOPS))];
    float[] logprobs = new float[ids.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = word(topIds(row) + i);
      logprobs[i] = logSum.logprob(real(topLogits(row) + i));
    }
    float logprob = logSum.logprob(real(result(row, LOGIT)));
    return new TokenLogprobs(token, logprob, word(result(row, RANK)), ids, logprobs);
  }

  private static int result(int row, int field) {
    return row * RESULT_INTS + field;
  }

  private int topIds(int row) {
    return rows * RESULT_INTS + row * TOPS_MAX;
  }

  private int topLogits(int row) {
    return rows * (RESULT_INTS + TOPS_MAX) + row * TOPS_MAX;
  }

  private float real(int index) {
    return Float.intBitsToFloat(word(index));
  }
}
