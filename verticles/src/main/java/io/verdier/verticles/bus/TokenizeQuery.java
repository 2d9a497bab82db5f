package io.verdier.verticles.bus;

import java.util.List;

/** Asks the tokenizer for ids; answered with a {@link Reply}, or a {@link Refused}. Immutable. */
public record TokenizeQuery(Prompt prompt, boolean tokenStrings) {

  /**
   * @param tokenStrings one text per id, empty unless asked for
   */
  public record Reply(int[] ids, List<String> tokenStrings) {}
}
