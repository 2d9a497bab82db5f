package io.verdier.engine.schedule;

import io.verdier.engine.sample.SamplingParams;
import java.util.Arrays;

/**
 * A model whose next token is a function of (adapter, tokens so far, seed) and nothing else, with
 * the tokens folded into one number per position: what a real model keeps in its KV cache.
 * Immutable.
 */
record PureModel(int vocabulary) {

  /** How a request must end, whatever else the server does meanwhile. */
  record Expected(int[] generated, FinishReason reason, int stopToken) {}

  /** The state before the first token. */
  static long origin(String adapter) {
    return mix(0x5eed, adapter.hashCode());
  }

  /** The state at a position, from the state before it. */
  static long next(long state, int token) {
    return mix(state, token);
  }

  int sample(long state, long seed, int position) {
    return (int) Long.remainderUnsigned(mix(mix(state, seed), position), vocabulary);
  }

  /** Generates from {@code tokens} to the end by the rules of the API, one token after another. */
  Expected expected(EngineRequest request, SchedulerSettings settings, long capacityTokens) {
    SamplingParams sampling = request.sampling();
    int prompt = request.promptTokens();
    int most = (int) Math.min(settings.modelTokensMax(), capacityTokens);
    if (prompt + Math.min(1, sampling.maxTokens()) > most) {
      return new Expected(new int[0], FinishReason.ERROR, -1);
    }
    long state = origin(request.adapter());
    for (int i = 0; i < prompt; i++) {
      state = next(state, request.tokens()[i]);
    }
    int[] generated = new int[most];
    for (int count = 0; ; ) {
      if (count == sampling.maxTokens() || prompt + count == most) {
        return new Expected(Arrays.copyOf(generated, count), FinishReason.LENGTH, -1);
      }
      int token = sample(state, sampling.seed(), prompt + count);
      generated[count++] = token;
      state = next(state, token);
      if (!sampling.ignoreEos() && has(settings.endTokens(), token)) {
        return new Expected(Arrays.copyOf(generated, count), FinishReason.STOP, -1);
      }
      if (has(sampling.stopTokenIds(), token)) {
        return new Expected(Arrays.copyOf(generated, count), FinishReason.STOP, token);
      }
    }
  }

  private static boolean has(int[] ids, int id) {
    return Arrays.stream(ids).anyMatch(i -> i == id);
  }

  private static long mix(long a, long b) {
    long z = (a ^ (b + 0x9e3779b97f4a7c15L)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 29)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 32);
  }
}
