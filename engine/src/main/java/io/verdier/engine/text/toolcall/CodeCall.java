package io.verdier.engine.text.toolcall;

/** Code for the code interpreter: everything up to the end of the text. Owned by its parser. */
final class CodeCall implements CallReader {
  /** The tool that runs code, as Llama 3.1 calls it. */
  static final String NAME = "code_interpreter";

  private final CallWriter out;
  private final StringBuilder json = new StringBuilder();

  /**
   * @param code its beginning
   */
  CodeCall(CallWriter out, CharSequence code) {
    this.out = out;
    out.begin(NAME);
    out.arguments("{\"code\": \"");
    for (int i = 0; i < code.length(); i++) {
      accept(code.charAt(i));
    }
  }

  @Override
  public Status accept(char c) {
    JsonText.escape(c, false, json);
    out.arguments(json);
    json.setLength(0);
    return Status.OPEN;
  }

  @Override
  public void leave() {
    out.arguments("\"}");
    out.end(true);
  }

  @Override
  public CharSequence held() {
    return "";
  }
}
