package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.conf.ServerConfig.Http;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Usage;

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
 * @param interval tokens of a choice in an event
 * @param tokensAsIds whether tokens beside log probabilities are shown as {@code token_id:…}
 * @param dialect whose names a chat's reasoning has
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
    int interval,
    boolean tokensAsIds,
    ApiDialect dialect) {

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
        interval,
        tokensAsIds,
        dialect);
  }

  /** Reads the fields that shape an answer. */
  static AnswerShape read(Exchange exchange, Fields fields, String idPrefix) {
    Ingress ingress = exchange.ingress();
    Http http = ingress.config().http();
    boolean streamed = fields.bool("stream");
    Fields options = fields.object("stream_options");
    if (options != null && !streamed) {
      throw RejectedException.invalid(
          fields.path("stream_options"), "stream_options needs \"stream\": true.");
    }
    boolean forced = http.forceIncludeUsage();
    boolean unsaid = http.dialect() == ApiDialect.V0_9;
    boolean include = options != null && options.bool("include_usage", unsaid);
    boolean continuous = options != null && options.bool("continuous_usage_stats");
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
        fields.bool("return_token_ids"),
        fields.integer("stream_interval", http.answers().streamInterval()),
        fields.bool("return_tokens_as_token_ids", http.answers().tokensAsTokenIds()),
        http.dialect());
  }

  /** Of an answer that is never streamed: vectors, classes or scores. */
  static AnswerShape whole(Exchange exchange, Fields fields, String idPrefix) {
    Ingress ingress = exchange.ingress();
    Http http = ingress.config().http();
    String id = idPrefix + id(exchange, fields);
    exchange.answersAs(id);
    return new AnswerShape(
        id,
        System.currentTimeMillis() / 1000,
        ingress.serving().shownName(fields.string("model")),
        "verdier-" + ingress.version(),
        false,
        false,
        false,
        http.promptTokensDetails(),
        false,
        1,
        false,
        http.dialect());
  }

  /** The header wins over the field, a random id over neither. */
  private static String id(Exchange exchange, Fields fields) {
    String header = exchange.request().getHeader("X-Request-Id");
    String field = fields.string("request_id");
    return field != null && !exchange.requestId().equals(header) && Exchange.isHarmlessId(field)
        ? field
        : exchange.requestId();
  }

  /** Appends the field {@code usage}; counts of -1 are not known yet, and not shown. */
  void usage(JsonWriter out, Usage usage) {
    out.name("usage").object();
    out.field("prompt_tokens", usage.prompt());
    out.field("total_tokens", (long) usage.prompt() + usage.completion());
    out.field("completion_tokens", usage.completion());
    if (cachedDetails && usage.cached() >= 0) {
      out.name("prompt_tokens_details").object().field("cached_tokens", usage.cached()).end();
    } else if (!streamed) {
      out.name("prompt_tokens_details").nothing();
    }
    if (usage.reasoning() >= 0) {
      out.name("completion_tokens_details").object();
      out.field("reasoning_tokens", usage.reasoning()).end();
    }
    out.end();
  }
}
