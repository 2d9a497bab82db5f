package io.verdier.engine.sample;

import java.util.Arrays;
import java.util.Random;

/**
 * Prints the median time of one row for several settings; run its {@code main} by hand. Not a test:
 * time is no property of correctness.
 */
final class SamplerBenchmark {
  private static final int VOCAB = 128_256;
  private static final int ROUNDS = 400;

  private SamplerBenchmark() {}

  public static void main(String[] args) {
    float[] logits = new float[VOCAB];
    Random random = new Random(1);
    for (int id = 0; id < VOCAB; id++) {
      logits[id] = (float) (random.nextGaussian() * 2.5);
    }
    logits[77] = 16;
    ParamsBuilder params = new ParamsBuilder();
    for (int pass = 0; pass < 2; pass++) {
      params.temperature = 0;
      time("greedy", logits, params);
      params.logprobs = 5;
      time("greedy, 5 logprobs", logits, params);
      params.logprobs = -1;
      params.temperature = 0.7f;
      time("temperature 0.7", logits, params);
      params.topP = 0.9f;
      time("temperature 0.7, top_p 0.9", logits, params);
      params.topK = 50;
      time("temperature 0.7, top_k 50, top_p 0.9", logits, params);
      params.repetition = 1.1f;
      time("the same, repetition_penalty over 8000 tokens", logits, params);
      params = new ParamsBuilder();
      params.topP = 0.9f;
      time("equal logits, top_p 0.9", new float[VOCAB], params);
      params = new ParamsBuilder();
    }
  }

  private static void time(String name, float[] logits, ParamsBuilder builder) {
    Sampler sampler = new Sampler(VOCAB, new int[] {2});
    TokenHistory history = new TokenHistory(new Random(2).ints(8000, 0, VOCAB).toArray(), 7000);
    long[] nanos = new long[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      builder.seed = round;
      long start = System.nanoTime();
      history.append(sampler.sample(logits, 0, history, builder.build()).token());
      nanos[round] = System.nanoTime() - start;
    }
    Arrays.sort(nanos);
    System.out.printf("%-50s %6.3f ms%n", name, nanos[ROUNDS / 2] / 1e6);
  }
}
