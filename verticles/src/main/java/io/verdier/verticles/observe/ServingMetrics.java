package io.verdier.verticles.observe;

import io.verdier.verticles.observe.trace.SpanCounts;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * The server's metrics, under the names that vLLM's dashboards, autoscalers and Vertex AI know.
 * Thread-safe.
 *
 * <p>Names, types, labels and buckets are a table in docs/metrics.md, which a test holds against
 * the page of a real server. Times are seconds.
 */
public final class ServingMetrics {
  private static final double[] COMPILE = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2, 4};

  private final Exposition page;
  private final Exposition toolPage;
  private final HttpMetrics http = new HttpMetrics();
  private final ProcessMetrics process = new ProcessMetrics();
  private final Exposition.Labelled<Exposition.Counter> toolReads;
  private final Exposition.Labelled<Exposition.Counter> refused;
  private final Exposition.Labelled<Exposition.Counter> ignoredFields;
  private final Exposition.Histogram grammarCompile;
  private final Exposition.Counter grammarsKnown;
  private final ConcurrentNavigableMap<Integer, EngineMetrics> engines = // by number
      new ConcurrentSkipListMap<>();
  private final Set<Integer> retired = ConcurrentHashMap.newKeySet(); // of engines that have gone
  private final ConcurrentMap<String, String> adapterNames = new ConcurrentHashMap<>();

  /**
   * A model whose engines are counted.
   *
   * @param name value of the label {@code model_name}
   * @param tokensMax bounds the token histograms
   * @param engines how many it has, at least one
   */
  public record Model(String name, int tokensMax, int engines) {}

  /** Of a server with one engine. */
  public ServingMetrics(String modelName, int maxModelLen) {
    this(List.of(new Model(modelName, maxModelLen, 1)));
  }

  /**
   * @param models in the order of their engines' numbers, at least one; what belongs to no engine
   *     is told with the labels of the first one
   */
  public ServingMetrics(List<Model> models) {
    String modelName = models.getFirst().name;
    page = new Exposition(labels(modelName, 0));
    models.forEach(this::add);
    refused = page.counters("verdier:requests_refused", "Requests refused, by error code.", "code");
    ignoredFields =
        page.counters(
            "verdier:request_fields_ignored", "Fields of requests without effect.", "field");
    toolPage = new Exposition(Map.of("model_name", modelName)); // vLLM's API server counts these
    toolReads =
        toolPage.counters(
            "vllm:tool_call_parser_invocations",
            "Answers read for calls of tools.",
            "mode",
            "outcome",
            "request_type");
    for (String type : new String[] {"chat_completions", "responses", "other"}) {
      toolReads(type, false);
      toolReads(type, true);
    }
    grammarCompile =
        page.histogram("verdier:grammar_compile_seconds", "Time to compile a constraint.", COMPILE);
    grammarsKnown =
        page.counter("verdier:grammar_cache_hits", "Constraints that were compiled already.");
  }

  private static Map<String, String> labels(String modelName, int engine) {
    Map<String, String> labels = new LinkedHashMap<>();
    labels.put("model_name", modelName);
    labels.put("engine", Integer.toString(engine));
    return labels;
  }

  /**
   * A model is served, too.
   *
   * @return the number of the first of its engines; no number comes twice
   */
  public int add(Model model) {
    int first = engines.isEmpty() ? 0 : engines.lastKey() + 1;
    for (int engine = 0; engine < model.engines; engine++) {
      Exposition part = page.labelled(labels(model.name, engine));
      engines.put(first + engine, new EngineMetrics(part, model.tokensMax));
    }
    return first;
  }

  /** An engine has gone: what it counted is not shown any more. */
  public void retire(int number) {
    engine(number).page().remove();
    retired.add(number);
  }

  /** Those of an engine, by its number. */
  public EngineMetrics engine(int number) {
    return Objects.requireNonNull(engines.get(number), () -> "no engine " + number);
  }

  /** Those of all engines that are there, by number. */
  public List<EngineMetrics> engines() {
    return engines.entrySet().stream()
        .filter(engine -> !retired.contains(engine.getKey()))
        .map(Map.Entry::getValue)
        .toList();
  }

  /**
   * Adapters are served: which ones have work becomes a series, of which there is only one at a
   * time. (vLLM keeps one for every set of adapters that ever had work.)
   *
   * @param slots adapters that a step may have
   */
  public void serveAdapters(int slots) {
    page.changingInfo(
        "vllm:lora_requests_info",
        "Adapters that have work; the value is the time of the last change.",
        () -> adapterFacts(slots),
        () -> engines().stream().mapToDouble(EngineMetrics::adaptersSeconds).max().orElse(0));
  }

  private Map<String, String> adapterFacts(int slots) {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("max_lora", Integer.toString(slots));
    facts.put("waiting_lora_adapters", names(AdapterLoad::waiting));
    facts.put("running_lora_adapters", names(AdapterLoad::running));
    return facts;
  }

  private String names(Function<AdapterLoad, Set<String>> which) {
    return engines().stream()
        .flatMap(engine -> which.apply(engine.adapters()).stream())
        .distinct()
        .map(identity -> adapterNames.getOrDefault(identity, identity))
        .sorted()
        .collect(Collectors.joining(","));
  }

  /** An adapter is shown by this name, unless it has one. */
  public void nameAdapter(String identity, String name) {
    adapterNames.putIfAbsent(identity, name);
  }

  /** A number that its owner keeps and any thread may read. */
  public void watch(String name, String help, IntSupplier value) {
    page.gauge(name, help, value::getAsInt);
  }

  /**
   * A number that only grows, which its owner keeps and any thread may read.
   *
   * @param name without the ending of counters
   */
  public void watchGrowing(String name, String help, LongSupplier value) {
    page.counter(name, help, value);
  }

  /**
   * A model's adapters are brought to host memory. Called once for each.
   *
   * @param engine the first of the model
   * @param diskBytes of downloads
   * @param deviceBytes of slots
   * @param slotLoads adapters put into a slot so far
   */
  public LoraMetrics loadAdapters(
      int engine, LongSupplier diskBytes, LongSupplier deviceBytes, LongSupplier slotLoads) {
    return new LoraMetrics(engine(engine).page(), diskBytes, deviceBytes, slotLoads);
  }

  /**
   * Requests are traced.
   *
   * @return hears of what becomes of spans
   */
  public SpanCounts traceSpans() {
    Exposition.Labelled<Exposition.Counter> spans =
        page.counters("verdier:trace_spans", "Spans of traces, by what became of them.", "state");
    return new SpanCounts(spans.of("sent")::add, spans.of("failed")::add);
  }

  /** Answers by route. */
  public HttpMetrics http() {
    return http;
  }

  /**
   * Counts answers that are read for calls of tools.
   *
   * @param requestType {@code chat_completions}, {@code responses} or {@code other}
   */
  public ToolReads toolReads(String requestType, boolean streamed) {
    String mode = streamed ? "streaming" : "non_streaming";
    return new ToolReads(
        toolReads.of(mode, "tool_call", requestType),
        toolReads.of(mode, "no_tool_call", requestType));
  }

  /** A request was refused, at any stage. */
  public void onRefused(String code) {
    refused.of(code.toLowerCase(Locale.ROOT)).add(1);
  }

  /** A request had a field without effect; those that the API does not know are {@code other}. */
  public void onIgnoredField(String field) {
    ignoredFields.of(field).add(1);
  }

  /** A constraint was compiled, on whatever thread. */
  public void onGrammarCompiled(double seconds) {
    grammarCompile.observe(seconds);
  }

  /** A constraint was compiled already, or is being. */
  public void onGrammarKnown() {
    grammarsKnown.add(1);
  }

  /** The page in Prometheus text format. */
  public String text() {
    StringBuilder text = new StringBuilder(Exposition.PAGE_CHARS);
    page.write(text);
    toolPage.write(text);
    http.write(text);
    process.write(text);
    return text.toString();
  }
}
