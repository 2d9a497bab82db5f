package io.verdier.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The reference outputs of the demo model. */
final class Golden {
  static final Path MODEL = Path.of("src/main/resources/demo-model");
  static final Path DRAFT = MODEL.resolve("draft");

  /**
   * One prompt of {@code logits.json} with its reference outputs.
   *
   * @param margins between the best and the second logit at each greedy step
   */
  record Case(
      String name,
      int[] ids,
      List<Row> rows,
      double promptLogprobSum,
      boolean hasPromptLogprobSum,
      int[] greedy,
      double[] margins) {}

  /** Reference logits at one position: ids and values, largest first. */
  record Row(int position, double logsumexp, int[] topIds, double[] topLogits) {}

  private Golden() {}

  /** Cases of a file; prompts always come from {@code logits.json}. */
  static List<Case> cases(String file) {
    JsonNode prompts = read("logits.json").get("cases");
    JsonNode outputs = read(file).get("cases");
    List<Case> cases = new ArrayList<>();
    for (int i = 0; i < outputs.size(); i++) {
      JsonNode output = outputs.get(i);
      List<Row> rows = new ArrayList<>();
      output.get("positions").forEach(row -> rows.add(row(row)));
      cases.add(
          new Case(
              output.get("name").asText(),
              ints(prompts.get(i).get("ids")),
              rows,
              output.path("prompt_logprob_sum").asDouble(),
              output.has("prompt_logprob_sum"),
              ints(output.get("greedy").get("ids")),
              doubles(output.get("greedy").get("margins"))));
    }
    return cases;
  }

  private static Row row(JsonNode node) {
    JsonNode top = node.get("top");
    int[] ids = new int[top.size()];
    double[] logits = new double[top.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = top.get(i).get(0).asInt();
      logits[i] = top.get(i).get(1).asDouble();
    }
    return new Row(node.get("position").asInt(), node.get("logsumexp").asDouble(), ids, logits);
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  private static double[] doubles(JsonNode array) {
    double[] values = new double[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asDouble();
    }
    return values;
  }

  private static JsonNode read(String file) {
    try (InputStream in = Golden.class.getResourceAsStream("/golden/" + file)) {
      return new ObjectMapper().readTree(in);
    } catch (IOException e) {
      throw new IllegalStateException(file, e);
    }
  }
}
