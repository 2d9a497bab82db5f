package io.verdier.verticles.http.routes;

import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Route.Action;
import io.verdier.verticles.http.api.Body;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /invocations}, the one route that SageMaker calls: what the body asks for says which
 * route it means. Stateless.
 */
final class Invocations {
  private Invocations() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.CHAT); // whose it is, is yet to be seen
    Optional<EmbeddingSpec> embedding = exchange.ingress().serving().card().embedding();
    meant(fields, embedding).run(exchange, body);
  }

  private static Action meant(Fields fields, Optional<EmbeddingSpec> embedding) {
    if (fields.has("query") && fields.has("documents")) {
      return Scoring::rerank;
    }
    if (fields.has("text_1") || fields.has("queries") || fields.has("data_1")) {
      return Scoring::score;
    }
    if (fields.has("input") || (fields.has("messages") && embedding.isPresent())) {
      if (embedding.map(EmbeddingSpec::classifier).isPresent()) {
        return Classify::run;
      }
      return pools(fields, embedding) ? Embeddings::pooling : Embeddings::embeddings;
    }
    if (fields.has("messages")) {
      return ChatCompletions::run;
    }
    if (fields.has("prompt")) {
      return Completions::run;
    }
    throw fields.wrong("messages", "there, or prompt, input, text_1 or query");
  }

  /** Both routes take the same input; only one knows of tasks and of a vector for each token. */
  private static boolean pools(Fields fields, Optional<EmbeddingSpec> embedding) {
    return fields.has("task")
        || embedding.map(EmbeddingSpec::pooling).filter(Pooling.EVERY::equals).isPresent();
  }
}
