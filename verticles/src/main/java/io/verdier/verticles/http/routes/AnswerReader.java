package io.verdier.verticles.http.routes;

import io.verdier.engine.text.reasoning.ReasoningParser;
import io.verdier.engine.text.toolcall.ToolCallParser;
import io.verdier.engine.text.toolcall.ToolCallSink;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: takes one choice's text apart as it comes and tells what it finds, in
 * the order of the text. What a client does not want to see, it does not tell.
 *
 * <p>It is done here and not where tokens become text: this side keeps a client's stream when the
 * engine behind it changes, so no parser has to move, and it knows the declared tools.
 */
final class AnswerReader {
  private final ChatParsing parsing;
  private final Sink sink;
  private final @Nullable ReasoningParser reasoningParser;
  private final @Nullable ToolCallParser callParser;
  private boolean calls;

  /** Hears of the parts of an answer. */
  interface Sink extends ToolCallSink {
    /** The next part of the reasoning. */
    void reasoning(CharSequence text);
  }

  /**
   * @param promptTail the end of the prompt: a template may have opened the reasoning there
   */
  AnswerReader(ChatParsing parsing, String promptTail, Sink sink) {
    this.parsing = parsing;
    this.sink = sink;
    this.callParser =
        parsing.calls().map(format -> format.parser(parsing.tools(), new Calls())).orElse(null);
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

  /** Where what is not reasoning begins in the text, in characters, once any of it has come. */
  int contentBegin() {
    return reasoningParser == null ? 0 : reasoningParser.contentBegin();
  }

  /** The text has ended. */
  void finish() {
    if (reasoningParser != null) {
      reasoningParser.finish();
    }
    if (callParser != null) {
      callParser.finish();
      parsing.reads().onRead(calls);
    }
  }

  private void answer(CharSequence text) {
    if (callParser == null) {
      sink.content(text);
    } else {
      callParser.append(text);
    }
  }

  /** Takes the two parts; calls are looked for in the second only. */
  private final class Parts implements ReasoningParser.Sink {
    @Override
    public void reasoning(CharSequence text) {
      if (parsing.showReasoning()) {
        sink.reasoning(text);
      }
    }

    @Override
    public void content(CharSequence text) {
      answer(text);
    }
  }

  /** Lets through what the request wants of calls. */
  private final class Calls implements ToolCallSink {
    @Override
    public void content(CharSequence text) {
      sink.content(text);
    }

    @Override
    public void begin(int call, String name) {
      calls = true;
      if (isWanted(call)) {
        sink.begin(call, name);
      }
    }

    @Override
    public void arguments(int call, CharSequence part) {
      if (isWanted(call)) {
        sink.arguments(call, part);
      }
    }

    @Override
    public void end(int call, boolean complete) {
      if (isWanted(call)) {
        sink.end(call, complete);
      }
    }

    private boolean isWanted(int call) {
      return parsing.parallel() || call == 0;
    }
  }
}
