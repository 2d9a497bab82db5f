package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.hawkular.agent.prometheus.types.Counter;
import org.hawkular.agent.prometheus.types.Histogram;
import org.hawkular.agent.prometheus.types.Metric;
import org.hawkular.agent.prometheus.types.MetricFamily;
import org.hawkular.agent.prometheus.types.Summary;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * {@code /metrics} of a real server after real traffic, read by a parser that others wrote, held
 * against the table in {@code metrics/families.txt} and against what the answers said. Costs the
 * start of one server and about a second.
 */
class MetricsIT {
  private static final Path ADAPTERS = Path.of("../engine/src/main/resources/demo-model/lora");
  private static final Path DASHBOARD = Path.of("../conf/grafana/verdier.json");
  private static final String CHATS = "/v1/chat/completions";
  private static final String TEXTS = "/v1/completions";

  private static InProcessServer server;
  private static Client client;

  /** What the answers said of themselves. */
  private static int promptTokens;

  private static int generatedTokens;
  private static int cachedTokens;

  /** Of those generated, what a constraint may have given without a step for each. */
  private static int heldTokens;

  private static final Map<String, Object> TOOLS =
      Map.of(
          "messages",
          List.of(Map.of("role", "user", "content", "What is the weather in Paris?")),
          "tools",
          List.of(
              new Client.Answer(
                      200,
                      "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"Get"
                          + " the weather of a city.\",\"parameters\":{\"type\":\"object\","
                          + "\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}}}")
                  .json()));

