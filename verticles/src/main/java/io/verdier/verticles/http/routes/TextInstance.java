package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One text instance of a Vertex AI prediction, checked, and how its predictions look. Immutable.
 *
 * @param raw whether predictions are the bare text
 */
record TextInstance(Generation generation, String promptText, boolean raw, boolean streamed) {

  static TextInstance read(Ingress ingress, Fields fields) {
    String text = fields.string("prompt");
    if (text == null) {
      throw fields.wrong("prompt", "a text");
    }
    boolean streamed = fields.bool("stream");
    boolean raw = fields.bool("raw_response");
    Prompt prompt = new Prompt.Text(text, PromptFields.textBeginsSpecially(fields));
    GenerationFields generation =
        new GenerationFields(ingress, raw ? withLogprobs(fields) : fields);
    return new TextInstance(generation.generation(prompt, streamed), text, raw, streamed);
  }

  /** Raw answers tell the sum of the log probabilities, so these must be known. */
  private static Fields withLogprobs(Fields fields) {
    Map<String, @Nullable Object> map = new LinkedHashMap<>(fields.map());
    if (map.get("logprobs") == null) {
      map.put("logprobs", 0L);
    }
    return fields.with(map);
  }

  /** How each choice looks, in the order of the predictions. */
  static List<Look> byChoice(List<TextInstance> instances) {
    List<Look> byChoice = new ArrayList<>();
    for (TextInstance instance : instances) {
      Look look = new Look(instance.raw() ? "" : instance.promptText(), instance.raw());
      byChoice.addAll(Collections.nCopies(instance.generation().choices(), look));
    }
    return byChoice;
  }

  /**
   * What the answer needs of an instance, which is not kept until then. Immutable.
   *
   * @param promptText repeated in predictions that are not raw, else empty
   */
  record Look(String promptText, boolean raw) {

    /**
     * The whole answer. Counts and log probabilities stand beside the predictions where all are
     * raw.
     */
    static void write(JsonWriter out, List<Look> byChoice, List<Choice> choices) {
      out.object().name("predictions").array();
      for (int i = 0; i < choices.size(); i++) {
        out.value(byChoice.get(i).prediction(choices.get(i).text.toString()));
      }
      out.end();
      if (byChoice.stream().allMatch(Look::raw)) {
        out.name("output_token_counts").array();
        for (Choice choice : choices) {
          out.value(choice.generatedCount());
        }
        out.end().name("cumulative_logprobs").array();
        for (Choice choice : choices) {
          out.logprobSum(sum(choice.scores));
        }
        out.end();
      }
      out.end();
    }

    /**
     * The format that clients split at {@code Output:}; only line feeds are cut from the output.
     */
    private String prediction(String output) {
      return raw
          ? output
          : "Prompt:\n" + promptText.strip() + "\nOutput:\n" + trimLineFeeds(output);
    }

    private static String trimLineFeeds(String text) {
      int from = 0;
      int to = text.length();
      while (from < to && text.charAt(from) == '\n') {
        from++;
      }
      while (to > from && text.charAt(to - 1) == '\n') {
        to--;
      }
      return text.substring(from, to);
    }
  }

  static double sum(List<Scores> tokens) {
    double sum = 0;
    for (Scores scores : tokens) {
      sum += scores.chosen().logprob();
    }
    return sum;
  }
}
