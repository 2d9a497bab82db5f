package io.verdier.verticles.http.routes;

import io.verdier.engine.text.reasoning.ReasoningParser;
import io.verdier.engine.text.toolcall.ToolCallParser;
import io.verdier.engine.text.toolcall.ToolCallSink;
import io.verdier.verticles.http.JsonWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: one choice's text, taken apart as it comes. Holds what is new since the
 * last {@link #clear}.
 *
 * <p>It is done here and not where tokens become text: this side keeps a client's stream when the
 * engine behind it changes, so no parser has to move, and it knows the declared tools.
 */
final class ChatText implements ToolCallSink {
  private static final String ID_PREFIX = "chatcmpl-tool-";
  private static final String SHORT_ID_CHARS =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  private static final int SHORT_ID_LENGTH = 9;

  private final ChatParsing parsing;
  private final @Nullable ReasoningParser reasoningParser;
  private final @Nullable ToolCallParser callParser;
  private final StringBuilder reasoning = new StringBuilder();
  private final StringBuilder content = new StringBuilder();
  private final List<Call> calls = new ArrayList<>();
  private boolean called;

  /** News of one call. */
  private static final class Call {
    final int index;
    final @Nullable String name; // null: its beginning was told before
    final StringBuilder arguments = new StringBuilder();

    Call(int index, @Nullable String name) {
      this.index = index;
      this.name = name;
    }
  }

  /**
   * @param promptTail the end of the prompt: a template may have opened the reasoning there
   */
  ChatText(ChatParsing parsing, String promptTail) {
    this.parsing = parsing;
    this.callParser =
        parsing.calls().map(format -> format.parser(parsing.tools(), this)).orElse(null);
    this.reasoningParser =
        parsing.reasoning().map(format -> format.parser(promptTail, new Parts())).orElse(null);
  }

  void append(String text) {
    if (reasoningParser == null) {
      answer(text);
    } else {
      reasoningParser.append(text);
    }
  }

  /** The text has ended. */
  void finish() {
    if (reasoningParser != null) {
      reasoningParser.finish();
    }
    if (callParser != null) {
      callParser.finish();
    }
  }

  /** Whether the answer calls a tool, as far as it is known, and its finish reason tells so. */
  boolean endsByCalling() {
    return called && parsing.endsByCalling();
  }

  boolean hasNews() {
    return !reasoning.isEmpty() || !content.isEmpty() || !calls.isEmpty();
  }

  void clear() {
    reasoning.setLength(0);
    content.setLength(0);
    calls.clear();
  }

  /** Both names: older clients look for the second. */
  void writeReasoning(JsonWriter out) {
    if (!reasoning.isEmpty()) {
      out.field("reasoning", reasoning.toString());
      out.field("reasoning_content", reasoning.toString());
    }
  }

  /** What a whole message says. */
  void writeMessage(JsonWriter out, String role) {
    boolean none = content.isEmpty() && (called || parsing.reasoning().isPresent());
    out.field("role", role).field("content", none ? null : content.toString());
    out.name("refusal").nothing().name("annotations").nothing().name("audio").nothing();
    out.name("function_call").nothing();
    if (!calls.isEmpty()) {
      writeCalls(out, false);
    }
    if (reasoning.isEmpty()) {
      out.name("reasoning").nothing();
    }
    writeReasoning(out);
  }

  /** What is new, as an event says it. */
  void writeDelta(JsonWriter out) {
    writeReasoning(out);
    if (!content.isEmpty() || !hasNews()) {
      out.field("content", content.toString());
    }
    if (!calls.isEmpty()) {
      writeCalls(out, true);
    }
  }

  private void writeCalls(JsonWriter out, boolean indexed) {
    out.name("tool_calls").array();
    for (Call call : calls) {
      out.object();
      if (indexed) {
        out.field("index", call.index);
      }
      if (call.name != null) {
        out.field("id", newId()).field("type", "function");
      }
      out.name("function").object();
      if (call.name != null) {
        out.field("name", call.name);
      }
      out.field("arguments", call.arguments.toString()).end().end();
    }
    out.end();
  }

  /** Templates of some models refuse the long form. */
  private String newId() {
    if (!parsing.shortIds()) {
      return ID_PREFIX + UUID.randomUUID().toString().replace("-", "");
    }
    StringBuilder id = new StringBuilder(SHORT_ID_LENGTH);
    for (int i = 0; i < SHORT_ID_LENGTH; i++) {
      int at = ThreadLocalRandom.current().nextInt(SHORT_ID_CHARS.length());
      id.append(SHORT_ID_CHARS.charAt(at));
    }
    return id.toString();
  }

  private void answer(CharSequence text) {
    if (callParser == null) {
      content.append(text);
    } else {
      callParser.append(text);
    }
  }

  /** Takes the two parts; calls are looked for in the second only. */
  private final class Parts implements ReasoningParser.Sink {
    @Override
    public void reasoning(CharSequence text) {
      if (parsing.showReasoning()) {
        reasoning.append(text);
      }
    }

    @Override
    public void content(CharSequence text) {
      answer(text);
    }
  }

  @Override
  public void content(CharSequence text) {
    content.append(text);
  }

  @Override
  public void begin(int call, String name) {
    if (isWanted(call)) {
      called = true;
      calls.add(new Call(call, name));
    }
  }

  @Override
  public void arguments(int call, CharSequence part) {
    if (!isWanted(call)) {
      return;
    }
    if (calls.isEmpty() || calls.getLast().index != call) {
      calls.add(new Call(call, null));
    }
    calls.getLast().arguments.append(part);
  }

  @Override
  public void end(int call, boolean complete) {
    // the end of the arguments is all that a client is told
  }

  private boolean isWanted(int call) {
    return parsing.parallel() || call == 0;
  }
}
