package io.verdier.verticles.http.routes;

import io.verdier.conf.Limits;
import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.Repetition;
import io.verdier.engine.sample.SamplingSchema;
import io.verdier.engine.sample.SamplingSchema.Choices;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads what all generating routes have in common; the sampling values are {@link
 * SamplingSchema}'s. Owned by the event loop.
 */
final class GenerationFields {
  private static final String SEARCH = "use_beam_search";
  private static final String LOGPROBS = "logprobs";
  private static final String COMPLETION_TOKENS = "max_completion_tokens";
  private static final String REPETITION = "repetition_detection";

  private final Ingress ingress;
  private final Fields fields;
  private final SamplingSchema.Builder sampling;

  GenerationFields(Ingress ingress, Fields fields) {
    ingress.serving().checkGenerates();
    this.ingress = ingress;
    this.fields = fields;
    // Vertex AI's own bodies do not have the model's sampling defaults.
    SamplingSchema schema =
        fields.body() == Body.PREDICT
            ? ingress.serving().plainSampling()
            : ingress.serving().sampling();
    this.sampling = schema.builder();
    Object logprobs = fields.value(LOGPROBS); // a switch of chats, a count elsewhere
    if (logprobs != null && !fields.row(LOGPROBS).type().fits(logprobs)) {
      throw fields.wrong(LOGPROBS, fields.row(LOGPROBS).type().text());
    }
    for (Map.Entry<String, @Nullable Object> field : fields.map().entrySet()) {
      if (fields.knows(field.getKey())) {
        sampling.set(field.getKey(), field.getValue());
      }
    }
  }

  /** The checked request for one prompt. */
  Generation generation(Prompt prompt, boolean streaming) {
    return generation(prompt, streaming, null, null);
  }

  /**
   * The same where somebody reads the text.
   *
   * @param parsing how; null: nobody does
   * @param calls what the answer must match to call tools; null: it need not
   */
  Generation generation(
      Prompt prompt, boolean streaming, @Nullable ChatParsing parsing, @Nullable Demand calls) {
    if (streaming && fields.integer("prompt_logprobs", 0) != 0) {
      throw RejectedException.invalid(
          fields.path("prompt_logprobs"),
          "prompt_logprobs cannot be streamed; leave stream or prompt_logprobs out.");
    }
    Optional<ReasoningFormat> thoughts = parsing == null ? boundedThoughts() : parsing.reasoning();
    TextParams text =
        new TextParams(
            stopStrings(),
            fields.bool("include_stop_str_in_output"),
            fields.bool("skip_special_tokens"),
            parsing == null
                ? thoughts.map(ReasoningFormat::visibleTokens).orElse(Set.of())
                : parsing.visibleTokens(),
            streaming && !fields.bool(SEARCH),
            thoughts,
            thoughtTokensMax(parsing, thoughts),
            ingress.serving().card().parsing().reasoningEnd());
    PromptFields prompts = new PromptFields(ingress, fields);
    Demand demand = demand(calls);
    boolean holdsThoughts = parsing == null || ingress.config().structuredOutput().holdsThoughts();
    checkBudget(text, demand, holdsThoughts);
    OptionalDouble penalty = lengthPenalty(demand, text);
    sampling.endRepetition(repetition());
    return new Generation(
        sampling.choices(),
        new Submit(
            Generation.NO_KEYS,
            prompt,
            sampling.build(
                ingress.randomSeed(),
                maxTokensAbsent(),
                penalty.isPresent() ? Choices.FOUND : Choices.DRAWN),
            sampling.badWords(),
            prompts.truncation(),
            text,
            prompts.priority(),
            prompts.cacheSalt(),
            AdapterFields.read(ingress, fields),
            demand,
            penalty),
        fields.has(COMPLETION_TOKENS) ? COMPLETION_TOKENS : Generation.MAX_TOKENS);
  }

  /** Where the table has no number, the model's length is the end. */
  private int maxTokensAbsent() {
    ApiField row = fields.row("max_tokens");
    return row.hasFallback() ? ((Number) row.fallback()).intValue() : Submit.MAX_TOKENS_OPEN;
  }

