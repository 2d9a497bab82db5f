package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /score} and {@code POST /rerank} with their aliases: how near texts are to each
 * other, as the cosine of their vectors. Stateless.
 */
final class Scoring {
  /** Names of the two sides, as they have changed. */
  private static final List<List<String>> SIDES =
      List.of(
          List.of("text_1", "text_2"),
          List.of("queries", "documents"),
          List.of("queries", "items"),
          List.of("data_1", "data_2"));

  private Scoring() {}

  static void score(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body);
    FieldGate.check(exchange, fields, Body.SCORE);
    List<String> names =
        SIDES.stream()
            .filter(sides -> sides.stream().allMatch(fields::has))
            .findFirst()
            .orElseThrow(() -> fields.wrong("text_1", "there, and text_2"));
    List<String> left = texts(fields, names.getFirst());
    List<String> right = texts(fields, names.getLast());
    if (left.size() != 1 && left.size() != right.size()) {
      throw RejectedException.invalid(
          fields.path(names.getLast()),
          "%s has %d texts and %s %d; there must be 1 and any number, or as many of both."
              .formatted(names.getFirst(), left.size(), names.getLast(), right.size()));
    }
    AnswerShape shape = AnswerShape.read(exchange, fields, "embd-");
    launch(
        exchange,
        fields,
        left,
        right,
        (out, scores, usage) -> {
          out.object().field("id", shape.id()).field("object", "list");
          out.field("created", shape.created()).field("model", shape.model());
          out.name("data").array();
          for (int i = 0; i < scores.length; i++) {
            out.object().field("index", i).field("object", "score");
            out.name("score").value(scores[i]).end();
          }
          out.end();
          shape.usage(out, usage);
          out.end();
        });
  }

  static void rerank(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body);
    FieldGate.check(exchange, fields, Body.RERANK);
    String query = fields.string("query");
    if (query == null) {
      throw fields.wrong("query", "a text");
    }
    List<String> documents = texts(fields, "documents");
    int asked = fields.integer("top_n", 0, Integer.MAX_VALUE, 0);
    int shown = asked == 0 ? documents.size() : Math.min(asked, documents.size());
    AnswerShape shape = AnswerShape.read(exchange, fields, "rerank-");
    launch(
        exchange,
        fields,
        List.of(query),
        documents,
        (out, scores, usage) -> {
          out.object().field("id", shape.id()).field("model", shape.model());
          out.name("usage").object();
          out.field("prompt_tokens", usage.prompt()).field("total_tokens", usage.prompt()).end();
          out.name("results").array();
          for (int i : best(scores).limit(shown).toList()) {
            out.object().field("index", i);
            out.name("document").object().field("text", documents.get(i)).end();
            out.name("relevance_score").value(scores[i]).end();
          }
          out.end().end();
        });
  }

  /** Indices of scores, best first; equal ones in the order of the request. */
  private static Stream<Integer> best(float[] scores) {
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -(double) scores[i]));
  }

  private static List<String> texts(Fields fields, String name) {
    Object given = fields.value(name);
    List<?> list = given instanceof List<?> several ? several : List.of(String.valueOf(given));
    boolean fits = given instanceof String || given instanceof List<?>;
    if (!fits || list.isEmpty() || !list.stream().allMatch(String.class::isInstance)) {
      throw fields.wrong(name, "a text or a list of texts");
    }
    return list.stream().map(String.class::cast).toList();
  }

  /** How an answer looks. */
  interface Layout {
    void write(JsonWriter out, float[] scores, Usage usage);
  }

  private static void launch(
      Exchange exchange, Fields fields, List<String> left, List<String> right, Layout layout) {
    Ingress ingress = exchange.ingress();
    ingress.serving().checkName(fields.string("model"));
    EmbeddingSpec spec = ingress.serving().embedding("Score");
    Pooling pooling = Embeddings.ofOneVector("Score", spec);
    List<Prompt> prompts = new ArrayList<>();
    Stream.concat(left.stream(), right.stream())
        .forEach(text -> prompts.add(new Prompt.Text(text, true)));
    new PromptFields(ingress, fields).checkCount("documents", right.size());
    List<Generation> works = PooledPrompts.works(ingress, fields, prompts, pooling);
    VectorForm form = new VectorForm(spec.width(), spec.width(), false);
    Flight.launch(
        exchange, works, new ScoreAnswer(exchange, form, left.size(), works.size(), layout));
  }
}
