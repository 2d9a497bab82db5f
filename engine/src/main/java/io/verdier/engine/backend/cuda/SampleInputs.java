package io.verdier.engine.backend.cuda;

import java.util.Arrays;

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

  private final Staging staging;
  private final DeviceBuffer device;
  private int[] words;
  private int rows;
  private int end;

  /**
   * @param rowsMax of a chunk
   */
  SampleInputs(CudaDriver driver, int rowsMax) {
    words = new int[HEADER + FIELDS * rowsMax + APPENDED_USUALLY];
    staging = new Staging(driver, (long) words.length * Integer.BYTES);
    device = new DeviceBuffer(driver);
    device.reserve((long) words.length * Integer.BYTES);
  }

  /** Begins a chunk, of rows that ask for the largest logit and nothing else. */
  void begin(int rowCount) {
    rows = rowCount;
    end = HEADER + FIELDS * rowCount;
    words[COUNT_LOGIT_ROWS] = rowCount;
    for (int field = 0; field < FIELDS; field++) {
      int at = HEADER + field * rows;
      Arrays.fill(words, at, at + rows, ofIdle(field));
    }
  }

  private static int ofIdle(int field) {
    return switch (field) {
      case TOP_P, REPETITION -> Float.floatToRawIntBits(1);
      case GIVEN, LOGPROBS, NEXT_ROW, COUNTS, STAGED, ALLOWED, GRAMMAR -> NONE;
      default -> 0;
    };
  }

  /** Sets every field of a row back to what {@link #begin} made it. */
  void clear(int row) {
    for (int field = 0; field < FIELDS; field++) {
      set(field, row, ofIdle(field));
    }
  }

  void set(int field, int row, int value) {
    words[HEADER + field * rows + row] = value;
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
    words[end - 1] = value;
  }

  /** Appends bits that are all 0, and returns the index of their first word. */
  int appendBits(int bits) {
    int start = end;
    reserve((bits + Integer.SIZE - 1) / Integer.SIZE);
    Arrays.fill(words, start, end, 0);
    return start;
  }

  /**
   * Appends bits, and returns the index of their first word.
   *
   * @param values lowest bit first; those it lacks are 0
   */
  int appendBits(int bits, long[] values) {
    int start = appendBits(bits);
    int count = Math.min(end - start, 2 * values.length);
    for (int i = 0; i < count; i++) {
      words[start + i] = (int) (values[i / 2] >>> (i % 2 * Integer.SIZE));
    }
    return start;
  }

  /** What was appended at an index. */
  int get(int index) {
    return words[index];
  }

  void setBit(int start, int bit) {
    words[start + bit / Integer.SIZE] |= 1 << bit;
  }

  void putBit(int start, int bit, boolean isSet) {
    int mask = 1 << bit;
    int at = start + bit / Integer.SIZE;
    words[at] = isSet ? words[at] | mask : words[at] & ~mask;
  }

  private void reserve(int count) {
    int needed = Math.addExact(end, count);
    if (needed > words.length) {
      words = Arrays.copyOf(words, Math.max(needed, words.length + words.length / 2));
    }
    end = needed;
  }

  /** Queues the copy. */
  void upload() {
    long bytes = (long) end * Integer.BYTES;
    staging.begin(bytes);
    staging.put(0, words, end);
    device.reserve(bytes);
    staging.copyIn(device.address(), bytes);
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
