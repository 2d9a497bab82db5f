package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a response repeats of its request. Stateless. */
final class ResponsesEcho {
  private ResponsesEcho() {}

  /**
   * Fields of the response object, without its braces: a stream tells them three times, so they are
   * put together once, and the request itself need not be kept.
   */
  static byte[] of(Fields fields, SamplingParams sampling, boolean stored) {
    Map<String, @Nullable Object> echo = new LinkedHashMap<>();
    echo.put("background", or(fields, "background", false));
    echo.put("instructions", fields.value("instructions"));
    echo.put("max_output_tokens", fields.value("max_output_tokens"));
    echo.put("max_tool_calls", fields.value("max_tool_calls"));
    echo.put("metadata", or(fields, "metadata", Map.of()));
    echo.put("parallel_tool_calls", or(fields, "parallel_tool_calls", true));
    echo.put("previous_response_id", fields.value("previous_response_id"));
    echo.put("prompt", null);
    echo.put("reasoning", reasoning(fields));
    echo.put("service_tier", or(fields, "service_tier", "auto"));
    echo.put("store", stored);
    echo.put("temperature", number(sampling.temperature()));
    echo.put("text", text(fields));
    echo.put("tool_choice", or(fields, "tool_choice", "auto"));
    echo.put("tools", or(fields, "tools", List.of()));
    echo.put("top_logprobs", fields.value("top_logprobs"));
    echo.put("top_p", number(sampling.topP()));
    echo.put("truncation", or(fields, "truncation", "disabled"));
    echo.put("user", fields.value("user"));
    byte[] object = JsonSource.of(echo).getBytes(StandardCharsets.UTF_8);
    return Arrays.copyOfRange(object, 1, object.length - 1);
  }

  private static Object or(Fields fields, String name, Object absent) {
    Object value = fields.value(name);
    return value == null ? absent : value;
  }

  /** As it was written: 0.7, not the nearest double of the nearest float. */
  private static Double number(float value) {
    return Double.valueOf(Float.toString(value));
  }

  private static Object reasoning(Fields fields) {
    Fields given = fields.object("reasoning");
    Map<String, @Nullable Object> reasoning = new LinkedHashMap<>();
    reasoning.put("effort", given == null ? null : given.value("effort"));
    reasoning.put("summary", given == null ? null : given.value("summary"));
    return reasoning;
  }

  private static Object text(Fields fields) {
    Fields given = fields.object("text");
    Map<String, @Nullable Object> text = new LinkedHashMap<>();
    text.put("format", Map.of("type", "text"));
    if (given != null) {
      text.putAll(given.map());
    }
    return text;
  }
}
