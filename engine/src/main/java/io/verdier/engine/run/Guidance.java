package io.verdier.engine.run;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Holds one sequence to its constraint. Owned by the executor thread. A pure function of the tokens
 * that the sequence has said: who starts in the middle of an answer gets where who said it is.
 *
 * <p>What the model thinks before the constraint begins is free. Behind an end token nothing is
 * left to constrain; if a step was planned before that token was known, what it chooses is dropped,
 * and may be the end once more.
 */
final class Guidance implements TokenMask {
  private static final long[] NO_TOKENS = {};

  private final TokenGrammar grammar;
  private final int[] endTokenIds;
  private final Thinking thinking;
  private final int promptTokens;
  private final StringBuilder thought = new StringBuilder(); // its last bytes, a character each
  private final int thoughtKept; // characters of it that may be the beginning of an ending
  private @Nullable GrammarState state; // null: it thinks, or is over
  private boolean isOver;
  private int seen; // tokens of the history that are taken into account
  private long[] tokens = NO_TOKENS;
  private boolean mayEnd;
  private boolean mustEnd;

  /**
   * @param endTokenIds the model's own end tokens
   * @param promptTokens of the sequence: they are not held to anything
   */
  Guidance(TokenGrammar grammar, int[] endTokenIds, Thinking thinking, int promptTokens) {
    this.grammar = grammar;
    this.endTokenIds = endTokenIds;
    this.thinking = thinking;
    this.promptTokens = promptTokens;
    thoughtKept = thinking.endingTexts().stream().mapToInt(String::length).max().orElse(1) - 1;
    seen = promptTokens;
    state = thinking.isOpen() ? null : grammar.start();
  }

  /**
   * What may follow a history, all of whose tokens are known; null: anything.
   *
   * @throws RejectedException if nothing may, or the history breaks the constraint
   */
  @Nullable TokenMask maskBehind(TokenHistory history) {
    try {
      for (; seen < history.known(); seen++) {
        accept(history.get(seen));
      }
      GrammarState at = state;
      if (at == null) {
        tokens = NO_TOKENS;
        mayEnd = true;
        mustEnd = true;
        return isOver ? this : null;
      }
      stand(at);
    } catch (GrammarException tooMuch) {
      throw refused(String.valueOf(tooMuch.getMessage()));
    }
    return this;
  }

  /** Whether the model has a token that can end the answer. */
  boolean hasEnd() {
    return endTokenIds.length > 0;
  }

  private void accept(int token) {
    GrammarState at = state;
    if (isOver) {
      return;
    }
    if (at == null) {
      think(token);
      return;
    }
    if (mayOpen() && contains(thinking.openings(), token)) {
      state = null;
      return;
    }
    if (contains(endTokenIds, token)) {
      isOver = true;
      state = null;
      return;
    }
    GrammarState next = grammar.next(at, token);
    if (next == null) {
      throw refused("the tokens that the answer has so far do not match it.");
    }
    state = next;
  }

  /** Whether the next token may be the one that opens its thoughts. */
  private boolean mayOpen() {
    return seen == promptTokens && thinking.openings().length > 0;
  }

  private void think(int token) {
    if (contains(thinking.endings(), token)) {
      state = grammar.start();
      return;
    }
    if (thinking.endingTexts().isEmpty()) {
      return;
    }
    String text = new String(grammar.bytes(token), StandardCharsets.ISO_8859_1);
    thought.append(text);
    for (String ending : thinking.endingTexts()) {
      int found = thought.indexOf(ending);
      if (found >= 0) {
        begin(thought.substring(found + ending.length()));
        return;
      }
    }
    thought.delete(0, Math.max(0, thought.length() - thoughtKept));
  }

  /**
   * The answer begins.
   *
   * @param first what the token that ended the thoughts says of it already: blanks, which count
   *     only where they may stand, or else a beginning
   */
  private void begin(String first) {
    GrammarState next = grammar.next(grammar.start(), first.getBytes(StandardCharsets.ISO_8859_1));
    if (next == null && !first.isBlank()) {
      throw refused("the token that ends the model's thoughts goes on with something else.");
    }
    state = next == null ? grammar.start() : next;
  }

  private static boolean contains(int[] ids, int token) {
    return Arrays.stream(ids).anyMatch(id -> id == token);
  }

  private void stand(GrammarState at) {
    tokens = mayOpen() ? withOpenings(grammar.allowed(at)) : grammar.allowed(at);
    mayEnd = at.mayEnd();
    mustEnd = true;
    for (int i = 0; mustEnd && i < tokens.length; i++) {
      mustEnd = tokens[i] == 0;
    }
    if (mustEnd && !mayEnd) {
      throw refused("no token of this model's vocabulary goes on from where the answer is.");
    }
  }

  private long[] withOpenings(long[] allowed) {
    long[] both = allowed.clone();
    for (int id : thinking.openings()) {
      both[id >> 6] |= 1L << id;
    }
    return both;
  }

  private static RejectedException refused(String why) {
    return RejectedException.invalid(
        "structured_outputs", "The answer cannot be held to what it must match: " + why);
  }

  @Override
  public long[] tokens() {
    return tokens;
  }

  @Override
  public boolean mayEnd() {
    return mayEnd;
  }

  @Override
  public boolean mustEnd() {
    return mustEnd;
  }
}
