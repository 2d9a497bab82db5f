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
  final String tokenizer;
  final boolean hasAdapter;
  final String lengthField;

  /**
   * What all sequences of a prompt have in common. Immutable.
   *
   * @param tokenizer that got the {@code Submit}
   * @param hasAdapter whether it names one
   * @param lengthField as {@link Generation#lengthField}
   */
  record Submitted(String tokenizer, boolean hasAdapter, String lengthField) {}

  long firstNanos;
  long lastNanos;
  int promptTokens;
  int generatedTokens;
  int cachedTokens;
  int reasoningTokens = -1;
  boolean heardOf;
  boolean started;
  boolean ended;

  /**
   * @param choice index in the answer
   * @param work which prompt it continues
   * @param submitted what its {@code Submit} says
   */
  Sequence(long key, Flight flight, int choice, int work, Submitted submitted) {
    this.key = key;
    this.flight = flight;
    this.choice = choice;
    this.work = work;
    this.tokenizer = submitted.tokenizer;
    this.hasAdapter = submitted.hasAdapter;
    this.lengthField = submitted.lengthField;
  }

  public int promptTokens() {
    return promptTokens;
  }

  /** Generated so far. */
  public int generatedTokens() {
    return generatedTokens;
  }

  /** Those of them that are reasoning; -1: nobody has counted them. */
  public int reasoningTokens() {
    return reasoningTokens;
  }
}
