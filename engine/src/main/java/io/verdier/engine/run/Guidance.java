package io.verdier.engine.run;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * Holds one sequence to its constraint. Owned by the executor thread. A pure function of the tokens
 * that the sequence has said: who starts in the middle of an answer gets where who said it is.
 *
 * <p>Where the constraint leaves one text, its next token is the one that the vocabulary spells it
 * with, whatever the model thinks of it; so it need not be asked. That too is a function of what
 * was said: a token is the same whether a step was spent on it or not.
 *
 * <p>What the model thinks before the constraint begins is free. Behind an end token nothing is
 * left to constrain; if a step was planned before that token was known, what it chooses is dropped,
 * and may be the end once more.
 */
final class Guidance implements TokenMask {
  private static final long[] NO_TOKENS = {};
  private static final int NONE = -1;

  /** Tokens that are known to follow one, of a step: what more there is follows in the next. */
  private static final int RUN_MAX = 64;

  private final TokenGrammar grammar;
  private final int[] endTokenIds;
  private final Thinking thinking;
  private final int promptTokens;
  private final SamplingParams params;
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
  Guidance(
      TokenGrammar grammar,
      int[] endTokenIds,
      Thinking thinking,
      int promptTokens,
      SamplingParams params) {
    this.grammar = grammar;
    this.endTokenIds = endTokenIds;
    this.thinking = thinking;
    this.promptTokens = promptTokens;
    this.params = params;
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
      catchUp(history);
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

  /**
   * Appends the tokens that can only follow a history, all of whose tokens are known, and that need
   * nothing of the model.
   */
  void appendForced(TokenHistory history) {
    if (params.logprobs() >= 0) {
      return; // each token has a score, which only a step can give
    }
    try {
      int longest = Math.min(RUN_MAX, params.maxTokens() - history.generatedTokens());
      for (int i = 0; i < longest; i++) {
        catchUp(history);
        GrammarState at = state;
        int token = at == null ? NONE : forced(at);
        if (token == NONE) {
          return;
        }
        history.append(token);
      }
    } catch (GrammarException _) {
      // Whoever asks what may follow hears of it, if anybody does.
    }
  }

  private void catchUp(TokenHistory history) {
    for (; seen < history.known(); seen++) {
      accept(history.get(seen));
    }
  }

  /**
   * The token that must follow, or {@link #NONE}. Where the client wants some tokens rather than
   * others, another spelling may be what it asks for; so there, and where a token would end the
   * answer or is not to end it yet, one is chosen.
   */
  private int forced(GrammarState at) {
    if (mayOpen()
        || params.allowedTokenIds().length > 0
        || params.badWords().length > 0
        || params.biasIds().length > 0) {
      return NONE;
    }
    int token = grammar.forcedToken(at);
    boolean ends = contains(endTokenIds, token) || contains(params.stopTokenIds(), token);
    return ends ? NONE : token;
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
    for (int id : ids) {
      if (id == token) {
        return true;
      }
    }
    return false;
  }

  private void stand(GrammarState at) {
    int forced = forced(at);
    if (forced != NONE) {
      tokens = grammar.only(forced);
      mayEnd = false;
      mustEnd = false;
      return;
    }
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
