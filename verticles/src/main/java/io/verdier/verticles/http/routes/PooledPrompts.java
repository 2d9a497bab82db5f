package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import java.util.List;
import java.util.OptionalDouble;

/** Reads what all routes have in common that pool prompts. Stateless. */
final class PooledPrompts {
  private static final TextParams NO_TEXT = new TextParams(List.of(), false, true, false);

  private PooledPrompts() {}

  /** The prompts of {@code input}, or the one of {@code messages}. */
  static List<Prompt> read(Ingress ingress, Fields fields) {
    if (!fields.has("messages")) {
      return new PromptFields(ingress, fields).prompts("input");
    }
    return List.of(ChatRequest.prompt(ingress, fields, ToolFields.read(ingress, fields)));
  }

  /** The work that they make. */
  static List<Generation> works(
      Ingress ingress, Fields fields, List<Prompt> prompts, Pooling pooling) {
    PromptFields common = new PromptFields(ingress, fields);
    Generation first =
        new Generation(
            1,
            new Submit(
                Generation.NO_KEYS,
                prompts.getFirst(),
                SamplingParams.pooled(pooling),
                List.of(),
                common.truncation(),
                NO_TEXT,
                common.priority(),
                common.cacheSalt(),
                AdapterFields.read(ingress, fields),
                null,
                OptionalDouble.empty()));
    return prompts.stream().map(prompt -> first.with(prompt, first.sampling())).toList();
  }
}
