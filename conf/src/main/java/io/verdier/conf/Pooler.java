package io.verdier.conf;

import java.util.Optional;

/**
 * What the model is used for, and what becomes of its hidden states where it embeds. Immutable.
 *
 * @param type empty: the model's own, else {@link Type#LAST}
 * @param normalizes whether vectors get length 1; empty: as the model says, else they do
 */
public record Pooler(Runner runner, Optional<Type> type, Optional<Boolean> normalizes) {
  /**
   * {@code AUTO} embeds where the model's files say how or it cannot generate, else generates;
   * {@code CLASSIFYING} is pooling by a model that has classes.
   */
  public enum Runner {
    AUTO,
    GENERATE,
    POOLING,
    CLASSIFYING
  }

  /** Whose hidden states are taken, in vLLM's words; {@code ALL}: one vector a token. */
  public enum Type {
    CLS,
    LAST,
    MEAN,
    ALL
  }
}
