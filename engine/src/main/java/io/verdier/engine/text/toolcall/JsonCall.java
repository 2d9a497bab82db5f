package io.verdier.engine.text.toolcall;

import org.jspecify.annotations.Nullable;

/**
 * A call as one JSON object, {@code {"name": "f", "arguments": {…}}}; {@code parameters} is another
 * word for {@code arguments}. Owned by its parser.
 *
 * <p>Keys come in any order. Arguments may also be the text of an object in a string, or null.
 * Until the name is known, only what belongs to a call may come: an answer that happens to be JSON
 * is let go at its first key.
 */
final class JsonCall implements CallReader {
  private enum Stage {
    /** May be a call. */
    HELD,
    /** Is one, and its arguments go out. */
    STREAMING,
    /** Its arguments are out; the rest of the object is read past. */
    SAID,
    /** Is none; what comes is content until the object ends. */
    FOREIGN
  }

  private enum Reading {
    NAME,
    ARGUMENTS,
    QUOTED_ARGUMENTS,
    OTHER
  }

  private final Tools tools;
  private final CallWriter out;
  private final boolean argumentsOptional;
  private final JsonScanner scanner = new JsonScanner();
  private final StringBuilder held;
  private final StringBuilder key = new StringBuilder();
  private final StringBuilder value = new StringBuilder();
  private final StringBuilder arguments = new StringBuilder();
  private Stage stage = Stage.HELD;
  private Reading reading = Reading.OTHER;
  private @Nullable String name;
  private boolean argumentsSeen;
  private boolean argumentsSolid; // the first of them has a key, or there are none
  private boolean argumentsDone;

  /**
   * @param before markers before the object, content with it if it is no call
   * @param argumentsOptional whether a name alone makes a call
   */
  JsonCall(Tools tools, CallWriter out, CharSequence before, boolean argumentsOptional) {
    this.tools = tools;
    this.out = out;
    this.held = new StringBuilder(before);
    this.argumentsOptional = argumentsOptional;
  }

  @Override
  public Status accept(char c) {
    boolean awaitedValue = scanner.depth() == 1 && scanner.awaitsValue();
    boolean wasInString = scanner.isInString();
    if (!scanner.accept(c)) {
      return Status.REFUSED;
    }
    switch (stage) {
      case HELD -> held.append(c);
      case FOREIGN -> out.content(String.valueOf(c));
      case STREAMING, SAID -> {
        // read below, or past
      }
    }
    if (stage != Stage.FOREIGN) {
      follow(c, awaitedValue, wasInString);
    }
    if (!scanner.isDone()) {
      return Status.OPEN;
    }
    close();
    return Status.CLOSED;
  }

  @Override
  public void leave() {
    if (stage == Stage.STREAMING) {
      out.end(false);
    }
  }

  @Override
  public CharSequence held() {
    return held;
  }

  private void close() {
    if (stage != Stage.HELD) {
      return;
    }
    if (name != null && argumentsOptional && !argumentsSeen) {
      arguments.append("{}");
      argumentsDone = true;
      begin();
    } else {
      out.content(held);
    }
  }

  private void follow(char c, boolean awaitedValue, boolean wasInString) {
    boolean inKey = scanner.depth() == 1 && scanner.isInString() && scanner.isKey();
    if (inKey && wasInString) {
      key.append(c);
    } else if (inKey) {
      key.setLength(0);
    } else if (awaitedValue && !scanner.awaitsValue()) {
      valueStart(c);
    } else {
      valueGoesOn(c);
    }
  }

  private void valueStart(char c) {
    value.setLength(0);
    reading =
        switch (key.toString()) {
          case "name" -> c == '"' && name == null ? Reading.NAME : foreign();
          case "arguments", "parameters" -> argumentsStart(c);
          case "type", "id" -> Reading.OTHER;
          default -> name == null ? foreign() : Reading.OTHER;
        };
    if (reading == Reading.ARGUMENTS) {
      argument(c);
    }
  }

  private Reading argumentsStart(char c) {
    if (argumentsSeen) {
      return Reading.OTHER;
    }
    argumentsSeen = true;
    if (c == 'n') { // null; the scanner holds it to that
      arguments.append("{}");
      argumentsDone = true;
      argumentsSolid = true;
      beginIfCertain();
      return Reading.OTHER;
    }
    return c == '{' ? Reading.ARGUMENTS : c == '"' ? Reading.QUOTED_ARGUMENTS : foreign();
  }

  /** It is no call after all. */
  private Reading foreign() {
    if (stage == Stage.HELD) {
      out.content(held);
      held.setLength(0);
      stage = Stage.FOREIGN;
    }
    return Reading.OTHER;
  }

  private void valueGoesOn(char c) {
    switch (reading) {
      case NAME -> {
        if (scanner.isInString()) {
          value.append(c);
        } else {
          nameRead(JsonText.unescaped(value));
        }
      }
      case ARGUMENTS -> argument(c);
      case QUOTED_ARGUMENTS -> {
        if (scanner.isInString()) {
          value.append(c);
        } else {
          quotedArgumentsRead(JsonText.unescaped(value));
        }
      }
      case OTHER -> {
        // read past
      }
    }
  }

  private void nameRead(String read) {
    reading = Reading.OTHER;
    if (tools.declares(read)) {
      name = read;
      beginIfCertain();
    } else {
      foreign();
    }
  }

  private void quotedArgumentsRead(String text) {
    reading = Reading.OTHER;
    if (text.isBlank()) {
      arguments.append("{}");
    } else if (text.strip().startsWith("{") && JsonScanner.isValue(text)) {
      arguments.append(text.strip());
    } else {
      foreign();
      return;
    }
    argumentsSolid = true;
    argumentsDone = true;
    beginIfCertain();
  }

  private void argument(char c) {
    argumentsDone = scanner.depth() == 1;
    argumentsSolid |= argumentsDone || (scanner.depth() == 2 && scanner.awaitsValue());
    if (argumentsDone) {
      reading = Reading.OTHER;
    }
    if (stage == Stage.STREAMING) {
      out.arguments(String.valueOf(c));
      endIfDone();
    } else {
      arguments.append(c);
      beginIfCertain();
    }
  }

  private void beginIfCertain() {
    if (name != null && argumentsSolid && stage == Stage.HELD) {
      begin();
    }
  }

  private void begin() {
    if (name == null) {
      throw new IllegalStateException("a call without a name begins");
    }
    held.setLength(0);
    stage = Stage.STREAMING;
    out.begin(name);
    out.arguments(arguments);
    arguments.setLength(0);
    endIfDone();
  }

  private void endIfDone() {
    if (argumentsDone) {
      stage = Stage.SAID;
      out.end(true);
    }
  }
}
