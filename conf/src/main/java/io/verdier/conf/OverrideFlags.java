package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Optional;

/**
 * Reads the flags that change a model's {@code config.json}. Owned by the thread that loads.
 *
 * <p>vLLM had two for rotary positions before it had one for everything; they go before that.
 */
final class OverrideFlags {
  private static final String ALL = "--hf-overrides";
  private static final String SCALING = "--rope-scaling";

  private final Settings settings;
  private final Findings findings;

  OverrideFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  /** A JSON object with sorted keys; empty: nothing is changed. */
  Optional<String> read() {
    boolean hasTheta = settings.given("--rope-theta");
    if (!settings.given(ALL) && !settings.given(SCALING) && !hasTheta) {
      return Optional.empty();
    }
    ObjectNode changes = object(ALL, "{\"max_position_embeddings\": 8192}");
    if (settings.given(SCALING)) {
      changes.remove("rope_parameters");
      changes.set("rope_scaling", object(SCALING, "{\"rope_type\": \"yarn\", \"factor\": 4.0}"));
    }
    if (hasTheta) {
      changes.set("rope_theta", DoubleNode.valueOf(settings.real("--rope-theta")));
    }
    return changes.isEmpty() ? Optional.empty() : Optional.of(Json.sorted(changes));
  }

  private ObjectNode object(String flag, String example) {
    Optional<JsonNode> given = settings.json(flag);
    if (given.isPresent() && given.get() instanceof ObjectNode object) {
      return object.deepCopy();
    }
    if (given.isPresent()) {
      findings.problem(settings.origin(flag), flag + ": must be a JSON object, as " + example);
    }
    return Json.object();
  }
}
