package io.verdier.engine.text.toolcall;

/**
 * Takes a text apart into content and tool calls while it comes. Owned by whoever follows the text
 * of one sequence.
 *
 * <p>What comes out depends on the characters alone, not on how they were grouped: parsers see one
 * character at a time and keep what they cannot decide yet. Text is never lost: what turns out not
 * to be a call is content, its markers included. Cost is linear in the text.
 */
public interface ToolCallParser {
  /** Takes the next piece of text. */
  void append(CharSequence piece);

  /** The text has ended: what is still undecided is content. */
  void finish();
}
