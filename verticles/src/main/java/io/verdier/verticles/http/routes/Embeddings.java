package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.Body;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /v1/embeddings} and {@code POST /pooling}. Stateless. */
final class Embeddings {
  private Embeddings() {}

  static void embeddings(Exchange exchange, Map<String, @Nullable Object> body) {
    run(exchange, Fields.of(body, Body.EMBED), VectorAnswer.Style.EMBEDDING);
  }

  static void pooling(Exchange exchange, Map<String, @Nullable Object> body) {
    run(exchange, Fields.of(body, Body.POOLING), VectorAnswer.Style.POOLING);
  }

  private static void run(Exchange exchange, Fields fields, VectorAnswer.Style style) {
    FieldGate.check(exchange, fields);
    Ingress ingress = exchange.ingress();
    ingress.serving().checkName(fields.string("model"));
    EmbeddingSpec spec = ingress.serving().embedding(style.api());
    Pooling pooling = pooling(fields, style, spec);
    VectorBytes bytes = VectorBytes.read(fields);
    VectorForm form = VectorForm.read(fields, spec);
    AnswerShape shape = AnswerShape.whole(exchange, fields, style.idPrefix());
    List<Prompt> prompts = PooledPrompts.read(ingress, fields);
    List<Generation> works = PooledPrompts.works(ingress, fields, prompts, pooling);
    VectorAnswer.Look look =
        new VectorAnswer.Look(shape, style, form, bytes, pooling == Pooling.EVERY);
    Flight.launch(exchange, works, new VectorAnswer(exchange, look, works.size()));
  }

  private static Pooling pooling(Fields fields, VectorAnswer.Style style, EmbeddingSpec spec) {
    if (style == VectorAnswer.Style.EMBEDDING) {
      return ofOneVector(style.api(), spec);
    }
    String task = fields.string("task");
    if (task == null) {
      return spec.pooling();
    }
    return switch (task) {
      case "embed", "encode" -> ofOneVector("embed", spec);
      case "token_embed" -> Pooling.EVERY;
      default -> throw fields.unsupported("task", "only embed and token_embed are available.");
    };
  }

  /**
   * How the model makes one vector of a prompt.
   *
   * @param api that needs it
   */
  static Pooling ofOneVector(String api, EmbeddingSpec spec) {
    if (spec.pooling() == Pooling.EVERY) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "The model does not support the "
              + api
              + " API: it gives a vector for each token. Start the server with another pooling_type"
              + " than ALL.");
    }
    return spec.pooling();
  }
}
