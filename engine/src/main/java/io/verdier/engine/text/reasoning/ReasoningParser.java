package io.verdier.engine.text.reasoning;

import io.verdier.engine.text.MarkerFinder;
import io.verdier.engine.text.reasoning.ReasoningFormat.Start;
import java.util.stream.Stream;

/**
 * Parts a text into reasoning and content while it comes. Owned by whoever follows the text of one
 * sequence.
 *
 * <p>What comes out depends on the characters alone, not on how they were grouped. Reasoning stands
 * first and once: an opening further on is content, so that an answer may speak of it. An ending
 * that never comes leaves all as reasoning: the answer was cut off before it began.
 */
public final class ReasoningParser {
  private enum State {
    /** Nothing but blanks yet. */
    UNDECIDED,
    /** In reasoning, nothing but blanks yet: an opening here says what is known. */
    REASONING_START,
    REASONING,
    CONTENT
  }

  /** Hears the two parts, in the order of the text. */
  public interface Sink {
    void reasoning(CharSequence text);

    void content(CharSequence text);
  }

  private final Sink sink;
  private final int openings;
  private final MarkerFinder finder;
  private final StringBuilder blanks = new StringBuilder();
  private State state;
  private int position; // characters taken while it was not certain that content has begun
  private int begin;
  private int end;
  private int contentBegin;

  ReasoningParser(ReasoningFormat format, Start start, Sink sink) {
    this.sink = sink;
    this.openings = format.openings().size();
    this.finder =
        new MarkerFinder(
            Stream.concat(format.openings().stream(), format.endings().stream()).toList());
    this.state =
        switch (start) {
          case REASONING -> State.REASONING_START;
          case CONTENT -> State.CONTENT;
          case UNDECIDED -> State.UNDECIDED;
        };
  }

  /** Whether content has begun, so that no more reasoning comes. */
  public boolean isPast() {
    return state == State.CONTENT;
  }

  /** Whether what comes next is reasoning, unless a marker comes. */
  public boolean isReasoning() {
    return state == State.REASONING_START || state == State.REASONING;
  }

  /** Where reasoning begins in the text, as far as it has come. */
  public int reasoningBegin() {
    return begin;
  }

  /** Where it ends, or the text that it is the end of; its beginning where there is none. */
  public int reasoningEnd() {
    return state == State.REASONING ? position : end;
  }

  /** Where content begins, once it has. */
  public int contentBegin() {
    return contentBegin;
  }

  /** Takes the next piece of text. */
  public void append(CharSequence piece) {
    int at = 0;
    while (at < piece.length() && state != State.CONTENT) {
      accept(piece.charAt(at++));
    }
    if (at < piece.length()) {
      sink.content(piece.subSequence(at, piece.length()));
    }
  }

  /** The text has ended. */
  public void finish() {
    finder.finish(this::text);
    if (state == State.UNDECIDED) {
      sink.content(blanks);
    } else if (state == State.REASONING_START) {
      sink.reasoning(blanks);
    }
  }

  private void accept(char c) {
    position++;
    int found = finder.accept(c, this::text);
    if (found == MarkerFinder.NONE) {
      return;
    }
    boolean opening = found < openings;
    if (!opening && state != State.UNDECIDED) {
      sink.reasoning(blanks);
      blanks.setLength(0);
      state = State.CONTENT;
      end = position - finder.marker(found).length();
      contentBegin = position;
    } else if (opening && state != State.REASONING) {
      blanks.setLength(0);
      state = State.REASONING;
      begin = position;
      end = position;
    } else {
      text(finder.marker(found));
    }
  }

  /** Text between markers. */
  private void text(CharSequence text) {
    boolean blank = text.chars().allMatch(Character::isWhitespace);
    switch (state) {
      case UNDECIDED, REASONING_START -> {
        blanks.append(text);
        if (!blank) {
          state = state == State.UNDECIDED ? State.CONTENT : State.REASONING;
          String first = blanks.toString();
          blanks.setLength(0);
          text(first);
        }
      }
      case REASONING -> sink.reasoning(text);
      case CONTENT -> sink.content(text);
    }
  }
}