  private int thoughtTokensMax(@Nullable ChatParsing parsing, Optional<ReasoningFormat> thoughts) {
    if (parsing != null) {
      return parsing.thoughtTokensMax();
    }
    return thoughts.isEmpty()
        ? TextParams.UNBOUNDED
        : ChatParsing.thoughtTokensMax(fields, thoughts);
  }

  /** Of a text that nobody reads, tokens of reasoning are counted where a budget bounds them. */
  private Optional<ReasoningFormat> boundedThoughts() {
    Optional<ReasoningFormat> format =
        ingress.serving().card().parsing().reasoningParser().flatMap(ReasoningFormat::of);
    boolean bounded =
        fields.body() == Body.TEXT
            && ChatParsing.thoughtTokensMax(fields, format) != TextParams.UNBOUNDED;
    return bounded ? format : Optional.empty();
  }

  /**
   * A search knows none of its answers before all of them, and looks at log probabilities as the
   * model gives them; what would forbid some answers is refused, for it would find them all the
   * same.
   */
  private OptionalDouble lengthPenalty(@Nullable Demand demand, TextParams text) {
    double penalty = fields.number("length_penalty");
    if (!fields.bool(SEARCH)) {
      return OptionalDouble.empty();
    }
    String unheeded = demand == null ? null : demand.parameter();
    unheeded = text.thoughtTokensMax() >= 0 ? ChatParsing.BUDGET : unheeded;
    for (String name : List.of("allowed_token_ids", "bad_words")) {
      unheeded = fields.has(name) ? name : unheeded;
    }
    if (unheeded != null) {
      throw fields.unsupported(SEARCH, "it does not heed " + unheeded + "; leave one of them out.");
    }
    return OptionalDouble.of(penalty);
  }

  /** Where thoughts are held to what the answer must match, their end cannot be forced too. */
  private void checkBudget(TextParams text, @Nullable Demand demand, boolean holdsThoughts) {
    if (text.thoughtTokensMax() >= 0 && demand != null && holdsThoughts) {
      throw fields.unsupported(
          ChatParsing.BUDGET,
          "what the answer must match holds its reasoning too, as on this route, or with the"
              + " server's enable_in_reasoning; leave out the budget or "
              + demand.parameter()
              + ".");
    }
  }

  private Repetition repetition() {
    Fields given = fields.knows(REPETITION) ? fields.object(REPETITION) : null;
    if (given == null) {
      return Repetition.NONE;
    }
    int max = given.integer("max_pattern_size");
    int min = given.integerUpTo("min_pattern_size", max);
    int count = given.integer("min_count");
    if (max > 0 && count < 2) {
      throw given.wrong("min_count", "at least 2");
    }
    return max == 0 ? Repetition.NONE : new Repetition(Math.max(1, min), max, count);
  }

  private @Nullable Demand demand(@Nullable Demand calls) {
    Demand asked = ConstraintFields.read(fields, ingress.config().structuredOutput());
    if (asked != null && calls != null && calls.isTriggered()) {
      return asked; // then no call can begin
    }
    if (calls != null && asked != null) {
      throw RejectedException.invalid(
          asked.parameter(),
          "An answer that must call a tool cannot be held to " + asked.parameter() + " too.");
    }
    return calls == null ? asked : calls;
  }

  private List<String> stopStrings() {
    Limits limits = ingress.limits();
    Object stop = fields.value("stop");
    if (stop == null) {
      return List.of();
    }
    List<?> given = stop instanceof String ? List.of(stop) : fields.list("stop");
    if (given == null || given.size() > limits.stopStringsMax()) {
      throw fields.wrong(
          "stop", "a string or a list of at most " + limits.stopStringsMax() + " strings");
    }
    List<String> strings = new ArrayList<>();
    for (Object element : given) {
      if (!(element instanceof String string)
          || string.isEmpty()
          || string.length() > limits.stopStringCharsMax()) {
        throw Fields.wrongAt(
            fields.path("stop") + (stop instanceof String ? "" : "." + strings.size()),
            element,
            "a string of 1 to " + limits.stopStringCharsMax() + " characters");
      }
      strings.add(string);
    }
    return strings;
  }
}
