package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta.Scores;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: one answer as a row of blocks, each of reasoning, text or a call, as the
 * Messages API and the Responses API show it. One block is open at a time.
 *
 * <p>White space that stands alone between two blocks (models put line breaks around reasoning and
 * between calls) makes no block; where text follows it, it is the beginning of that text.
 */
final class AnswerBlocks implements AnswerReader.Sink {
  private final AnswerReader reader;
  private final Supplier<String> callIds;
  private final Listener listener;
  private final List<Block> blocks = new ArrayList<>();
  private final StringBuilder held = new StringBuilder(); // blank, may begin a block
  private final StringBuilder news = new StringBuilder(); // of the open block, not told yet
  private final List<Scores> unplaced = new ArrayList<>(); // tokens whose block is not known yet
  private int placed; // where the last of the others ends in the whole text
  private Kind heldKind = Kind.TEXT;
  private @Nullable Block open;
  private boolean called;

  /** What a block is made of. */
  enum Kind {
    REASONING,
    TEXT,
    /** Its text is the arguments of the call, a JSON object. */
    CALL
  }

  /** A part of an answer; grows while it is open. */
  static final class Block {
    final int index;
    final Kind kind;
    final String callId; // empty but for calls
    final String name; // the same
    final StringBuilder text = new StringBuilder();
    final List<Scores> scores = new ArrayList<>(); // of a message's tokens, where they are scored
    int scoresTold;
    boolean complete = true;

    Block(int index, Kind kind, String callId, String name) {
      this.index = index;
      this.kind = kind;
      this.callId = callId;
      this.name = name;
    }
  }

  /** Hears of blocks as they grow. */
  interface Listener {
    /** For whole answers. */
    Listener NOBODY =
        new Listener() {
          @Override
          public void onBegin(Block block) {}

          @Override
          public void onText(Block block, String more) {}

          @Override
          public void onEnd(Block block) {}
        };

    void onBegin(Block block);

    /**
     * @param more already in the block's text
     */
    void onText(Block block, String more);

    void onEnd(Block block);
  }

  /**
   * @param promptTail the end of the prompt, see {@link AnswerReader}
   * @param callIdPrefix of the names that calls get
   */
  AnswerBlocks(ChatParsing parsing, String promptTail, String callIdPrefix, Listener listener) {
    this.reader = new AnswerReader(parsing, promptTail, this);
    this.callIds = () -> CallIds.next(parsing, callIdPrefix);
    this.listener = listener;
  }

  /** The blocks of an answer that is complete. */
  static AnswerBlocks of(Choice choice, ChatParsing parsing, String callIdPrefix) {
    AnswerBlocks blocks =
        new AnswerBlocks(parsing, choice.promptTail, callIdPrefix, Listener.NOBODY);
    blocks.append(choice.text.toString(), choice.scores);
    blocks.finish();
    return blocks;
  }

  /**
   * Tells what is new, once per block: parsers cut anywhere, even inside a character.
   *
   * @param scores of the tokens that the text is made of; its own text may come later
   */
  void append(String text, List<Scores> scores) {
    unplaced.addAll(scores);
    reader.append(text);
    tell();
  }

  /** The text has ended. */
  void finish() {
    reader.finish();
    if (blocks.isEmpty() && !held.isEmpty() && heldKind == Kind.TEXT) {
      begin(Kind.TEXT, "", "");
      grow(held.toString());
    }
    held.setLength(0);
    close();
  }

  /** All blocks so far. */
  List<Block> blocks() {
    return blocks;
  }

  /** Whether there is a call among them. */
  boolean called() {
    return called;
  }

  @Override
  public void reasoning(CharSequence text) {
    say(Kind.REASONING, text);
  }

  @Override
  public void content(CharSequence text) {
    say(Kind.TEXT, text);
  }

  private void say(Kind kind, CharSequence text) {
    if (open != null && open.kind == kind) {
      grow(text.toString());
      return;
    }
    if (heldKind != kind) {
      held.setLength(0);
      heldKind = kind;
    }
    String more = text.toString();
    held.append(more);
    if (!more.isBlank()) { // what was held is blank: looking at it again would be quadratic
      begin(kind, "", "");
      grow(held.toString());
      held.setLength(0);
    }
  }

  @Override
  public void begin(int call, String name) {
    called = true;
    held.setLength(0);
    begin(Kind.CALL, callIds.get(), name);
  }

  @Override
  public void arguments(int call, CharSequence part) {
    grow(part.toString());
  }

  @Override
  public void end(int call, boolean complete) {
    if (open != null) {
      open.complete = complete;
    }
    close();
  }

  private void begin(Kind kind, String callId, String name) {
    close();
    open = new Block(blocks.size(), kind, callId, name);
    blocks.add(open);
    listener.onBegin(open);
  }

  private void grow(String more) {
    if (open != null && !more.isEmpty()) {
      open.text.append(more);
      news.append(more);
    }
  }

  private void tell() {
    if (open != null && !news.isEmpty()) {
      String more = news.toString();
      news.setLength(0);
      place(open, open.text.length());
      listener.onText(open, more);
      open.scoresTold = open.scores.size();
    }
  }

  private void close() {
    if (open != null) {
      tell();
      Block closing = open;
      open = null;
      place(closing, Integer.MAX_VALUE);
      listener.onEnd(closing);
    }
  }

  /**
   * Gives a message the tokens whose text it has. Only the first one is looked at: its text stands
   * in the whole text as it is, up to the first call, while behind one nobody knows where.
   *
   * @param ready characters of it to which a token may reach
   */
  private void place(Block message, int ready) {
    boolean isFirst =
        message.kind == Kind.TEXT
            && blocks.subList(0, message.index).stream().allMatch(it -> it.kind == Kind.REASONING);
    int begin = reader.contentBegin();
    int taken = 0;
    for (Scores token : isFirst ? unplaced : List.<Scores>of()) {
      boolean isBefore = placed < begin && token.textEnd() <= begin;
      if (!isBefore) {
        if (placed - begin >= message.text.length() || token.textEnd() - begin > ready) {
          break;
        }
        message.scores.add(token);
      }
      placed = token.textEnd();
      taken++;
    }
    unplaced.subList(0, taken).clear();
  }
}
