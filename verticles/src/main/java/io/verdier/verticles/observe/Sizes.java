package io.verdier.verticles.observe;

import java.util.stream.IntStream;

/** How large requests and steps were, in tokens, in vLLM's buckets. Thread-safe. */
final class Sizes {
  private static final double[] STEP_TOKENS = {
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384
  };

  final Exposition.Histogram step;
  final Exposition.Histogram prompt;
  final Exposition.Histogram computedPrompt;
  final Exposition.Histogram generated;
  final Exposition.Histogram generatedMax;
  final Exposition.Histogram maxTokens;
  final Exposition.Histogram choices;

  /**
   * @param maxModelLen bounds the histograms of tokens of a request
   */
  Sizes(Exposition page, int maxModelLen) {
    double[] tokens = oneTwoFive(maxModelLen);
    step = page.histogram("vllm:iteration_tokens_total", "Tokens per step.", STEP_TOKENS);
    prompt = page.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", tokens);
    computedPrompt =
        page.histogram(
            "vllm:request_prefill_kv_computed_tokens",
            "Prompt tokens of a request that no cache had.",
            tokens);
    generated = page.histogram("vllm:request_generation_tokens", "Tokens generated.", tokens);
    generatedMax =
        page.histogram(
            "vllm:request_max_num_generation_tokens",
            "Tokens of the longest choice of a request.",
            tokens);
    maxTokens =
        page.histogram("vllm:request_params_max_tokens", "max_tokens of a request.", tokens);
    choices = page.histogram("vllm:request_params_n", "n of a request.", 1, 2, 5, 10, 20);
  }

  /** 1, 2, 5, 10, 20, 50, … up to {@code max}. */
  static double[] oneTwoFive(int max) {
    return IntStream.iterate(1, value -> value > 0 && value <= max, Sizes::next)
        .asDoubleStream()
        .toArray();
  }

  private static int next(int value) {
    return leadingDigit(value) == 2 ? value / 2 * 5 : value * 2;
  }

  private static int leadingDigit(int value) {
    int digit = value;
    while (digit >= 10) {
      digit /= 10;
    }
    return digit;
  }
}
