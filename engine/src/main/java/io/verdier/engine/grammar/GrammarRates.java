package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.LongSupplier;

/**
 * Measures grammars over a vocabulary: what they take to compile, and what a step of generation
 * takes, over documents that are drawn at random among what each mask allows. Owned by its caller.
 */
public final class GrammarRates {
  /** A document that has not ended by then is left. */
  private static final int TOKENS_MAX = 400;

  /** Bytes that end things: drawn now and then where they fit, so that strings and lists do end. */
  private static final byte[] CLOSING = {'"', '}', ']', ','};

  private final TokenTrie trie;
  private final LongSupplier nanoTime;
  private final int[] closing; // token ids; -1: no such token

  /**
   * What was measured.
   *
   * @param compileNanos with what the vocabulary needs
   * @param bytes of the grammar, and of the states and masks after the documents
   * @param maskNanos of every mask asked for, in order
   */
  public record Rate(
      long compileNanos,
      int states,
      long grammarBytes,
      long bytes,
      long[] maskNanos,
      long advanceNanos) {

    /** Sorted, by a share of them. */
    public static double microsAt(long[] sortedNanos, double share) {
      int last = sortedNanos.length - 1;
      return last < 0 ? 0 : sortedNanos[(int) Math.min(last, share * sortedNanos.length)] / 1e3;
    }

    public double advanceNanosPerToken() {
      return maskNanos.length == 0 ? 0 : (double) advanceNanos / maskNanos.length;
    }
  }

  /**
   * @param nanoTime of the clock that measures
   */
  public GrammarRates(TokenTrie trie, LongSupplier nanoTime) {
    this.trie = trie;
    this.nanoTime = nanoTime;
    closing = new int[CLOSING.length];
    Arrays.fill(closing, -1);
    for (int token = 0; token < trie.vocabularySize(); token++) {
      byte[] bytes = trie.bytes(token);
      for (int i = 0; i < CLOSING.length; i++) {
        closing[i] = bytes.length == 1 && bytes[0] == CLOSING[i] ? token : closing[i];
      }
    }
  }

  /**
   * Compiles a constraint and draws documents.
   *
   * @throws GrammarException if it cannot be compiled
   */
  public Rate measure(Constraint constraint, int documents, long seed) {
    long start = nanoTime.getAsLong();
    Budget budget = Budget.defaults();
    Grammar grammar = GrammarCompiler.compile(constraint, budget);
    TokenGrammar.prepare(grammar, trie, budget);
    long compileNanos = nanoTime.getAsLong() - start;
    MaskStore store = new MaskStore();
    TokenGrammar tokens = new TokenGrammar(grammar, trie, store);
    Random random = new Random(seed);
    List<Long> masks = new ArrayList<>();
    long advance = 0;
    for (int document = 0; document < documents; document++) {
      GrammarState state = tokens.start();
      for (int step = 0; step < TOKENS_MAX && !state.mustEnd(); step++) {
        long before = nanoTime.getAsLong();
        long[] mask = tokens.allowed(state);
        long between = nanoTime.getAsLong();
        int token = drawn(mask, random);
        long drawn = nanoTime.getAsLong();
        GrammarState next = token < 0 ? null : tokens.next(state, token);
        advance += nanoTime.getAsLong() - drawn;
        masks.add(between - before);
        if (next == null) {
          throw new IllegalStateException("token " + token + " of the mask does not fit");
        }
        state = next;
      }
    }
    return new Rate(
        compileNanos,
        grammar.states(),
        grammar.bytes(),
        grammar.bytes() + tokens.bytes() + store.bytes(),
        masks.stream().mapToLong(Long::longValue).toArray(),
        advance);
  }

  private int drawn(long[] mask, Random random) {
    if (random.nextInt(4) == 0) {
      for (int token : closing) {
        if (token >= 0 && ((mask[token >> 6] >>> token) & 1) != 0) {
          return token;
        }
      }
    }
    int count = 0;
    for (long word : mask) {
      count += Long.bitCount(word);
    }
    int place = count == 0 ? -1 : random.nextInt(count);
    for (int i = 0; i < mask.length && place >= 0; i++) {
      long word = mask[i];
      int here = Long.bitCount(word);
      if (place < here) {
        for (; place > 0; place--) {
          word &= word - 1;
        }
        return i * Long.SIZE + Long.numberOfTrailingZeros(word);
      }
      place -= here;
    }
    return -1;
  }
}
