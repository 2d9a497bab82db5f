package io.verdier.engine.sample;

/**
 * How to choose the tokens of one sequence, or what else to make of its prompt. Immutable (the
 * arrays must not be changed); a pure function of (logits, tokens so far, these) gives the next
 * token, which is what lets a stream be preempted or moved.
 *
 * <p>Ranges, defaults and order follow vLLM's V1 sampler.
 *
 * @param temperature ≥ 0; below 1e-5 greedy
 * @param topP (0, 1]
 * @param topK 0: off
 * @param minP [0, 1], relative to the largest probability
 * @param presencePenalty [-2, 2], on generated tokens
 * @param frequencyPenalty [-2, 2], on generated tokens
 * @param repetitionPenalty &gt; 0, on prompt and generated tokens
 * @param seed key of the random numbers; chosen at ingress when the client sent none
 * @param maxTokens most tokens to generate, ≥ 1 (0 only to score or to pool a prompt)
 * @param minTokens until so many tokens are generated, stop tokens are masked
 * @param ignoreEos whether the model's own end tokens do not stop
 * @param stopTokenIds further ids that stop, sorted
 * @param biasIds token ids of {@code logit_bias}
 * @param biasValues added to the logits, one per id, within [-100, 100]
 * @param allowedTokenIds when not empty, the only ids that may be chosen; sorted
 * @param badWords token sequences that must not be completed
 * @param logprobs how many of the most probable tokens to report with each chosen one; -1: none at
 *     all
 * @param promptLogprobs the same for each prompt token; -1: none
 * @param pooling which hidden states of the prompt are wanted
 * @param scoredIds when not empty, the tokens to report with each chosen one in place of the most
 *     probable ones
 * @param repetition what ends an answer that repeats itself
 */
public record SamplingParams(
    float temperature,
    float topP,
    int topK,
    float minP,
    float presencePenalty,
    float frequencyPenalty,
    float repetitionPenalty,
    long seed,
    int maxTokens,
    int minTokens,
    boolean ignoreEos,
    int[] stopTokenIds,
    int[] biasIds,
    float[] biasValues,
    int[] allowedTokenIds,
    int[][] badWords,
    int logprobs,
    int promptLogprobs,
    Pooling pooling,
    int[] scoredIds,
    Repetition repetition) {

  /** As {@code logprobs} and {@code promptLogprobs}: none are reported. */
  public static final int NO_SCORES = -1;

  private static final int[] NO_IDS = {};

  /** For tokens: no hidden states are wanted. */
  public SamplingParams(
      float temperature,
      float topP,
      int topK,
      float minP,
      float presencePenalty,
      float frequencyPenalty,
      float repetitionPenalty,
      long seed,
      int maxTokens,
      int minTokens,
      boolean ignoreEos,
      int[] stopTokenIds,
      int[] biasIds,
      float[] biasValues,
      int[] allowedTokenIds,
      int[][] badWords,
      int logprobs,
      int promptLogprobs) {
    this(
        temperature,
        topP,
        topK,
        minP,
        presencePenalty,
        frequencyPenalty,
        repetitionPenalty,
        seed,
        maxTokens,
        minTokens,
        ignoreEos,
        stopTokenIds,
        biasIds,
        biasValues,
        allowedTokenIds,
        badWords,
        logprobs,
        promptLogprobs,
        Pooling.NONE,
        NO_IDS,
        Repetition.NONE);
  }

  /** Hidden states of the prompt, and no tokens. */
  public static SamplingParams pooled(Pooling pooling) {
    return greedy(0).with(pooling);
  }

  /** Greedy, at most {@code maxTokens}, everything else off. */
  public static SamplingParams greedy(int maxTokens) {
    return greedy(maxTokens, false, NO_SCORES, NO_SCORES);
  }

  /** For the sake of the log probabilities: greedy, and no token ends it. */
  public static SamplingParams scores(int maxTokens, int logprobs, int promptLogprobs) {
    return greedy(maxTokens, true, logprobs, promptLogprobs);
  }

  private static SamplingParams greedy(
      int maxTokens, boolean ignoreEos, int logprobs, int promptLogprobs) {
    return new SamplingParams(
        0,
        1,
        0,
        0,
        0,
        0,
        1,
        0,
        maxTokens,
        0,
        ignoreEos,
        NO_IDS,
        NO_IDS,
        new float[0],
        NO_IDS,
        new int[0][],
        logprobs,
        promptLogprobs);
  }

  public boolean isGreedy() {
    return isGreedy(temperature);
  }

  /** Whether so low a temperature means to take the largest logit. */
  static boolean isGreedy(float temperature) {
    return temperature < 1e-5f;
  }

  /** The same with another seed: one per choice of a request. */
  public SamplingParams withSeed(long seed) {
    return with(seed, maxTokens, badWords, promptLogprobs);
  }

  /** The same with the limit that is left once the prompt is known. */
  public SamplingParams withMaxTokens(int maxTokens) {
    return with(seed, maxTokens, badWords, promptLogprobs);
  }

  /** The same with scores of the prompt: an echoed prompt has them as the answer does. */
  public SamplingParams withPromptLogprobs(int promptLogprobs) {
    return with(seed, maxTokens, badWords, promptLogprobs);
  }

  /** The same without scores of the prompt: one choice of a request reports them for all. */
  public SamplingParams withoutPromptLogprobs() {
    return with(seed, maxTokens, badWords, NO_SCORES);
  }

  /** The same with the bad words as tokens: they are known only after tokenizing. */
  public SamplingParams withBadWords(int[][] badWords) {
    return with(seed, maxTokens, badWords, promptLogprobs);
  }

  private SamplingParams with(Pooling pooling) {
    return with(seed, maxTokens, badWords, promptLogprobs, pooling);
  }

  /** What is decided after the request was read; everything else is the client's. */
  private SamplingParams with(long seed, int maxTokens, int[][] badWords, int promptLogprobs) {
    return with(seed, maxTokens, badWords, promptLogprobs, pooling);
  }

  private SamplingParams with(
      long seed, int maxTokens, int[][] badWords, int promptLogprobs, Pooling pooling) {
    return new SamplingParams(
        temperature,
        topP,
        topK,
        minP,
        presencePenalty,
        frequencyPenalty,
        repetitionPenalty,
        seed,
        maxTokens,
        minTokens,
        ignoreEos,
        stopTokenIds,
        biasIds,
        biasValues,
        allowedTokenIds,
        badWords,
        logprobs,
        promptLogprobs,
        pooling,
        scoredIds,
        repetition);
  }
}
