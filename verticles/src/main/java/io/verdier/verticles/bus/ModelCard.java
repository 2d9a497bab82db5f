package io.verdier.verticles.bus;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What HTTP must know of the model being served. Immutable.
 *
 * @param names served names, the first is the one answers show; never empty
 * @param aliases further names that requests may use ({@code MODEL_ID}, the model's path)
 * @param root where the model came from, as {@code /v1/models} shows it
 * @param vocabularySize number of token ids
 * @param maxModelLen most tokens of prompt and continuation together
 * @param createdSeconds start of serving, Unix time
 * @param generationDefaults defaults of {@code temperature}, {@code top_p}, … from the model, by
 *     API field name; {@code max_new_tokens} bounds every request
 * @param embedding how it embeds; empty: it generates
 * @param parsing what is read out of its answers
 * @param fingerprint of all that decides its answers: engines that differ in it are not the same
 *     model, whatever they are called
 * @param adapters of the model, each with a name of its own
 */
public record ModelCard(
    List<String> names,
    List<String> aliases,
    String root,
    int vocabularySize,
    int maxModelLen,
    long createdSeconds,
    Map<String, Double> generationDefaults,
    Optional<EmbeddingSpec> embedding,
    Parsing parsing,
    String fingerprint,
    List<AdapterCard> adapters) {
  /** How the embedded model was taught to call. */
  private static final String DEMO_CALLS = "llama3_json";

  public ModelCard {
    names = List.copyOf(names);
    aliases = List.copyOf(aliases);
    generationDefaults = Map.copyOf(generationDefaults);
    adapters = List.copyOf(adapters);
  }

  /**
   * What is read out of answers by default: how the embedded model calls needs no flags.
   *
   * @throws RejectedException if what is to end reasoning does not
   */
  public static Parsing parsing(ServerConfig config) {
    Parsing asked = config.parsing();
    asked
        .reasoningParser()
        .flatMap(ReasoningFormat::of)
        .ifPresent(format -> checkEnd(asked.reasoningEnd(), format));
    boolean isKnown = asked.toolParser().flatMap(ToolCallFormat::of).isPresent();
    return isKnown || config.model().source().isPresent()
        ? asked
        : new Parsing(
            true,
            Optional.of(DEMO_CALLS),
            asked.reasoningParser(),
            asked.reasoningEnd(),
            asked.hideUncallableTools());
  }

  private static void checkEnd(String end, ReasoningFormat format) {
    if (!end.isEmpty() && format.endings().stream().noneMatch(end::endsWith)) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "--reasoning-config: reasoning_end_str must end with "
              + String.join(" or ", format.endings())
              + ", the mark of --reasoning-parser "
              + format.label()
              + ".");
    }
  }

  /** The name that answers show, and by which nodes speak of the model. */
  public String name() {
    return names.getFirst();
  }

  /** The same model with other adapters. */
  public ModelCard withAdapters(List<AdapterCard> others) {
    return new ModelCard(
        names,
        aliases,
        root,
        vocabularySize,
        maxModelLen,
        createdSeconds,
        generationDefaults,
        embedding,
        parsing,
        fingerprint,
        others);
  }
}
