package io.verdier.verticles.http;

/**
 * Tokens of a request. Immutable.
 *
 * @param prompt tokens of all prompts, each counted once however many choices continue it
 * @param completion generated tokens of all choices
 * @param cached prompt tokens found in the prefix cache
 * @param reasoning those of the generated tokens that are reasoning; -1: nobody has counted them
 */
public record Usage(int prompt, int completion, int cached, int reasoning) {

  /** Of so many tokens of two choices; -1 is none. */
  public static int reasoning(int one, int other) {
    return one < 0 ? other : one + Math.max(0, other);
  }
}
