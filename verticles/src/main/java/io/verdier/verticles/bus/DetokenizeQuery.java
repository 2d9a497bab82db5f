package io.verdier.verticles.bus;

/**
 * Asks a tokenizer for text; answered with a {@link Reply}, or a {@link Refused}. Immutable.
 *
 * @param model whose tokenizer is meant, by the first of its names
 */
public record DetokenizeQuery(String model, int[] ids) {

  /** The text, special tokens included. */
  public record Reply(String text) {}
}
