package io.verdier.engine.sample;

import java.util.Arrays;

/**
 * Owned by the executor thread. The distinct tokens of one sequence, in order of first appearance,
 * with how often each was generated. A hash table of its own because a boxed map would cost an
 * object per token of a long prompt.
 */
final class TokenCounts {
  private int[] tokens = {};
  private int[] generated = {};
  private int size;

  /** Open addressing; index into {@code tokens} plus 1, 0: free. Length is a power of two. */
  private int[] slots = {};

  int size() {
    return size;
  }

  /** The {@code i}-th distinct token. */
  int token(int i) {
    return tokens[i];
  }

  /** How often the {@code i}-th distinct token was generated; 0: it is in the prompt only. */
  int generated(int i) {
    return generated[i];
  }

  void add(int token, boolean wasGenerated) {
    if (size == tokens.length) {
      grow();
    }
    int slot = find(token);
    if (slots[slot] == 0) {
      tokens[size++] = token;
      slots[slot] = size;
    }
    if (wasGenerated) {
      generated[slots[slot] - 1]++;
    }
  }

  private int find(int token) {
    int mask = slots.length - 1;
    int slot = ((token * 0x9E3779B9) >>> 7) & mask;
    while (slots[slot] != 0 && tokens[slots[slot] - 1] != token) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Doubles; the slots stay at most half full. */
  private void grow() {
    int capacity = Math.max(64, tokens.length * 2);
    tokens = Arrays.copyOf(tokens, capacity);
    generated = Arrays.copyOf(generated, capacity);
    slots = new int[capacity * 2];
    for (int i = 0; i < size; i++) {
      slots[find(tokens[i])] = i + 1;
    }
  }
}
