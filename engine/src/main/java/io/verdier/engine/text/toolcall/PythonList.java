package io.verdier.engine.text.toolcall;

import org.jspecify.annotations.Nullable;

/** A list of calls, {@code [f(a=1), g()]}, its opening bracket left out. Owned by its parser. */
final class PythonList implements CallReader {
  private final PythonCall.Naming naming;
  private final CallWriter out;
  private final StringBuilder held;
  private @Nullable PythonCall call;
  private boolean called; // since the last comma

  /**
   * @param before what came before the first call, its bracket included
   */
  PythonList(PythonCall.Naming naming, CallWriter out, CharSequence before) {
    this.naming = naming;
    this.out = out;
    this.held = new StringBuilder(before);
  }

  @Override
  public Status accept(char c) {
    if (call != null) {
      Status status = call.accept(c);
      if (status == Status.CLOSED) {
        call = null;
        called = true;
      }
      return status == Status.CLOSED ? Status.OPEN : status;
    }
    if (called && c == ']') {
      held.setLength(0);
      return Status.CLOSED;
    }
    if (CallWriter.isBlank(c) || (called && c == ',')) {
      held.append(c);
      called &= c != ',';
      return Status.OPEN;
    }
    if (called || !PythonCall.isNameChar(c)) {
      return Status.REFUSED;
    }
    call = new PythonCall(naming, out, held);
    held.setLength(0);
    return accept(c);
  }

  @Override
  public void leave() {
    if (call != null) {
      call.leave();
    }
  }

  @Override
  public CharSequence held() {
    return call == null ? held : call.held();
  }
}
