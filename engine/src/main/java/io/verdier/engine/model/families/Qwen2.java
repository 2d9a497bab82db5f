package io.verdier.engine.model.families;

import io.verdier.engine.model.ModelFamily;

/** Qwen2 and Qwen2.5: Llama with biased queries, keys and values, and windows in upper layers. */
public final class Qwen2 {
  public static final ModelFamily FAMILY =
      Llama.FAMILY
          .named("Qwen2ForCausalLM", "qwen2")
          .withAbsent(32, 0, 32_768)
          .withBiases(ModelFamily.BiasRule.INPUTS_ALWAYS)
          .withWindows(ModelFamily.WindowRule.UPPER_LAYERS)
          .withTextDefaults(151_936, 22_016);

  private Qwen2() {}
}
