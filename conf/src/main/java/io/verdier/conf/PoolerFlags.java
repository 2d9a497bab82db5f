package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.conf.Pooler.Runner;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Reads the flags that make a server embed. Owned by the thread that loads.
 *
 * <p>vLLM has had three ways to say it: {@code --task embed} once, {@code --runner pooling} and
 * {@code --convert embed} now, where either of the last two brings the other along. {@code
 * classify} and {@code reward} in their place ask for a model that has classes.
 */
final class PoolerFlags {
  private static final List<String> SWITCHES = List.of("normalize", "use_activation");
  private static final List<String> CLASSIFIERS = List.of("classify", "reward");
  private static final List<String> TYPES = List.of("pooling_type", "seq_pooling_type");

  private final Settings settings;
  private final Findings findings;

  PoolerFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  Pooler pooler() {
    String flag =
        settings.given("--override-pooler-config") ? "--override-pooler-config" : "--pooler-config";
    Optional<JsonNode> given = settings.json(flag);
    Runner runner = runner();
    if (given.isEmpty()) {
      return new Pooler(runner, Optional.empty(), Optional.empty());
    }
    if (!given.get().isObject()) {
      problem(flag, "must be a JSON object, as {\"pooling_type\": \"MEAN\"}");
      return new Pooler(runner, Optional.empty(), Optional.empty());
    }
    if (runner == Runner.GENERATE) {
      findings.notice(flag + " has no effect: the model generates; see --runner pooling");
    }
    noticeUnknown(flag, given.get());
    return new Pooler(runner, type(flag, given.get()), normalizes(flag, given.get()));
  }

  private Runner runner() {
    String runner = settings.text("--runner");
    String convert = settings.text("--convert");
    String task = settings.text("--task");
    boolean classifies = CLASSIFIERS.contains(convert) || CLASSIFIERS.contains(task);
    boolean embeds =
        convert.equals("embed") || List.of("embed", "embedding", "encode").contains(task);
    boolean pools = classifies || embeds || runner.equals("pooling") || task.equals("score");
    boolean generates = runner.equals("generate") || task.equals("generate");
    if ((pools && (generates || convert.equals("none"))) || (embeds && classifies)) {
      String flag = settings.given("--convert") ? "--convert" : "--runner";
      problem(
          flag,
          "--runner %s, --convert %s and --task %s do not fit together"
              .formatted(runner, convert, task));
    }
    if (classifies) {
      return Runner.CLASSIFYING;
    }
    return pools ? Runner.POOLING : generates ? Runner.GENERATE : Runner.AUTO;
  }

  private void noticeUnknown(String flag, JsonNode object) {
    List<String> known = new ArrayList<>(TYPES);
    known.addAll(SWITCHES);
    for (Map.Entry<String, JsonNode> entry : object.properties()) {
      if (!known.contains(entry.getKey())) {
        String hint = Nearest.hint(entry.getKey(), known);
        findings.notice(flag + ": key " + Shown.text(entry.getKey()) + " has no effect" + hint);
      }
    }
  }

  private Optional<Pooler.Type> type(String flag, JsonNode object) {
    for (String key : TYPES) {
      JsonNode value = object.path(key);
      if (value.isMissingNode() || value.isNull()) {
        continue;
      }
      String word = value.asText().toUpperCase(Locale.ROOT);
      for (Pooler.Type type : Pooler.Type.values()) {
        if (type.name().equals(word)) {
          return Optional.of(type);
        }
      }
      String types =
          String.join(", ", Arrays.stream(Pooler.Type.values()).map(Enum::name).toList());
      problem(flag, key + " " + Shown.text(value.toString()) + " must be one of " + types);
    }
    return Optional.empty();
  }

  private Optional<Boolean> normalizes(String flag, JsonNode object) {
    for (String key : SWITCHES) {
      JsonNode value = object.path(key);
      if (value.isBoolean()) {
        return Optional.of(value.booleanValue());
      }
      if (!value.isMissingNode() && !value.isNull()) {
        problem(flag, key + " must be true or false, not " + Shown.text(value.toString()));
      }
    }
    return Optional.empty();
  }

  private void problem(String flag, String text) {
    findings.problem(settings.origin(flag), flag + ": " + text);
  }
}
