package io.verdier.engine.text.toolcall;

/**
 * How a model spells a call whose arguments are a JSON object, for what holds it to that while it
 * writes. Immutable.
 *
 * <p>Calls that are read are more: in other layouts, too. What is written has to be one text, which
 * is the one that models were taught.
 *
 * @param opening mark before a call; empty: there is none
 * @param head what comes before the function's name
 * @param arguments what comes between the name and the arguments, behind which the object ends
 * @param closing mark behind a call; empty: there is none
 */
public record CallSpelling(String opening, String head, String arguments, String closing) {

  /** The text by which a call begins; behind it nothing but a call may come. */
  public String trigger() {
    return opening.isEmpty() ? head : opening;
  }
}
