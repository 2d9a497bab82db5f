package io.verdier.verticles.http.routes;

import io.verdier.engine.model.Classifier;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /classify}: the classes of texts, by the head of a model that has one. Stateless. */
final class Classify {
  private Classify() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.CLASSIFY);
    FieldGate.check(exchange, fields);
    Ingress ingress = exchange.ingress();
    ingress.serving().checkName(fields.string("model"));
    Classifier classifier = ingress.serving().classifier();
    EmbeddingSpec spec = ingress.serving().pooled("Classify");
    boolean activated = fields.bool("use_activation", fields.bool("activation"));
    AnswerShape shape = AnswerShape.whole(exchange, fields, "classify-");
    List<Prompt> prompts = PooledPrompts.read(ingress, fields);
    List<Generation> works = PooledPrompts.works(ingress, fields, prompts, spec.pooling());
    Look look = new Look(shape, classifier, activated);
    Flight.launch(exchange, works, new Classes(exchange, look, works.size()));
  }

  /** What the answer needs of its request. */
  private record Look(AnswerShape shape, Classifier classifier, boolean activated) {}

  /** Owned by the event loop: gathers the classes of every prompt. */
  private static final class Classes implements Answer {
    private final Exchange exchange;
    private final Look look;
    private final double[][] classes; // [prompts][labels]

    Classes(Exchange exchange, Look look, int prompts) {
      this.exchange = exchange;
      this.look = look;
      this.classes = new double[prompts][];
    }

    @Override
    public void onDelta(Sequence sequence, int choice, Delta delta) {
      if (delta.pooled().length > 0) {
        double[] scores = look.classifier().scores(delta.pooled());
        classes[choice] = look.activated() ? look.classifier().activated(scores) : scores;
      }
    }

    @Override
    public void onEnd(Usage usage) {
      AnswerShape shape = look.shape();
      List<String> labels = look.classifier().labels();
      JsonWriter out = exchange.ingress().writer().clear();
      out.object().field("id", shape.id()).field("object", "list");
      out.field("created", shape.created()).field("model", shape.model());
      out.name("data").array();
      for (int i = 0; i < classes.length; i++) {
        out.object().field("index", i).field("label", labels.get(largest(classes[i])));
        out.name("probs").array();
        for (double probability : classes[i]) {
          out.value((float) probability);
        }
        out.end().field("num_classes", labels.size()).end();
      }
      out.end();
      shape.usage(out, usage);
      exchange.replyJson(out.end());
    }

    /** Of equal ones the first. */
    private static int largest(double[] values) {
      int best = 0;
      for (int i = 1; i < values.length; i++) {
        best = values[i] > values[best] ? i : best;
      }
      return best;
    }

    @Override
    public void onFailure(Problem problem) {
      exchange.reply(problem);
    }
  }
}
