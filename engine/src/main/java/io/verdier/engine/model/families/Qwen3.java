package io.verdier.engine.model.families;

import io.verdier.engine.model.ModelFamily;

/** Qwen3: Qwen2 without biases, with normalised queries and keys and heads of 128. */
public final class Qwen3 {
  public static final ModelFamily FAMILY =
      Qwen2.FAMILY
          .named("Qwen3ForCausalLM", "qwen3")
          .withAbsent(32, 128, 32_768)
          .withBiases(ModelFamily.BiasRule.CONFIGURED)
          .withQueryKeyNorm();

  private Qwen3() {}
}
