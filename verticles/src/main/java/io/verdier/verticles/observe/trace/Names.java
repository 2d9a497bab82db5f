package io.verdier.verticles.observe.trace;

import io.opentelemetry.api.common.AttributeKey;
import java.util.List;

/**
 * Names of the span and its attributes: vLLM's, and where it has none, OpenTelemetry's. Constants.
 *
 * <p>Source: <a href="https://opentelemetry.io/docs/specs/semconv/gen-ai/">semantic conventions for
 * generative AI</a>, which vLLM extended before they had names for times.
 */
final class Names {
  static final String SPAN = "llm_request";

  static final AttributeKey<String> ID = AttributeKey.stringKey("gen_ai.request.id");
  static final AttributeKey<Long> N = AttributeKey.longKey("gen_ai.request.n");
  static final AttributeKey<Long> MAX_TOKENS = AttributeKey.longKey("gen_ai.request.max_tokens");
  static final AttributeKey<Double> TEMPERATURE =
      AttributeKey.doubleKey("gen_ai.request.temperature");
  static final AttributeKey<Double> TOP_P = AttributeKey.doubleKey("gen_ai.request.top_p");
  static final AttributeKey<String> MODEL = AttributeKey.stringKey("gen_ai.response.model");
  static final AttributeKey<List<String>> FINISH_REASONS =
      AttributeKey.stringArrayKey("gen_ai.response.finish_reasons");
  static final AttributeKey<Long> SEQUENCES = AttributeKey.longKey("gen_ai.usage.num_sequences");
  static final AttributeKey<Long> PROMPT_TOKENS =
      AttributeKey.longKey("gen_ai.usage.prompt_tokens");
  static final AttributeKey<Long> COMPLETION_TOKENS =
      AttributeKey.longKey("gen_ai.usage.completion_tokens");

  // Seconds, all of them.
  static final AttributeKey<Double> WHOLE = AttributeKey.doubleKey("gen_ai.latency.e2e");
  static final AttributeKey<Double> FIRST_TOKEN =
      AttributeKey.doubleKey("gen_ai.latency.time_to_first_token");
  static final AttributeKey<Double> QUEUED = AttributeKey.doubleKey("gen_ai.latency.time_in_queue");
  static final AttributeKey<Double> PREFILL =
      AttributeKey.doubleKey("gen_ai.latency.time_in_model_prefill");
  static final AttributeKey<Double> DECODE =
      AttributeKey.doubleKey("gen_ai.latency.time_in_model_decode");
  static final AttributeKey<Double> INFERENCE =
      AttributeKey.doubleKey("gen_ai.latency.time_in_model_inference");

  static final AttributeKey<String> ERROR = AttributeKey.stringKey("error.type");

  /** Which of the request's sequences a phase belongs to. */
  static final AttributeKey<Long> CHOICE = AttributeKey.longKey("verdier.choice");

  private Names() {}
}
