package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.sample.TokenHistory;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How often sequences said each token, on the device: a table {@code u32 [vocabulary]} for each
 * sequence with penalties. Owned by the executor thread.
 *
 * <p>A table is counted once, from the whole history, when its sequence first asks; from then on
 * the kernel that chooses a token adds it. What the table stands for is known only while nobody
 * uses it: {@link #take} makes it unknown, and {@link Table#advance}, called with the result in
 * hand, known again. Where it is unknown, or not the history as it is (a choice was refused, made
 * on the host, not read or not accepted), the table is counted anew: it is never wrong, at worst
 * rebuilt.
 *
 * <p>A history whose last token is awaited has its table too: the kernel that chooses that token
 * stands in the queue before the one that asks. If nothing is chosen, the sequence has failed, and
 * nobody reads what comes of its table.
 */
final class TokenTables {
  private static final int THREADS = 256;
  private static final int BLOCKS_MAX = 64;
  private static final int TABLES_FIRST = 4;
  private static final int UNKNOWN = -1;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaDriver.Kernel count;
  private final int vocabSize;
  private final int tablesMax;
  private final IdentityHashMap<TokenHistory, Table> tables = new IdentityHashMap<>();
  private final List<Table> fresh = new ArrayList<>(); // of this chunk, to be counted
  private final List<Integer> free = new ArrayList<>(); // indices; boxed once a sequence
  private long address; // [capacity, vocabulary]; 0 for none
  private int capacity;

  /** The table of one sequence. Owned by the executor thread. */
  static final class Table {
    private final int index;
    private final int promptTokens;
    private int counted = UNKNOWN; // tokens of the history that the table stands for
    private int awaited = UNKNOWN; // those it will stand for when the chunk that uses it has run
    private int last; // of these tokens
    private int start; // of the tokens to count, in the inputs
    private int count; // of these
    private long chunk; // that last used it

    private Table(int index, TokenHistory history) {
      this.index = index;
      this.promptTokens = history.promptTokens();
    }

    int index() {
      return index;
    }

    /** The kernel has added the token that follows a history of this length. */
    void advance(int historySize, int token) {
      counted = historySize + 1;
      last = token;
    }

    private boolean standsFor(TokenHistory history) {
      if (history.known() < history.size()) {
        return awaited == history.size();
      }
      return counted == history.size() && history.get(counted - 1) == last;
    }
  }

  /**
   * @param bytesMax that all tables may take together
   */
  TokenTables(CudaDriver driver, Launch launch, int vocabSize, long bytesMax) {
    this.driver = driver;
    this.launch = launch;
    this.vocabSize = vocabSize;
    count = driver.kernel("count_tokens", 0);
    tablesMax = (int) (bytesMax / tableBytes());
  }

  private long tableBytes() {
    return (long) vocabSize * Integer.BYTES;
  }

  /** Begins a chunk. */
  void begin() {
    fresh.clear();
  }

  /**
   * The sequence's table, as it will be when the kernels of this chunk run. Null if there can be
   * none: there is no memory left, a token is none of the vocabulary, or another row of this chunk
   * has the table already.
   *
   * @param chunk number of the chunk, from 1
   * @param inputs of this chunk, which bring the tokens to be counted
   */
  @Nullable Table take(TokenHistory history, long chunk, SampleInputs inputs) {
    Table table = tables.get(history);
    if (table == null) {
      table = added(history);
    }
    if (table == null || table.chunk == chunk) {
      return null;
    }
    if (!table.standsFor(history)) {
      if (history.known() < history.size()) {
        return null; // the host can wait for the token
      }
      table.start = inputs.end();
      table.count = history.size();
      if (!appendTokens(history, inputs)) {
        return null;
      }
      fresh.add(table);
    }
    table.counted = UNKNOWN;
    table.awaited = history.size() + 1;
    table.chunk = chunk;
    return table;
  }

  private boolean appendTokens(TokenHistory history, SampleInputs inputs) {
    for (int i = 0; i < history.size(); i++) {
      int token = history.get(i);
      if (token < 0 || token >= vocabSize) {
        return false; // the kernel would count it somewhere else
      }
      inputs.append(token);
    }
    return true;
  }

  private @Nullable Table added(TokenHistory history) {
    if (free.isEmpty() && !grow()) {
      return null;
    }
    Table table = new Table(free.removeLast(), history);
    tables.put(history, table);
    return table;
  }

  private boolean grow() {
    int larger = Math.min(tablesMax, Math.max(TABLES_FIRST, 2 * capacity));
    if (larger <= capacity) {
      return false;
    }
    long fresh;
    try {
      fresh = driver.allocate(larger * tableBytes());
    } catch (CudaException full) {
      if (full.aftermath() == DeviceException.Aftermath.LOST) {
        throw full;
      }
      return false; // the host has room
    }
    if (address != 0) {
      driver.copy(fresh, address, capacity * tableBytes());
      driver.synchronize();
      driver.free(address);
    }
    address = fresh;
    for (int index = larger - 1; index >= capacity; index--) {
      free.add(index);
    }
    capacity = larger;
    return true;
  }

  /** Queues what brings new tables up to date. */
  void count(SampleInputs inputs) {
    for (Table table : fresh) {
      long at = address + table.index * tableBytes();
      driver.clear(at, tableBytes());
      if (table.count > 0) {
        launch
            .grid(Math.clamp((table.count + THREADS - 1) / THREADS, 1, BLOCKS_MAX), THREADS)
            .pointer(at)
            .pointer(inputs.address(table.start))
            .integer(table.promptTokens)
            .integer(table.count);
        driver.launch(count, launch);
      }
    }
  }

  /** Where table 0 lies; 0 while there is none. */
  long address() {
    return address;
  }

  /** Takes the sequence's table back, if it had one. */
  void forget(TokenHistory history) {
    Table table = tables.remove(history);
    if (table != null) {
      free.add(table.index);
    }
  }
}
