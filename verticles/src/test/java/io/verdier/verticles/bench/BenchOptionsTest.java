package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.verticles.bench.BenchOptions.UsageException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class BenchOptionsTest {

  /** Every default, written down. */
  @Test
  void parse_nothing_hasTheDefaults() {
    assertThat(BenchOptions.parse(List.of()))
        .isEqualTo(
            new BenchOptions(
                "http://127.0.0.1:8000",
                "/v1/completions",
                false,
                Optional.empty(),
                Optional.empty(),
                1000,
                0,
                Double.POSITIVE_INFINITY,
                1,
                Integer.MAX_VALUE,
                1024,
                128,
                Optional.empty(),
                0,
                0,
                OptionalDouble.empty(),
                true,
                List.of(Metric.TTFT, Metric.TPOT, Metric.ITL, Metric.E2EL),
                List.of(99.0),
                OptionalDouble.empty(),
                Optional.empty()));
  }

  @Test
  void parse_allFlags_inEverySpelling() {
    BenchOptions options =
        BenchOptions.parse(
            List.of(
                "--base_url=https://host:1/",
                "--endpoint",
                "/v1/chat/completions",
                "--model=m",
                "--api-key",
                "k",
                "--num-prompts",
                "5",
                "--num-warmups=2",
                "--request-rate",
                "2.5",
                "--burstiness=0.5",
                "--max-concurrency",
                "4",
                "--input-len",
                "10",
                "--random_output_len=20",
                "--random-range-ratio",
                "0.25",
                "--seed=-7",
                "--temperature",
                "0",
                "--no-ignore-eos",
                "--percentile-metrics",
                "itl, ttft",
                "--metric-percentiles=50,99.9",
                "--expected-step-ms",
                "10",
                "--save-result=out.json"));
    assertThat(options)
        .isEqualTo(
            new BenchOptions(
                "https://host:1",
                "/v1/chat/completions",
                true,
                Optional.of("m"),
                Optional.of("k"),
                5,
                2,
                2.5,
                0.5,
                4,
                10,
                20,
                Optional.empty(),
                0.25,
                -7,
                OptionalDouble.of(0),
                false,
                List.of(Metric.ITL, Metric.TTFT),
                List.of(50.0, 99.9),
                OptionalDouble.of(10),
                Optional.of("out.json")));
  }

  @Test
  void parse_hostAndPort_makeTheUrl() {
    List<String> argv = List.of("--host=gpu1", "--port", "8080", "--backend=vllm");
    assertThat(BenchOptions.parse(argv).baseUrl()).isEqualTo("http://gpu1:8080");
  }

  @Test
  void parse_mistakes_areReportedTogether() {
    assertThatThrownBy(
            () ->
                BenchOptions.parse(
                    List.of(
                        "--base-url=host:8000",
                        "--endpoint=/generate",
                        "--num-prompts=0",
                        "--request-rate=fast",
                        "--max-concurrency=1.5",
                        "--seed=0.5",
                        "--percentile-metrics=ttft,speed",
                        "--metric-percentiles=101",
                        "--dataset-name=sharegpt",
                        "--bogus",
                        "--model")))
        .isInstanceOf(UsageException.class)
        .hasMessageContainingAll(
            "--base-url is host:8000; it must be a URL",
            "--endpoint is /generate",
            "--num-prompts is 0; it must be a whole number, at least 1",
            "--request-rate is fast; it must be above 0",
            "--max-concurrency is 1.5",
            "--seed is 0.5; it must be a whole number",
            "--percentile-metrics is speed; it must be some of [ttft, tpot, itl, e2el]",
            "--metric-percentiles is 101",
            "--dataset-name is sharegpt; it must be random",
            "unknown argument --bogus",
            "--model needs a value");
  }

  @Test
  void usage_everyFlag_isThere() {
    String usage = BenchFlag.usage();
    for (BenchFlag flag : BenchFlag.values()) {
      assertThat(usage).contains(flag.flag());
      assertThat(BenchFlag.named(flag.flag())).contains(flag);
    }
  }
}
