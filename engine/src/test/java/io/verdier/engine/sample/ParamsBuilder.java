package io.verdier.engine.sample;

/** Parameters for tests: all off but what is named. Changed in place. */
final class ParamsBuilder {
  float temperature = 1;
  float topP = 1;
  int topK;
  float minP;
  float presence;
  float frequency;
  float repetition = 1;
  long seed;
  int minTokens;
  int[] stopIds = {};
  int[] biasIds = {};
  float[] biasValues = {};
  int[] allowed = {};
  int[][] badWords = {};
  int logprobs = -1;

  SamplingParams build() {
    return new SamplingParams(
        temperature,
        topP,
        topK,
        minP,
        presence,
        frequency,
        repetition,
        seed,
        1000,
        minTokens,
        false,
        stopIds,
        biasIds,
        biasValues,
        allowed,
        badWords,
        logprobs,
        -1);
  }
}
