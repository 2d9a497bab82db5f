package io.verdier.engine.run;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** Configurations for tests; only what the engine reads differs. */
public final class TestConfig {
  private TestConfig() {}

  /** The given sizes, everything else as the command line's defaults. */
  public static ServerConfig of(
      int batchedTokensMax, int sequencesMax, OptionalInt maxModelLen, OptionalInt blocks) {
    ServerConfig.Cache defaults = defaults().cache();
    return of(
        batchedTokensMax,
        sequencesMax,
        maxModelLen,
        new ServerConfig.Cache(
            defaults.blockTokens(),
            defaults.prefixCaching(),
            defaults.kvBytes(),
            blocks,
            defaults.directory(),
            defaults.packedWeights(),
            defaults.tiers()));
  }

  public static ServerConfig of(
      int batchedTokensMax, int sequencesMax, OptionalInt maxModelLen, ServerConfig.Cache cache) {
    ServerConfig defaults = defaults();
    ServerConfig.Model model = defaults.model();
    return new ServerConfig(
        new ServerConfig.Model(
            model.source(),
            model.revision(),
            model.idAlias(),
            model.servedNames(),
            model.tokenizer(),
            model.tokenizerRevision(),
            model.dtype(),
            model.loadFormat(),
            maxModelLen,
            model.chat(),
            model.generationConfig(),
            model.generationOverrides(),
            model.configOverrides(),
            model.seed(),
            model.logprobsMax()),
        defaults.artifacts(),
        cache,
        new ServerConfig.Scheduling(
            batchedTokensMax, sequencesMax, 0, ServerConfig.Policy.FCFS, Optional.empty()),
        defaults.adapters(),
        defaults.backend(),
        defaults.http(),
        defaults.parsing(),
        defaults.vertex(),
        defaults.limits(),
        defaults.logging(),
        new ServerConfig.StructuredOutput(false, false, false),
        defaults.pooler(),
        defaults.tracing(),
        defaults.measures(),
        defaults.cluster());
  }

  private static ServerConfig defaults() {
    return of();
  }

  /** As the command line says. */
  public static ServerConfig of(String... argv) {
    return switch (ConfigLoader.load(List.of(argv), Map.of())) {
      case LoadResult.Loaded loaded -> loaded.config();
      case LoadResult.Invalid invalid -> throw new IllegalStateException(invalid.text());
      case LoadResult.HelpAsked help -> throw new IllegalStateException(help.text());
    };
  }
}
