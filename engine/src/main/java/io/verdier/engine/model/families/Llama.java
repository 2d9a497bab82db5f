package io.verdier.engine.model.families;

import io.verdier.engine.model.ModelFamily;

/**
 * Llama 2, 3, 3.1, 3.2 (text) and what follows their shape: the family that the others differ from.
 */
public final class Llama {
  public static final ModelFamily FAMILY =
      new ModelFamily(
          "LlamaForCausalLM",
          "llama",
          0,
          0,
          2048,
          ModelFamily.BiasRule.CONFIGURED,
          ModelFamily.WindowRule.NONE,
          false,
          ModelFamily.sizes(32_000, 11_008));

  private Llama() {}
}
