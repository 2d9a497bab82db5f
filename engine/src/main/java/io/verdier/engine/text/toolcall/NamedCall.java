package io.verdier.engine.text.toolcall;

/**
 * A call whose name stands before its arguments, a JSON object. Owned by its parser; it is made
 * when the object's bracket comes.
 */
final class NamedCall implements CallReader {
  private final CallWriter out;
  private final String name;
  private final boolean declared;
  private final JsonScanner scanner = new JsonScanner();
  private final StringBuilder before;
  private final StringBuilder arguments = new StringBuilder();
  private boolean begun;

  /**
   * @param before markers and name, content if this is no call
   */
  NamedCall(Tools tools, CallWriter out, CharSequence before, String name) {
    this.out = out;
    this.name = name;
    this.declared = tools.declares(name);
    this.before = new StringBuilder(before);
  }

  @Override
  public Status accept(char c) {
    if (!declared || !scanner.accept(c)) {
      return Status.REFUSED;
    }
    arguments.append(c);
    boolean solid = scanner.isDone() || (scanner.depth() == 1 && scanner.awaitsValue());
    if (!begun && solid) {
      begun = true;
      out.begin(name);
    }
    if (begun) {
      out.arguments(arguments);
      arguments.setLength(0);
    }
    if (!scanner.isDone()) {
      return Status.OPEN;
    }
    out.end(true);
    return Status.CLOSED;
  }

  @Override
  public void leave() {
    if (begun) {
      out.end(false);
    }
  }

  @Override
  public CharSequence held() {
    return begun ? "" : before.append(arguments);
  }
}
