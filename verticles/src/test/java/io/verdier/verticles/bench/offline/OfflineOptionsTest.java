package io.verdier.verticles.bench.offline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.verticles.bench.offline.OfflineOptions.UsageException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class OfflineOptionsTest {

  /** Every default, written down. */
  @Test
  void parse_modelOnly_hasTheDefaults() {
    assertThat(parse("--model-config=llama-3.2-1b"))
        .isEqualTo(
            new OfflineOptions(
                "llama-3.2-1b",
                1,
                1,
                128,
                128,
                OptionalInt.empty(),
                0,
                false,
                false,
                Optional.empty(),
                0,
                5,
                5,
                Optional.empty(),
                List.of("--"),
                Map.of()));
  }

  @Test
  void parse_ownFlags_inEverySpelling() {
    OfflineOptions options =
        parse(
            "--model_config",
            "m",
            "--batch-size=3",
            "--num-prompts",
            "7",
            "--input_len=10",
            "--output-len",
            "20",
            "--context=30",
            "--temperature=0.5",
            "--num-iters=2",
            "--warm-up-seconds=1.5",
            "--output-json",
            "out.json");

    assertThat(options.modelConfig()).isEqualTo("m");
    assertThat(options.batch()).isEqualTo(3);
    assertThat(options.prompts()).isEqualTo(7);
    assertThat(options.inputTokens()).isEqualTo(10);
    assertThat(options.outputTokens()).isEqualTo(20);
    assertThat(options.contextTokens()).isEqualTo(30);
    assertThat(options.temperature()).isEqualTo(0.5f);
    assertThat(options.repeats()).isEqualTo(2);
    assertThat(options.warmUpSeconds()).isEqualTo(1.5);
    assertThat(options.resultFile()).hasValue("out.json");
  }

  @Test
  void engine_serverFlagsAndSizes_reachTheEngine() {
    ServerConfig config =
        parse(
                "--threads",
                "2",
                "--batch=4",
                "--load-format",
                "dummy",
                "--context=100",
                "--block-size=32",
                "--device=cuda",
                "--model-config=m",
                "--max-num-batched-tokens=512")
            .engine()
            .config();

    assertThat(config.backend().kind()).isEqualTo(BackendKind.CUDA);
    assertThat(config.backend().threads()).hasValue(2);
    assertThat(config.model().loadFormat()).isEqualTo(LoadFormat.DUMMY);
    assertThat(config.model().maxModelLen()).hasValue(228);
    assertThat(config.scheduling().sequencesMax()).isEqualTo(4);
    assertThat(config.scheduling().batchedTokensMax()).isEqualTo(512);
    assertThat(config.cache().blocksOverride()).hasValue(4 * (8 + 1));
  }

  @Test
  void engine_sizeThatWasAskedFor_wins() {
    OfflineOptions options = parse("--model-config=m", "--num-gpu-blocks-override=99");

    assertThat(options.engine().config().cache().blocksOverride()).hasValue(99);
  }

  @Test
  void parse_mistakes_areReportedTogetherWithTheNearestName() {
    assertThatThrownBy(
            () ->
                parse(
                    "--bach=1",
                    "--thread",
                    "2",
                    "--dtype=float17",
                    "--input-len=0",
                    "--output-len=1",
                    "--repeat",
                    "many",
                    "--json"))
        .isInstanceOf(UsageException.class)
        .hasMessageContainingAll(
            "unknown flag --bach; did you mean --batch?",
            "unknown flag --thread; did you mean --threads? (argument 2)",
            "--dtype: 'float17' is not one of",
            "(argument 4)",
            "--input-len is 0; it must be at least 1, except with --context",
            "--output-len is 1; it must be a whole number from 2 to",
            "--repeat is many; it must be a whole number from 1 to",
            "--json needs a value");
  }

  @Test
  void parse_noModel_namesTheKnownOnes() {
    assertThatThrownBy(OfflineOptionsTest::parse)
        .hasMessage(
            "--model-config is missing; it must be one of llama-3.2-1b, llama-3.2-3b,"
                + " llama-3.1-8b, or a path");
    assertThat(parse("--model", "/models/m").modelConfig()).isEqualTo("/models/m");
  }

  private static OfflineOptions parse(String... argv) {
    return OfflineOptions.parse(List.of(argv), Map.of());
  }
}
