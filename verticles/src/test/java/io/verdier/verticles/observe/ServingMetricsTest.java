package io.verdier.verticles.observe;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepOutput;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ServingMetricsTest {
  private final ServingMetrics metrics = new ServingMetrics("de\"mo", 2048);

  @Test
  void text_namesOfVllm_allThere() {
    metrics.engine(0).cacheConfig(Map.of("block_size", "16"));
    assertThat(metrics.text())
        .contains(
            "# TYPE vllm:num_requests_running gauge",
            "# TYPE vllm:num_requests_waiting gauge",
            "# TYPE vllm:kv_cache_usage_perc gauge",
            "# TYPE vllm:gpu_cache_usage_perc gauge",
            "# TYPE vllm:num_preemptions_total counter",
            "# TYPE vllm:prefix_cache_queries_total counter",
            "# TYPE vllm:prefix_cache_hits_total counter",
            "# TYPE vllm:prompt_tokens_total counter",
            "# TYPE vllm:generation_tokens_total counter",
            "vllm:request_success_total{model_name=\"de\\\"mo\",engine=\"0\",finished_reason=\"stop\"}"
                + " 0.0",
            "# TYPE vllm:iteration_tokens_total histogram",
            "# TYPE vllm:time_to_first_token_seconds histogram",
            "# TYPE vllm:inter_token_latency_seconds histogram",
            "# TYPE vllm:time_per_output_token_seconds histogram",
            "# TYPE vllm:e2e_request_latency_seconds histogram",
            "# TYPE vllm:request_queue_time_seconds histogram",
            "# TYPE vllm:request_prefill_time_seconds histogram",
            "# TYPE vllm:request_decode_time_seconds histogram",
            "# TYPE vllm:request_inference_time_seconds histogram",
            "# TYPE vllm:request_max_num_generation_tokens histogram",
            "vllm:cache_config_info{model_name=\"de\\\"mo\",engine=\"0\",block_size=\"16\"} 1.0");
  }

  @Test
  void histogram_observed_cumulativeBucketsSumAndCount() {
    metrics.engine(0).onFirstTokens(1, 0.003);
    metrics.engine(0).onFirstTokens(1, 0.3);
    assertThat(metrics.text())
        .contains(
            "vllm:time_to_first_token_seconds_bucket{model_name=\"de\\\"mo\",engine=\"0\",le=\"0.001\"}"
                + " 0.0",
            "vllm:time_to_first_token_seconds_bucket{model_name=\"de\\\"mo\",engine=\"0\",le=\"0.005\"}"
                + " 1.0",
            "vllm:time_to_first_token_seconds_bucket{model_name=\"de\\\"mo\",engine=\"0\",le=\"0.5\"}"
                + " 2.0",
            "vllm:time_to_first_token_seconds_bucket{model_name=\"de\\\"mo\",engine=\"0\",le=\"+Inf\"}"
                + " 2.0",
            "vllm:time_to_first_token_seconds_sum{model_name=\"de\\\"mo\",engine=\"0\"} 0.303",
            "vllm:time_to_first_token_seconds_count{model_name=\"de\\\"mo\",engine=\"0\"} 2.0");
  }

  @Test
  void onSequence_parts_inferenceIsPrefillAndDecode() {
    metrics.engine(0).onSequence(new SequenceReport(0.5, 0.25, 2, 10, 4));
    metrics.engine(0).onLongestChoice(7);
    String labels = "{model_name=\"de\\\"mo\",engine=\"0\"} ";
    assertThat(metrics.text())
        .contains(
            "vllm:request_queue_time_seconds_sum" + labels + 0.5,
            "vllm:request_prefill_time_seconds_sum" + labels + 0.25,
            "vllm:request_decode_time_seconds_sum" + labels + 2.0,
            "vllm:request_inference_time_seconds_sum" + labels + 2.25,
            "vllm:request_prefill_kv_computed_tokens_sum" + labels + 6.0,
            "vllm:request_max_num_generation_tokens_sum" + labels + 7.0);
  }

  @Test
  void onStep_stats_showInGauges() {
    metrics.engine(0).onStep(new StepOutput.Stats(3, 5, 2, 25, 100, 7, 4, 64, 32));
    metrics.engine(0).onFinished(FinishReason.LENGTH, 10, 5, 1.5, 1);
    assertThat(metrics.text())
        .contains(
            "vllm:num_requests_running{model_name=\"de\\\"mo\",engine=\"0\"} 3.0",
            "vllm:num_requests_waiting{model_name=\"de\\\"mo\",engine=\"0\"} 5.0",
            "reason=\"capacity\"} 3.0",
            "reason=\"deferred\"} 2.0",
            "vllm:kv_cache_usage_perc{model_name=\"de\\\"mo\",engine=\"0\"} 0.25",
            "vllm:num_preemptions_total{model_name=\"de\\\"mo\",engine=\"0\"} 4.0",
            "vllm:request_generation_tokens_sum{model_name=\"de\\\"mo\",engine=\"0\"} 5.0",
            "finished_reason=\"length\"} 1.0");
  }

  @Test
  void tokens_underWay_countedBeforeTheEnd() {
    metrics.engine(0).onStarted(10, 0);
    metrics.engine(0).onFirstTokens(2, 0.1);
    metrics.engine(0).onTokens(3, 0.1);
    assertThat(metrics.text())
        .contains(
            "vllm:prompt_tokens_total{model_name=\"de\\\"mo\",engine=\"0\"} 10.0",
            "vllm:generation_tokens_total{model_name=\"de\\\"mo\",engine=\"0\"} 5.0",
            "vllm:e2e_request_latency_seconds_count{model_name=\"de\\\"mo\",engine=\"0\"} 0.0");
    metrics.engine(0).onFinished(FinishReason.STOP, 10, 5, 1, 0.5);
    assertThat(metrics.text())
        .contains(
            "vllm:prompt_tokens_total{model_name=\"de\\\"mo\",engine=\"0\"} 10.0",
            "vllm:generation_tokens_total{model_name=\"de\\\"mo\",engine=\"0\"} 5.0",
            "vllm:e2e_request_latency_seconds_count{model_name=\"de\\\"mo\",engine=\"0\"} 1.0");
  }

  @Test
  void oneTwoFive_bound_lastIsNotAbove() {
    assertThat(Sizes.oneTwoFive(60)).containsExactly(1, 2, 5, 10, 20, 50);
  }
}
