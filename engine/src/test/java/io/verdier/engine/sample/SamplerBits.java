package io.verdier.engine.sample;

import java.util.Random;

/** Prints a digest of what the sampler gives for fixed inputs; {@link SamplerJitTest} runs it. */
final class SamplerBits {
  private SamplerBits() {}

  public static void main(String[] args) {
    System.out.println(digest());
  }

  static long digest() {
    Random random = new Random(5);
    long digest = 0;
    for (int round = 0; round < 60; round++) {
      int vocab = 1000 + round;
      Sampler sampler = new Sampler(vocab, new int[] {2});
      float[] logits = RandomInputs.logits(random, vocab);
      SamplingParams params = RandomInputs.params(random, vocab);
      TokenHistory history = new TokenHistory(random.ints(20, 0, vocab).toArray(), 10);
      for (int step = 0; step < 4; step++) {
        int token = sampler.sample(logits, 0, history, params).token();
        TokenLogprobs logprobs = sampler.score(logits, 0, token, 5);
        history.append(token);
        digest = digest * 1_000_003 + token;
        digest = digest * 31 + Float.floatToRawIntBits(logprobs.logprob());
        digest = digest * 31 + logprobs.topIds()[4];
      }
    }
    return digest;
  }
}
