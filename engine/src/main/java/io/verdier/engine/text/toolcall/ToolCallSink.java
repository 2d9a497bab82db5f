package io.verdier.engine.text.toolcall;

/**
 * Hears what a {@link ToolCallParser} finds, in the order of the text. Calls do not overlap, and
 * are numbered from 0.
 */
public interface ToolCallSink {
  /** Text that belongs to no call. */
  void content(CharSequence text);

  /** A call begins. */
  void begin(int call, String name);

  /** The next part of the call's arguments, a JSON object. */
  void arguments(int call, CharSequence part);

  /**
   * The call has ended.
   *
   * @param complete false where the text broke off or stopped being a call: then the arguments are
   *     the beginning of a JSON object
   */
  void end(int call, boolean complete);
}
