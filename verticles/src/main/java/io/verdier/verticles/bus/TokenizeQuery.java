package io.verdier.verticles.bus;

import java.util.List;

/**
 * Asks a tokenizer for ids; answered with a {@link Reply}, or a {@link Refused}. Immutable.
 *
 * @param model whose tokenizer is meant, by the first of its names
 */
public record TokenizeQuery(String model, Prompt prompt, boolean tokenStrings) {

  /**
   * @param tokenStrings one text per id, empty unless asked for
   */
  public record Reply(int[] ids, List<String> tokenStrings) {}
}
