package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the sampling kernels are told about a chunk of rows: integers, gathered on the host's side
 * and brought over by one copy. Owned by the executor thread.
 *
 * <pre>
 *   counts    - | - | - | rows                      4
 *   fields    one number per row and field          [FIELDS][rows]
 *   appended  lists of ids, masks, known tokens     as many as were appended
 * </pre>
 *
 * <p>What is appended is named by its index from the very beginning, so that the kernels take one
 * address as the base of lists and, with words as its rows, of masks.
 */
final class SampleInputs {
  // As SampleField in sample.cu; numbers with a fraction by their bits.
  static final int TEMPERATURE = 0;
  static final int TOP_P = 1;
  static final int MIN_P = 2;
  static final int TOP_K = 3;
  static final int SEED_LOW = 4;
  static final int SEED_HIGH = 5;
  static final int POSITION = 6;
  static final int GIVEN = 7;
  static final int LOGPROBS = 8;
  static final int NEXT_ROW = 9;
  static final int COUNTS = 10;
  static final int STAGED = 11;
  static final int ALLOWED = 12;
  static final int GRAMMAR = 13;
  static final int EXCLUDED_START = 14;
  static final int EXCLUDED_COUNT = 15;
  static final int BIAS_START = 16;
  static final int BIAS_COUNT = 17;
  static final int REPETITION = 18;
  static final int FREQUENCY = 19;
  static final int PRESENCE = 20;
  private static final int FIELDS = 21;

  static final int NONE = -1;

  private static final int HEADER = 4;
  private static final int COUNT_LOGIT_ROWS = 3;
  private static final int APPENDED_USUALLY = 4096;

  private final CudaDriver driver;
  private MemorySegment host;
  private final DeviceBuffer device;
  private int rows;
  private int end;

  /**
   * @param rowsMax of a chunk
   */
  SampleInputs(CudaDriver driver, int rowsMax) {
    this.driver = driver;
    host = driver.hostBuffer((HEADER + FIELDS * (long) rowsMax + APPENDED_USUALLY) * Integer.BYTES);
    device = new DeviceBuffer(driver);
    device.reserve(host.byteSize());
  }

  /** Begins a chunk. The device must have taken the last one. */
  void begin(int rowCount) {
    rows = rowCount;
    end = HEADER + FIELDS * rowCount;
    put(COUNT_LOGIT_ROWS, rowCount);
  }

  /** Sets every field of a row to what asks for the largest logit and nothing else. */
  void clear(int row) {
    for (int field = 0; field < FIELDS; field++) {
      set(field, row, 0);
    }
    set(TOP_P, row, 1f);
    set(REPETITION, row, 1f);
    set(GIVEN, row, NONE);
    set(LOGPROBS, row, NONE);
    set(NEXT_ROW, row, NONE);
    set(COUNTS, row, NONE);
    set(STAGED, row, NONE);
    set(ALLOWED, row, NONE);
    set(GRAMMAR, row, NONE);
  }

  void set(int field, int row, int value) {
    put(HEADER + field * rows + row, value);
  }

  void set(int field, int row, float value) {
    set(field, row, Float.floatToRawIntBits(value));
  }

  /** Index of what is appended next. */
  int end() {
    return end;
  }

  void append(int value) {
    reserve(1);
    put(end - 1, value);
  }

  /** Appends bits that are all 0, and returns the index of their first word. */
  int appendBits(int bits) {
    int start = end;
    reserve((bits + Integer.SIZE - 1) / Integer.SIZE);
    host.asSlice((long) start * Integer.BYTES, (long) (end - start) * Integer.BYTES).fill((byte) 0);
    return start;
  }

  /** What was appended at an index. */
  int get(int index) {
    return host.getAtIndex(ValueLayout.JAVA_INT, index);
  }

  void setBit(int start, int bit) {
    int index = start + bit / Integer.SIZE;
    put(index, get(index) | 1 << bit);
  }

  private void reserve(int count) {
    int needed = Math.addExact(end, count);
    if ((long) needed * Integer.BYTES > host.byteSize()) {
      MemorySegment larger =
          driver.hostBuffer(Math.max(2 * host.byteSize(), (long) needed * Integer.BYTES));
      MemorySegment.copy(host, 0, larger, 0, (long) end * Integer.BYTES);
      driver.freeHost(host);
      host = larger;
    }
    end = needed;
  }

  private void put(int index, int value) {
    host.setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  /** Queues the copy. */
  void upload() {
    device.reserve((long) end * Integer.BYTES);
    driver.copyIn(device.address(), host, (long) end * Integer.BYTES);
  }

  /** Where the chunk begins on the device; the number of its rows is there. */
  long address() {
    return device.address();
  }

  /** Where something that was appended lies on the device. */
  long address(int index) {
    return device.address() + (long) index * Integer.BYTES;
  }

  /** Where the fields lie on the device. */
  long fields() {
    return address(HEADER);
  }
}
