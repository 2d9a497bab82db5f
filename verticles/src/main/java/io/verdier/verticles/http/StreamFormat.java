package io.verdier.verticles.http;

import io.verdier.verticles.bus.Delta;

/** How a streamed answer looks. Owned by the event loop of the connection; one per answer. */
public interface StreamFormat {
  String contentType();

  /** What comes before the first news. */
  void open(JsonWriter out, Delta first);

  /** One choice's news; may write nothing. */
  void delta(JsonWriter out, Sequence sequence, int choice, Delta delta);

  /** What comes after every choice has ended. */
  void close(JsonWriter out, Usage usage);

  /**
   * The end of an answer that failed on its way.
   *
   * @param dialect of the connection; where a format has only one way to tell it, that counts
   */
  void fail(JsonWriter out, Problem problem, Problem.Dialect dialect);
}
