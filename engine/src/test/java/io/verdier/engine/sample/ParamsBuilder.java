package io.verdier.engine.sample;

/** Parameters for tests: all off but what is named. Changed in place. */
public final class ParamsBuilder {
  public float temperature = 1;
  public float topP = 1;
  public int topK;
  public float minP;
  public float presence;
  public float frequency;
  public float repetition = 1;
  public long seed;
  public int minTokens;
  public boolean ignoreEos;
  public int[] stopIds = {};
  public int[] biasIds = {};
  public float[] biasValues = {};
  public int[] allowed = {};
  public int[][] badWords = {};
  public int logprobs = -1;
  public int promptLogprobs = -1;
  public int maxTokens = 1000;

  public SamplingParams build() {
    return new SamplingParams(
        temperature,
        topP,
        topK,
        minP,
        presence,
        frequency,
        repetition,
        seed,
        maxTokens,
        minTokens,
        ignoreEos,
        stopIds,
        biasIds,
        biasValues,
        allowed,
        badWords,
        logprobs,
        promptLogprobs);
  }
}
