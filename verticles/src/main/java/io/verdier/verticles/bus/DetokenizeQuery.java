package io.verdier.verticles.bus;

/** Asks the tokenizer for text; answered with a {@link Reply}, or a {@link Refused}. Immutable. */
public record DetokenizeQuery(int[] ids) {

  /** The text, special tokens included. */
  public record Reply(String text) {}
}
