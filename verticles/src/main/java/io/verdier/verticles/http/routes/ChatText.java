package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.verticles.http.JsonWriter;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: one choice's text, taken apart as it comes. Holds what is new since the
 * last {@link #clear}.
 */
final class ChatText implements AnswerReader.Sink {
  private static final String ID_PREFIX = "chatcmpl-tool-";

  private final ChatParsing parsing;
  private final AnswerReader reader;
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
    this.reader = new AnswerReader(parsing, promptTail, this);
  }

  void append(String text) {
    reader.append(text);
  }

  /** The text has ended. */
  void finish() {
    reader.finish();
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

  /** Both names, as older clients look for the second; those of v0.9 know no other. */
  private void writeReasoning(JsonWriter out, ApiDialect dialect) {
    if (!reasoning.isEmpty()) {
      if (dialect != ApiDialect.V0_9) {
        out.field("reasoning", reasoning.toString());
      }
      out.field("reasoning_content", reasoning.toString());
    }
  }

  /**
   * What a whole message says. Where it has no reasoning, or v0.9 no calls, the field is there all
   * the same: clients with types want it.
   *
   * @param echo what its content begins with
   */
  void writeMessage(JsonWriter out, String role, String echo, ApiDialect dialect) {
    content.insert(0, echo);
    boolean none = content.isEmpty() && (called || parsing.reasoning().isPresent());
    out.field("role", role).field("content", none ? null : content.toString());
    out.name("refusal").nothing().name("annotations").nothing().name("audio").nothing();
    out.name("function_call").nothing();
    boolean older = dialect == ApiDialect.V0_9;
    if (!calls.isEmpty() || older) {
      writeCalls(out, false);
    }
    if (reasoning.isEmpty()) {
      out.name(older ? "reasoning_content" : "reasoning").nothing();
    }
    writeReasoning(out, dialect);
  }

  /** What is new, as an event says it. */
  void writeDelta(JsonWriter out, ApiDialect dialect) {
    writeReasoning(out, dialect);
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
        out.field("id", CallIds.next(parsing, ID_PREFIX)).field("type", "function");
      }
      out.name("function").object();
      if (call.name != null) {
        out.field("name", call.name);
      }
      out.field("arguments", call.arguments.toString()).end().end();
    }
    out.end();
  }

  @Override
  public void reasoning(CharSequence text) {
    reasoning.append(text);
  }

  @Override
  public void content(CharSequence text) {
    content.append(text);
  }

  @Override
  public void begin(int call, String name) {
    called = true;
    calls.add(new Call(call, name));
  }

  @Override
  public void arguments(int call, CharSequence part) {
    if (calls.isEmpty() || calls.getLast().index != call) {
      calls.add(new Call(call, null));
    }
    calls.getLast().arguments.append(part);
  }

  @Override
  public void end(int call, boolean complete) {
    // the end of the arguments is all that a client is told
  }
}
