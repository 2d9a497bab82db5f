package io.verdier.verticles.bench;

import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.DecodeException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop. When the pieces of one answer came, and how it ended.
 *
 * <p>Parsing JSON costs ten times as much as everything else the client does for a token, and a
 * client that is busy measures itself. So only the pieces before the first text and the last few
 * are parsed: those in the middle are tokens. The first of a chat has a role but no text, the last
 * ones an end or the usage but no text; these do not count.
 */
final class RequestTrace implements SseScanner.Sink {
  private static final int TAIL = 4; // pieces at the end that may have no text
  private static final byte[] DONE = {'[', 'D', 'O', 'N', 'E', ']'};

  private final byte[][] tail = new byte[TAIL][256];
  private final int[] tailLengths = new int[TAIL];
  private final long startNanos;
  private long[] pieceNanos;
  private int pieces;
  private long nowNanos;
  private boolean done;
  private int promptTokens = -1;
  private int outputTokens = -1;
  private @Nullable String error;

  /**
   * @param piecesExpected room to begin with
   */
  RequestTrace(long startNanos, int piecesExpected) {
    this.startNanos = startNanos;
    this.pieceNanos = new long[piecesExpected + TAIL];
  }

  /** The time at which the bytes came that are scanned next. */
  void at(long nanos) {
    nowNanos = nanos;
  }

  @Override
  public void onData(byte[] bytes, int start, int end) {
    int length = end - start;
    if (length == DONE.length && Arrays.equals(bytes, start, end, DONE, 0, DONE.length)) {
      done = true;
    } else if (pieces > 0 || hasText(parsed(bytes, start, length))) {
      add(bytes, start, length);
    }
  }

  /** The stream ended. */
  void onEnd() {
    boolean text = false;
    for (int kept = Math.min(TAIL, pieces); kept > 0 && !text; kept--) {
      int slot = (pieces - 1) % TAIL;
      text = hasText(parsed(tail[slot], 0, tailLengths[slot]));
      pieces -= text ? 0 : 1;
    }
    if (!done) {
      fail("the stream ended before [DONE]");
    } else if (pieces == 0) {
      fail("the answer has no text");
    }
  }

  /** The first failure counts. */
  void fail(String text) {
    if (error == null) {
      error = text;
    }
  }

  @Nullable String error() {
    return error;
  }

  long startNanos() {
    return startNanos;
  }

  /** Pieces of text, in order of arrival. */
  int pieces() {
    return pieces;
  }

  long pieceNanos(int i) {
    return pieceNanos[i];
  }

  /** What the server says; else {@code expected}. */
  int promptTokens(int expected) {
    return promptTokens >= 0 ? promptTokens : expected;
  }

  /** What the server says; else one token a piece. */
  int outputTokens() {
    return outputTokens >= 0 ? outputTokens : pieces;
  }

  private void add(byte[] bytes, int start, int length) {
    if (pieces == pieceNanos.length) {
      pieceNanos = Arrays.copyOf(pieceNanos, pieces * 2);
    }
    int slot = pieces % TAIL;
    if (tail[slot].length < length) {
      tail[slot] = new byte[length * 2];
    }
    System.arraycopy(bytes, start, tail[slot], 0, length);
    tailLengths[slot] = length;
    pieceNanos[pieces++] = nowNanos;
  }

  private JsonObject parsed(byte[] bytes, int start, int length) {
    try {
      return new JsonObject(Buffer.buffer().appendBytes(bytes, start, length));
    } catch (DecodeException notJson) {
      fail("a piece of the stream is not a JSON object");
      return new JsonObject();
    }
  }

  /** Whether this piece says something; takes usage and error from it in passing. */
  private boolean hasText(JsonObject piece) {
    if (piece.getValue("usage") instanceof JsonObject usage) {
      promptTokens = usage.getInteger("prompt_tokens", promptTokens);
      outputTokens = usage.getInteger("completion_tokens", outputTokens);
    }
    if (piece.getValue("error") != null || "error".equals(piece.getValue("object"))) {
      fail("the server ended the stream: " + ServerError.text(piece));
    }
    if (!(piece.getValue("choices") instanceof JsonArray choices)
        || choices.isEmpty()
        || !(choices.getValue(0) instanceof JsonObject choice)) {
      return false;
    }
    return choice.getValue("delta") instanceof JsonObject delta
        ? isText(delta.getValue("content"))
            || isText(delta.getValue("reasoning"))
            || isText(delta.getValue("reasoning_content"))
        : isText(choice.getValue("text"));
  }

  private static boolean isText(@Nullable Object value) {
    return value instanceof String text && !text.isEmpty();
  }
}