  @BeforeAll
  static void serve() {
    server =
        InProcessServer.start(
            "--max-model-len=512",
            "--enable-prompt-tokens-details",
            "--kv-cache-metrics",
            "--enable-mfu-metrics",
            "--enable-lora",
            "--max-loras=2",
            "--lora-modules",
            "pirate=" + ADAPTERS.resolve("pirate"));
    client = new Client(server.baseUrl());
    traffic();
    server.awaitIdle();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  /** 5 chats of one choice, one of two, 3 texts: 10 sequences of 9 prompts in 8 requests. */
  private static void traffic() {
    for (int i = 0; i < 3; i++) {
      count(client.post(CHATS, chat(Map.of())).json());
    }
    Map<String, Object> streamed =
        Map.of("stream", true, "stream_options", Map.of("include_usage", true));
    count(Client.events(client.post(CHATS, chat(streamed))).getLast());
    JsonNode two = client.post(CHATS, chat(Map.of("n", 2, "temperature", 1, "seed", 1))).json();
    promptTokens += two.at("/usage/prompt_tokens").asInt(); // each choice has a prompt to compute
    count(two);
    Client.Answer called = client.post(CHATS, chat(TOOLS));
    assertThat(called.body()).contains("\"finish_reason\":\"tool_calls\"");
    count(called.json());
    count(client.post(TEXTS, Map.of("prompt", List.of("One", "Two"), "max_tokens", 3)).json());
    Map<String, Object> held = Map.of("prompt", "It is", "model", "pirate", "max_tokens", 5);
    int before = generatedTokens;
    count(client.post(TEXTS, with(held, Map.of("guided_choice", List.of("good", "bad")))).json());
    heldTokens = generatedTokens - before;
    assertThat(client.post(TEXTS, Map.of("prompt", "x", "temperature", -1)).status())
        .isEqualTo(400);
    assertThat(client.post(TEXTS, Map.of("prompt", "x", "model", "y")).status()).isEqualTo(404);
    assertThat(client.post("/nothing", Map.of()).status()).isEqualTo(404);
    assertThat(client.get(TEXTS).status()).isEqualTo(405);
    assertThat(client.get("/health").status()).isEqualTo(200);
  }

  private static Map<String, Object> chat(Map<String, ?> more) {
    return with(
        Map.of(
            "messages",
            List.of(Map.of("role", "user", "content", "What is a car? ".repeat(6))),
            "temperature",
            0,
            "user",
            "somebody"),
        more);
  }

  private static Map<String, Object> with(Map<String, ?> some, Map<String, ?> more) {
    Map<String, Object> all = new LinkedHashMap<>(some);
    all.putAll(more);
    return all;
  }

  private static void count(JsonNode answer) {
    JsonNode usage = answer.get("usage");
    promptTokens += usage.get("prompt_tokens").asInt();
    generatedTokens += usage.get("completion_tokens").asInt();
    cachedTokens += usage.at("/prompt_tokens_details/cached_tokens").asInt();
  }

  @Test
  void families_all_areThoseOfTheTable() {
    Scrape page = Scrape.of(server.baseUrl());
    Map<String, String> wanted = new LinkedHashMap<>();
    MetricFamilies.ofOneNode().forEach(family -> wanted.put(family.name(), family.type()));
    Map<String, String> found = new LinkedHashMap<>();
    page.families()
        .forEach(
            (name, family) -> found.put(name, family.getType().name().toLowerCase(Locale.ROOT)));
    assertThat(found).containsExactlyInAnyOrderEntriesOf(wanted);
  }

  @Test
  void series_each_haveTheLabelsAndBucketsOfTheTable() {
    Scrape page = Scrape.of(server.baseUrl());
    for (MetricFamilies.Row wanted : MetricFamilies.ofOneNode()) {
      List<Metric> series = page.series(wanted.name());
      Map<String, Set<String>> values = new LinkedHashMap<>();
      for (Metric metric : series) {
        assertThat(metric.getLabels().keySet())
            .as(wanted.name())
            .containsExactlyInAnyOrderElementsOf(wanted.labels().keySet());
        metric
            .getLabels()
            .forEach(
                (name, value) -> values.computeIfAbsent(name, it -> new TreeSet<>()).add(value));
        if (metric instanceof Histogram histogram) {
          checkHistogram(wanted, histogram);
        } else if (metric instanceof Summary summary) {
          assertThat(summary.getQuantiles()).as(wanted.name()).isEmpty();
        }
      }
      wanted
          .labels()
          .forEach(
              (label, closed) -> {
                if (!closed.isEmpty()) {
                  assertThat(values.get(label)).as(wanted.name()).hasSameElementsAs(closed);
                }
              });
    }
  }

  private static void checkHistogram(MetricFamilies.Row wanted, Histogram histogram) {
    List<Double> bounds = new ArrayList<>();
    long before = 0;
    for (Histogram.Bucket bucket : histogram.getBuckets()) {
      bounds.add(bucket.getUpperBound());
      assertThat(bucket.getCumulativeCount()).as(wanted.name()).isGreaterThanOrEqualTo(before);
      before = bucket.getCumulativeCount();
    }
    assertThat(bounds.removeLast()).as(wanted.name()).isEqualTo(Double.POSITIVE_INFINITY);
    assertThat(bounds).as(wanted.name()).isEqualTo(wanted.bounds());
    assertThat(before).as(wanted.name()).isEqualTo(histogram.getSampleCount());
  }

  @Test
  void docs_table_namesEveryFamily() throws IOException {
    String page = Files.readString(Path.of("../docs/metrics.md"));
    assertThat(MetricFamilies.all())
        .extracting(MetricFamilies.Row::name)
        .allMatch(name -> page.contains("`" + name + "`"));
  }

  @Test
  void tokens_counted_areThoseOfTheAnswers() {
    Scrape page = Scrape.of(server.baseUrl());
    assertThat(cachedTokens).isPositive();
    assertThat(page.value("vllm:prompt_tokens_total")).isEqualTo(promptTokens);
    assertThat(page.value("vllm:generation_tokens_total")).isEqualTo(generatedTokens);
    double cached = page.value("vllm:prompt_tokens_cached_total");
    String source = "vllm:prompt_tokens_by_source_total";
    assertThat(page.value(source, "source", "local_cache_hit")).isEqualTo(cached);
    assertThat(page.value(source, "source", "local_compute")).isEqualTo(promptTokens - cached);
    assertThat(cached).isGreaterThanOrEqualTo(cachedTokens); // usage counts a prompt once
    assertThat(page.value("vllm:prefix_cache_hits_total")).isEqualTo(cached);
    assertThat(page.value("vllm:gpu_prefix_cache_hits_total")).isEqualTo(cached);
    assertThat(page.value("vllm:prefix_cache_queries_total")).isEqualTo(promptTokens);
    assertThat(page.histogram("vllm:request_prefill_kv_computed_tokens").getSampleSum())
        .isEqualTo(promptTokens - cached);
    assertThat(page.histogram("vllm:request_prompt_tokens").getSampleSum()).isEqualTo(promptTokens);
    assertThat(page.histogram("vllm:request_generation_tokens").getSampleSum())
        .isEqualTo(generatedTokens);
  }

  @Test
  void requests_counted_areThoseThatWereSent() {
    Scrape page = Scrape.of(server.baseUrl());
    double ended =
        page.value("vllm:request_success_total", "finished_reason", "stop")
            + page.value("vllm:request_success_total", "finished_reason", "length");
    assertThat(ended).isEqualTo(10);
    for (String ofSequences :
        List.of(
            "vllm:time_to_first_token_seconds",
            "vllm:e2e_request_latency_seconds",
            "vllm:request_queue_time_seconds",
            "vllm:request_prefill_time_seconds",
            "vllm:request_decode_time_seconds",
            "vllm:request_inference_time_seconds",
            "vllm:request_prompt_tokens",
            "vllm:request_generation_tokens",
            "vllm:request_prefill_kv_computed_tokens")) {
      assertThat(page.histogram(ofSequences).getSampleCount()).as(ofSequences).isEqualTo(10);
    }
    assertThat(page.histogram("vllm:request_params_n").getSampleSum()).isEqualTo(10);
    assertThat(page.histogram("vllm:request_params_n").getSampleCount()).isEqualTo(9); // prompts
    assertThat(page.histogram("vllm:request_params_max_tokens").getSampleCount()).isEqualTo(9);
    assertThat(page.histogram("vllm:request_max_num_generation_tokens").getSampleCount())
        .isEqualTo(8);
    String refused = "verdier:requests_refused_total";
    assertThat(page.value(refused, "code", "invalid_argument")).isEqualTo(2);
    assertThat(page.value(refused, "code", "not_found")).isEqualTo(2);
    assertThat(page.value("verdier:request_fields_ignored_total", "field", "user")).isEqualTo(6);
    assertThat(page.histogram("verdier:grammar_compile_seconds").getSampleCount()).isEqualTo(1);
  }

  @Test
  void times_everyPart_addUp() {
    Scrape page = Scrape.of(server.baseUrl());
    Histogram between = page.histogram("vllm:inter_token_latency_seconds");
    assertThat(between.getSampleCount()) // all but the first ones
        .isBetween((long) generatedTokens - 9 - heldTokens, (long) generatedTokens - 10);
    Histogram older = page.histogram("vllm:time_per_output_token_seconds");
    assertThat(older.getSampleCount()).isEqualTo(between.getSampleCount());
    assertThat(older.getSampleSum()).isEqualTo(between.getSampleSum());
    double inference = page.histogram("vllm:request_inference_time_seconds").getSampleSum();
    double prefill = page.histogram("vllm:request_prefill_time_seconds").getSampleSum();
    double decode = page.histogram("vllm:request_decode_time_seconds").getSampleSum();
    double whole = page.histogram("vllm:e2e_request_latency_seconds").getSampleSum();
    assertThat(prefill).isPositive();
    assertThat(decode).isPositive();
    assertThat(inference).isCloseTo(prefill + decode, within(1e-9));
    assertThat(whole).isGreaterThan(inference);
    assertThat(page.histogram("vllm:time_to_first_token_seconds").getSampleSum())
        .isBetween(prefill, whole);
    Histogram mean = page.histogram("vllm:request_time_per_output_token_seconds");
    assertThat(mean.getSampleCount()).isPositive().isLessThanOrEqualTo(10);
    assertThat(mean.getSampleSum()).isPositive();
  }

  @Test
  void idle_gauges_areZero() {
    Scrape page = Scrape.of(server.baseUrl());
    for (String name :
        List.of(
            "vllm:num_requests_running",
            "vllm:num_requests_waiting",
            "vllm:kv_cache_usage_perc",
            "vllm:gpu_cache_usage_perc",
            "verdier:detokenizer_streams")) {
      assertThat(page.value(name)).as(name).isZero();
    }
  }

  @Test
  void adapters_worked_areInOneSeries() {
    Metric info = Scrape.of(server.baseUrl()).one("vllm:lora_requests_info");
    assertThat(info.getLabels())
        .isEqualTo(
            Map.of("max_lora", "2", "waiting_lora_adapters", "", "running_lora_adapters", ""));
  }

  @Test
  void tools_called_areCountedOnce() {
    Scrape page = Scrape.of(server.baseUrl());
    double all =
        page.series("vllm:tool_call_parser_invocations_total").stream()
            .mapToDouble(metric -> ((Counter) metric).getValue())
            .sum();
    assertThat(all).isEqualTo(1);
    assertThat(
            page.value(
                "vllm:tool_call_parser_invocations_total",
                "mode",
                "non_streaming",
                "outcome",
                "tool_call",
                "request_type",
                "chat_completions"))
        .isEqualTo(1);
  }

  @Test
  void routes_each_haveTheirAnswers() {
    Scrape page = Scrape.of(server.baseUrl());
    Map<String, Double> answers =
        page.series("http_requests_total").stream()
            .map(Metric::getLabels)
            .collect(
                Collectors.toMap(
                    labels ->
                        "%s %s %s"
                            .formatted(
                                labels.get("method"), labels.get("handler"), labels.get("status")),
                    labels ->
                        page.value(
                            "http_requests_total",
                            "method",
                            labels.get("method"),
                            "handler",
                            labels.get("handler"),
                            "status",
                            labels.get("status"))));
    assertThat(answers)
        .isEqualTo(
            Map.of(
                "POST /v1/chat/completions 2xx", 6.0,
                "POST /v1/completions 2xx", 2.0,
                "POST /v1/completions 4xx", 2.0,
                "GET /v1/completions 4xx", 1.0,
                "POST none 4xx", 1.0)); // and neither /health nor /metrics
    assertThat(page.histogram("http_request_duration_highr_seconds").getSampleCount())
        .isEqualTo(12);
    assertThat(page.histogram("http_request_duration_seconds", "handler", CHATS).getSampleCount())
        .isEqualTo(6);
    Summary sizes = (Summary) page.one("http_response_size_bytes", "handler", CHATS);
    assertThat(sizes.getSampleCount()).isEqualTo(6);
    assertThat(sizes.getSampleSum()).isGreaterThan(6 * 200);
  }

  @Test
  void process_facts_areOfThisProcess() {
    Scrape page = Scrape.of(server.baseUrl());
    assertThat(page.value("process_resident_memory_bytes")).isGreaterThan(10e6);
    assertThat(page.value("process_virtual_memory_bytes"))
        .isGreaterThan(page.value("process_resident_memory_bytes"));
    assertThat(page.value("process_start_time_seconds"))
        .isEqualTo(
            ProcessHandle.current().info().startInstant().orElseThrow().toEpochMilli() / 1e3,
            within(60.0));
    assertThat(page.value("process_open_fds")).isBetween(1.0, page.value("process_max_fds"));
    assertThat(page.value("process_cpu_seconds_total")).isPositive();
    assertThat(page.value("jvm_memory_used_bytes", "area", "heap")).isPositive();
  }

  @Test
  void cacheConfig_facts_areNumbersThatRoutersRead() {
    Map<String, String> facts =
        Scrape.of(server.baseUrl()).one("vllm:cache_config_info").getLabels();
    int blocks = Integer.parseInt(facts.get("num_gpu_blocks"));
    int blockTokens = Integer.parseInt(facts.get("block_size"));
    assertThat(facts.get("kv_cache_size_tokens")).isEqualTo(Integer.toString(blocks * blockTokens));
    assertThat(Double.parseDouble(facts.get("kv_cache_max_concurrency")))
        .isEqualTo(blocks * blockTokens / 512.0);
    assertThat(facts.get("enable_prefix_caching")).isEqualTo("True");
  }

  @Test
  void dashboard_queries_askForWhatIsThere() throws IOException {
    Scrape page = Scrape.of(server.baseUrl());
    Map<String, Set<String>> labels = new LinkedHashMap<>();
    page.families().forEach((name, family) -> addSeries(labels, name, family));
    for (MetricFamilies.Row elsewhere : MetricFamilies.all()) {
      labels.putIfAbsent(elsewhere.name(), elsewhere.labels().keySet());
    }
    List<String> expressions = Dashboard.read(DASHBOARD).expressions();
    assertThat(expressions).hasSizeGreaterThan(30);
    for (String expression : expressions) {
      Set<String> series = Dashboard.series(expression);
      assertThat(series).as(expression).isNotEmpty();
      assertThat(labels.keySet()).as(expression).containsAll(series);
      for (String name : series) {
        Set<String> known = new TreeSet<>(labels.get(name));
        known.add("instance"); // added by Prometheus
        assertThat(known).as(name + " in " + expression).containsAll(Dashboard.labels(expression));
      }
      assertThat(expression.chars().filter(c -> c == '(').count())
          .as(expression)
          .isEqualTo(expression.chars().filter(c -> c == ')').count());
    }
  }

  /** Families that no panel draws, because another one says the same or there is no number. */
  private static final Map<String, String> UNDRAWN =
      Map.of(
          "vllm:gpu_cache_usage_perc", "older name of vllm:kv_cache_usage_perc",
          "vllm:gpu_prefix_cache_queries_total", "older name of vllm:prefix_cache_queries_total",
          "vllm:gpu_prefix_cache_hits_total", "older name of vllm:prefix_cache_hits_total",
          "vllm:time_per_output_token_seconds", "older name of vllm:inter_token_latency_seconds",
          "vllm:cache_config_info", "facts as labels, always 1",
          "jvm_runtime_info", "facts as labels, always 1");

  @Test
  void dashboard_families_areAllDrawn() throws IOException {
    Set<String> drawn = new TreeSet<>();
    for (String expression : Dashboard.read(DASHBOARD).expressions()) {
      for (String series : Dashboard.series(expression)) {
        drawn.add(series);
        drawn.add(series.replaceFirst("_(bucket|sum|count)$", ""));
      }
    }
    Set<String> missing = new TreeSet<>();
    for (MetricFamilies.Row family : MetricFamilies.all()) {
      assertThat(drawn.contains(family.name()) && UNDRAWN.containsKey(family.name()))
          .as(family.name() + " is drawn, and said not to be")
          .isFalse();
      if (!drawn.contains(family.name()) && !UNDRAWN.containsKey(family.name())) {
        missing.add(family.name());
      }
    }
    assertThat(missing).isEmpty();
    assertThat(MetricFamilies.all())
        .extracting(MetricFamilies.Row::name)
        .containsAll(UNDRAWN.keySet());
  }

  private static void addSeries(Map<String, Set<String>> labels, String name, MetricFamily family) {
    Set<String> own = family.getMetrics().getFirst().getLabels().keySet();
    switch (family.getType()) {
      case COUNTER, GAUGE -> labels.put(name, own);
      case HISTOGRAM, SUMMARY -> {
        labels.put(name + "_sum", own);
        labels.put(name + "_count", own);
        Set<String> withBound = new TreeSet<>(own);
        withBound.add("le");
        labels.put(name + "_bucket", withBound);
      }
    }
  }

  @Test
  void dashboard_json_isWhatGrafanaImports() throws IOException {
    Dashboard dashboard = Dashboard.read(DASHBOARD);
    JsonNode json = dashboard.json();
    assertThat(json.get("title").asText()).isEqualTo("Verdier");
    assertThat(json.get("uid").asText()).matches("[a-zA-Z0-9_-]{1,40}");
    assertThat(json.get("id").isNull()).isTrue(); // Grafana gives it one
    assertThat(json.get("schemaVersion").asInt()).isGreaterThanOrEqualTo(36);
    Set<String> variables = new TreeSet<>();
    json.at("/templating/list").forEach(variable -> variables.add(variable.get("name").asText()));
    assertThat(variables).containsExactly("DS_PROMETHEUS", "model_name");
    Set<Integer> ids = new TreeSet<>();
    Set<String> cells = new TreeSet<>();
    for (JsonNode panel : dashboard.panels()) {
      String title = panel.get("title").asText();
      assertThat(title).isNotEmpty();
      assertThat(ids.add(panel.get("id").asInt())).as(title).isTrue();
      assertThat(panel.get("type").asText()).isIn("row", "timeseries", "stat", "heatmap");
      checkPlace(title, panel.get("gridPos"), cells);
      Set<String> references = new TreeSet<>();
      for (JsonNode target : panel.path("targets")) {
        assertThat(references.add(target.get("refId").asText())).as(title).isTrue();
        assertThat(target.at("/datasource/uid").asText()).isEqualTo("${DS_PROMETHEUS}");
      }
      assertThat(references.isEmpty())
          .as(title)
          .isEqualTo(panel.get("type").asText().equals("row"));
    }
  }

  /** No two panels lie on one another, and none beside the 24 columns. */
  private static void checkPlace(String title, JsonNode place, Set<String> taken) {
    int left = place.get("x").asInt();
    int top = place.get("y").asInt();
    assertThat(left + place.get("w").asInt()).as(title).isLessThanOrEqualTo(24);
    for (int x = left; x < left + place.get("w").asInt(); x++) {
      for (int y = top; y < top + place.get("h").asInt(); y++) {
        assertThat(taken.add(x + "," + y)).as(title).isTrue();
      }
    }
  }
}
