package io.verdier.engine.text.template;

import java.util.AbstractList;

/** Python's range: a list whose items are computed. Immutable. */
final class Range extends AbstractList<Object> {
  /** The sandbox of Jinja refuses longer ones too. */
  static final int LENGTH_MAX = 100_000;

  final long start;
  final long stop;
  final long step;
  private final int length;

  Range(long start, long stop, long step) {
    if (step == 0) {
      throw TemplateException.runtime("range() arg 3 must not be zero");
    }
    this.start = start;
    this.stop = stop;
    this.step = step;
    // In doubles: the difference of two longs may not fit one, and the bound is far below 2^53.
    double count = Math.ceil(((double) stop - (double) start) / step);
    if (count > LENGTH_MAX) {
      throw TemplateException.runtime(
          "range too big: the sandbox allows at most " + LENGTH_MAX + " items");
    }
    this.length = (int) Math.max(0, count);
  }

  @Override
  public Object get(int index) {
    return start + index * step;
  }

  @Override
  public int size() {
    return length;
  }
}
