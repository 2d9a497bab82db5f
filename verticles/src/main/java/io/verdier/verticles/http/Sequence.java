package io.verdier.verticles.http;

/**
 * Owned by the event loop of its connection: what the ingress counts of one sequence. The fields
 * are {@link Flight}'s and {@link Sequences}'s own.
 */
public final class Sequence {
  final long key;
  final Flight flight;
  final int choice;
  final int work;
  final int tokenizer;

  long firstNanos;
  long lastNanos;
  int promptTokens;
  int generatedTokens;
  int cachedTokens;
  boolean heardOf;
  boolean started;
  boolean ended;

  /**
   * @param choice index in the answer
   * @param work which prompt it continues
   * @param tokenizer number of the one that got its {@code Submit}
   */
  Sequence(long key, Flight flight, int choice, int work, int tokenizer) {
    this.key = key;
    this.flight = flight;
    this.choice = choice;
    this.work = work;
    this.tokenizer = tokenizer;
  }

  public int promptTokens() {
    return promptTokens;
  }

  /** Generated so far. */
  public int generatedTokens() {
    return generatedTokens;
  }
}
