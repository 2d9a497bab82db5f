package io.verdier.engine.model.families;

import io.verdier.engine.model.ModelFamily;

/** Mistral 7B and its kin: Llama with a sliding window in every layer. */
public final class Mistral {
  public static final ModelFamily FAMILY =
      Llama.FAMILY
          .named("MistralForCausalLM", "mistral")
          .withAbsent(8, 0, 131_072)
          .withWindows(ModelFamily.WindowRule.ALL_LAYERS)
          .withTextDefaults(32_000, 14_336);

  private Mistral() {}
}
