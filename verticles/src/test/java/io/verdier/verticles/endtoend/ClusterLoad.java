package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.ClusterFixture.Node;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/** Many clients at once, each with a request of {@link ClusterRequests}. Thread-safe. */
final class ClusterLoad {
  private static final int BEGUN_EVENTS = 3;
  private static final long ANSWER_SECONDS = 120; // of a busy machine
  private static final ExecutorService THREADS = Executors.newVirtualThreadPerTaskExecutor();
  private static final HttpClient HTTP =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  private final int tokens;
  private final Map<Integer, Future<Got>> clients = new TreeMap<>();
  private final AtomicInteger begun = new AtomicInteger();

  /**
   * What one client got. Immutable.
   *
   * @param text all choices, their ends and the usage, in canonical form
   * @param longestGapSeconds between two pieces
   */
  record Got(int status, String text, int completionTokens, double longestGapSeconds) {

    boolean isBroken() {
      return text.endsWith("cut short");
    }

    @Override
    public String toString() {
      return status + " " + text;
    }
  }

  private ClusterLoad(int tokens) {
    this.tokens = tokens;
  }

  /**
   * Begins.
   *
   * @param streams how many clients
   * @param tokens of the longest answers
   */
  static ClusterLoad at(Node node, int streams, int tokens) {
    ClusterLoad load = new ClusterLoad(tokens);
    String url = node.baseUrl();
    for (int number = 0; number < streams; number++) {
      int own = number;
      load.clients.put(number, THREADS.submit(() -> load.stream(url, own)));
    }
    return load;
  }

  /** Waits until all streams are in their midst. */
  ClusterLoad awaitBegun() {
    ClusterFixture.await(() -> begun.get() == clients.size(), "streams that have begun");
    return this;
  }

  /** What each client got, by its number; what failed otherwise than HTTP says has no text. */
  Map<Integer, Got> awaitEnd() throws Exception {
    Map<Integer, Got> all = new TreeMap<>();
    for (Map.Entry<Integer, Future<Got>> client : clients.entrySet()) {
      try {
        all.put(client.getKey(), client.getValue().get(ANSWER_SECONDS, TimeUnit.SECONDS));
      } catch (ExecutionException failed) {
        all.put(client.getKey(), new Got(0, failed.getCause() + " cut short", 0, 0));
      }
    }
    return all;
  }

  /** Sequences whose clients wait yet. */
  int unfinished() {
    int count = 0;
    for (Map.Entry<Integer, Future<Got>> client : clients.entrySet()) {
      Object choices =
          ClusterRequests.body(client.getKey(), tokens).getOrDefault("n", Integer.valueOf(1));
      count += client.getValue().isDone() ? 0 : (Integer) choices;
    }
    return count;
  }

  /** What they got, to be compared. */
  static Map<Integer, String> texts(Map<Integer, Got> all) {
    Map<Integer, String> texts = new TreeMap<>();
    all.forEach((number, got) -> texts.put(number, got.toString()));
    return texts;
  }

  static double longestGap(Map<Integer, Got> all) {
    return all.values().stream().mapToDouble(Got::longestGapSeconds).max().orElseThrow();
  }

  private Got stream(String baseUrl, int number) throws IOException, InterruptedException {
    String body = Client.JSON.writeValueAsString(ClusterRequests.body(number, tokens));
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(baseUrl + ClusterRequests.path(number)))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    HttpResponse<Stream<String>> response = HTTP.send(request, HttpResponse.BodyHandlers.ofLines());
    Reader reader = new Reader();
    try (Stream<String> lines = response.body()) {
      for (String line : (Iterable<String>) lines::iterator) {
        reader.onLine(line, response.statusCode());
        if (reader.events == BEGUN_EVENTS && line.startsWith("data: ")) {
          begun.incrementAndGet();
        }
      }
    }
    return reader.got(response.statusCode());
  }

  /** Puts one answer together. Owned by its client's thread. */
  private static final class Reader {
    private final TreeMap<Integer, StringBuilder> choices = new TreeMap<>();
    private String rest = ""; // what came and was no event
    private int promptTokens;
    private int completionTokens;
    private long lastNanos = System.nanoTime();
    private long longestNanos;
    private boolean isDone;
    private int events;

    void onLine(String line, int status) throws IOException {
      if (!line.startsWith("data: ")) {
        rest += status == 200 ? "" : line;
        return;
      }
      long now = System.nanoTime();
      longestNanos = Math.max(longestNanos, now - lastNanos);
      lastNanos = now;
      events++;
      if (line.equals("data: [DONE]")) {
        isDone = true;
        return;
      }
      JsonNode event = Client.JSON.readTree(line.substring(6));
      if (event.has("error") || !event.has("choices")) {
        rest += line;
        return;
      }
      event.get("choices").forEach(this::onChoice);
      if (event.hasNonNull("usage")) {
        completionTokens = event.at("/usage/completion_tokens").asInt();
        promptTokens = event.at("/usage/prompt_tokens").asInt();
      }
    }

    private void onChoice(JsonNode choice) {
      StringBuilder text =
          choices.computeIfAbsent(choice.get("index").asInt(), any -> new StringBuilder());
      text.append(choice.path("text").asText());
      text.append(choice.at("/delta/content").asText(""));
      for (JsonNode call : choice.at("/delta/tool_calls")) {
        text.append(call.at("/function/name").asText("")); // ids are random
        text.append(call.at("/function/arguments").asText(""));
      }
      if (choice.hasNonNull("logprobs")) {
        text.append(choice.at("/logprobs/token_logprobs"));
      }
      if (choice.hasNonNull("finish_reason")) {
        text.append('|').append(choice.get("finish_reason").asText());
      }
    }

    Got got(int status) {
      String usage = promptTokens + "+" + completionTokens;
      String text = choices + usage + rest + (isDone ? "" : " cut short");
      return new Got(status, text, completionTokens, longestNanos / 1e9);
    }
  }
}
