package io.verdier.engine.sample;

import java.util.Random;
import java.util.stream.IntStream;

/** Rows and parameters of all sorts for property tests. */
public final class RandomInputs {
  private RandomInputs() {}

  /** Finite logits: wide, narrow, coarse (many ties), or with masked tokens; never all masked. */
  public static float[] logits(Random random, int vocab) {
    float[] logits = new float[vocab];
    double spread = Math.pow(10, random.nextDouble() * 2.5 - 1);
    boolean coarse = random.nextInt(3) == 0;
    double masked = random.nextInt(3) == 0 ? random.nextDouble() : 0;
    for (int id = 0; id < vocab; id++) {
      float logit = (float) (random.nextGaussian() * spread);
      logits[id] = coarse ? Math.round(logit) / 2f : logit;
      if (random.nextDouble() < masked) {
        logits[id] = Float.NEGATIVE_INFINITY;
      }
    }
    logits[0] = 1;
    logits[3] = -2;
    return logits;
  }

  /** Tokens 0, 1 and 3 are never all masked: they do not stop, are allowed and no bad words. */
  public static SamplingParams params(Random random, int vocab) {
    ParamsBuilder params = new ParamsBuilder();
    params.seed = random.nextLong();
    params.temperature = random.nextInt(6) == 0 ? 0 : random.nextFloat() * 2;
    params.topP = random.nextBoolean() ? 1 : 1 - random.nextFloat();
    params.topK = random.nextBoolean() ? 0 : 1 + random.nextInt(vocab + 3);
    params.minP = random.nextInt(3) > 0 ? 0 : random.nextFloat();
    params.presence = random.nextInt(3) > 0 ? 0 : random.nextFloat() * 4 - 2;
    params.frequency = random.nextInt(3) > 0 ? 0 : random.nextFloat() * 4 - 2;
    params.repetition = random.nextInt(3) > 0 ? 1 : 0.1f + random.nextFloat() * 3;
    params.minTokens = random.nextInt(3) > 0 ? 0 : random.nextInt(30);
    params.stopIds = ids(random, 4, vocab);
    params.biasIds = random.nextInt(3) > 0 ? new int[0] : ids(random, 0, vocab);
    params.biasValues = new float[params.biasIds.length];
    for (int i = 0; i < params.biasValues.length; i++) {
      params.biasValues[i] = random.nextFloat() * 200 - 100;
    }
    if (random.nextInt(4) == 0) {
      params.allowed =
          IntStream.concat(IntStream.of(0, 3), random.ints(vocab / 3, 4, vocab))
              .distinct()
              .sorted()
              .toArray();
    }
    if (random.nextInt(4) == 0) {
      params.badWords = new int[random.nextInt(20)][];
      for (int i = 0; i < params.badWords.length; i++) {
        params.badWords[i] = random.ints(1 + random.nextInt(3), 4, vocab).toArray();
      }
    }
    params.logprobs = random.nextInt(8) - 1;
    return params.build();
  }

  private static int[] ids(Random random, int from, int vocab) {
    return random.ints(random.nextInt(5), from, vocab).distinct().sorted().toArray();
  }
}
