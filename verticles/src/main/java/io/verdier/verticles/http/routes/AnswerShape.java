package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.conf.ServerConfig.Http;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;

/**
 * How one answer is to look. Immutable.
 *
 * @param id of the answer, its prefix included
 * @param model name the answer shows
 * @param streamed whether it comes as events
 * @param finalUsage whether a stream ends with an event of its usage
 * @param runningUsage whether each event of a stream says the usage so far
 * @param cachedDetails whether usage tells the tokens found in the prefix cache
 * @param tokenIds whether ids of prompt and generated tokens are shown
 * @param tokensAsIds whether tokens beside log probabilities are shown as {@code token_id:…}
 */
record AnswerShape(
    String id,
    long created,
    String model,
    String fingerprint,
    boolean streamed,
    boolean finalUsage,
    boolean runningUsage,
    boolean cachedDetails,
    boolean tokenIds,
    boolean tokensAsIds) {

  /** The same with another id, its prefix included. */
  AnswerShape withId(String newId) {
    return new AnswerShape(
        newId,
        created,
        model,
        fingerprint,
        streamed,
        finalUsage,
        runningUsage,
        cachedDetails,
        tokenIds,
        tokensAsIds);
  }

  /** Reads the fields that shape an answer. */
  static AnswerShape read(Exchange exchange, Fields fields, String idPrefix) {
    Ingress ingress = exchange.ingress();
    Http http = ingress.config().http();
    boolean streamed = fields.bool("stream", false);
    Fields options = fields.object("stream_options");
    if (options != null && !streamed) {
      throw RejectedException.invalid(
          fields.path("stream_options"), "stream_options needs \"stream\": true.");
    }
    boolean forced = http.forceIncludeUsage();
    boolean unsaid = http.dialect() == ApiDialect.V0_9;
    boolean include = options != null && options.bool("include_usage", unsaid);
    boolean continuous = options != null && options.bool("continuous_usage_stats", false);
    String id = idPrefix + id(exchange, fields);
    exchange.answersAs(id);
    return new AnswerShape(
        id,
        System.currentTimeMillis() / 1000,
        ingress.serving().shownName(fields.string("model")),
        "verdier-" + ingress.version(),
        streamed,
        include || forced,
        (include && continuous) || forced,
        http.promptTokensDetails(),
        fields.bool("return_token_ids", false),
        fields.bool("return_tokens_as_token_ids", http.tokensAsTokenIds()));
  }

  /** The header wins over the field, a random id over neither. */
  private static String id(Exchange exchange, Fields fields) {
    String header = exchange.request().getHeader("X-Request-Id");
    String field = fields.string("request_id");
    return field != null && !exchange.requestId().equals(header) && Exchange.isHarmlessId(field)
        ? field
        : exchange.requestId();
  }

  /**
   * Appends the field {@code usage}.
   *
   * @param cached -1: not known yet, not shown
   */
  void usage(JsonWriter out, int prompt, int completion, int cached) {
    out.name("usage").object();
    out.field("prompt_tokens", prompt).field("total_tokens", (long) prompt + completion);
    out.field("completion_tokens", completion);
    if (cachedDetails && cached >= 0) {
      out.name("prompt_tokens_details").object().field("cached_tokens", cached).end();
    } else if (!streamed) {
      out.name("prompt_tokens_details").nothing();
    }
    out.end();
  }
}
