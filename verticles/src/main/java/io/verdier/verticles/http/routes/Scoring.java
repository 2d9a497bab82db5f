package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.model.Classifier;
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
 * other, as a model with a head for one class says of the two together, or else as the cosine of
 * their vectors. Stateless.
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
    Fields fields = Fields.of(body, Body.SCORE);
    FieldGate.check(exchange, fields);
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
    AnswerShape shape = AnswerShape.whole(exchange, fields, "embd-");
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
    Fields fields = Fields.of(body, Body.RERANK);
    FieldGate.check(exchange, fields);
    String query = fields.string("query");
    if (query == null) {
      throw fields.wrong("query", "a text");
    }
    List<String> documents = texts(fields, "documents");
    int asked = fields.integer("top_n");
    int shown = asked == 0 ? documents.size() : Math.min(asked, documents.size());
    AnswerShape shape = AnswerShape.whole(exchange, fields, "rerank-");
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
    boolean activated = fields.bool("use_activation", fields.bool("activation"));
    EmbeddingSpec spec = ingress.serving().pooled("Score");
    Pooling pooling = Embeddings.ofOneVector("Score", spec);
    new PromptFields(ingress, fields).checkCount("documents", right.size());
    Classifier classifier = spec.classifier();
    if (classifier != null && left.size() == 1) {
      Repeats.checkPairs(ingress, left.getFirst(), right.size());
    }
    List<Prompt> prompts = classifier == null ? each(left, right) : pairs(left, right);
    ScoreAnswer.Measure measure =
        classifier == null
            ? cosines(new VectorForm(spec.width(), spec.width(), false), left.size())
            : probabilities(ofOneClass(classifier), activated);
    List<Generation> works = PooledPrompts.works(ingress, fields, prompts, pooling);
    Flight.launch(exchange, works, new ScoreAnswer(exchange, measure, works.size(), layout));
  }

  private static List<Prompt> each(List<String> left, List<String> right) {
    return Stream.concat(left.stream(), right.stream())
        .<Prompt>map(text -> new Prompt.Text(text, true))
        .toList();
  }

  private static List<Prompt> pairs(List<String> left, List<String> right) {
    List<Prompt> pairs = new ArrayList<>(right.size());
    for (int i = 0; i < right.size(); i++) {
      pairs.add(new Prompt.Pair(left.get(left.size() == 1 ? 0 : i), right.get(i)));
    }
    return pairs;
  }

  /**
   * @param left texts of the first side, which come first
   */
  private static ScoreAnswer.Measure cosines(VectorForm form, int left) {
    return states -> {
      float[][] vectors = new float[states.length][];
      for (int i = 0; i < vectors.length; i++) {
        vectors[i] = form.vector(states[i], 0);
      }
      float[] scores = new float[vectors.length - left];
      for (int i = 0; i < scores.length; i++) {
        scores[i] = VectorForm.cosine(vectors[left == 1 ? 0 : i], vectors[left + i]);
      }
      return scores;
    };
  }

  private static ScoreAnswer.Measure probabilities(Classifier classifier, boolean activated) {
    return states -> {
      float[] scores = new float[states.length];
      for (int i = 0; i < scores.length; i++) {
        double[] score = classifier.scores(states[i]);
        scores[i] = (float) (activated ? classifier.activated(score) : score)[0];
      }
      return scores;
    };
  }

  private static Classifier ofOneClass(Classifier classifier) {
    int classes = classifier.labels().size();
    if (classes != 1) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "The model does not support the Score API: its head has "
              + classes
              + " classes, and a score is what a head of one class gives. Use /classify.");
    }
    return classifier;
  }
}
