package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** A plain HTTP client of the server's routes. Thread-safe. */
final class Client {
  static final ObjectMapper JSON = new ObjectMapper();

  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String baseUrl;

  Client(String baseUrl) {
    this.baseUrl = baseUrl;
  }

  /** Status, body and headers of an answer. */
  record Answer(int status, String body, HttpHeaders headers) {
    Answer(int status, String body) {
      this(status, body, HttpHeaders.of(Map.of(), (name, value) -> true));
    }

    Optional<String> header(String name) {
      return headers.firstValue(name);
    }

    JsonNode json() {
      try {
        return JSON.readTree(body);
      } catch (IOException malformed) {
        throw new UncheckedIOException(body, malformed);
      }
    }
  }

  Answer get(String path) {
    return send(HttpRequest.newBuilder(URI.create(baseUrl + path)).build());
  }

  Answer post(String path, Map<String, ?> body) {
    try {
      return post(path, JSON.writeValueAsString(body));
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
  }

  /** A body as it is, well formed or not. */
  Answer post(String path, String body) {
    return send(
        HttpRequest.newBuilder(URI.create(baseUrl + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build());
  }

  /**
   * Token ids of eight answers of 300 tokens that begin together, since they are one request: where
   * 152 blocks of 16 tokens do not fit, some are preempted.
   */
  List<List<Integer>> manyChoices() {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", "A car is");
    body.put("n", 8);
    body.put("max_tokens", 300);
    body.put("ignore_eos", true);
    body.put("seed", 1234);
    body.put("return_token_ids", true);
    Answer answer = post("/v1/completions", body);
    if (answer.status() != 200) {
      throw new AssertionError(answer.body());
    }
    List<List<Integer>> choices = new ArrayList<>();
    for (JsonNode choice : answer.json().get("choices")) {
      List<Integer> ids = new ArrayList<>();
      choice.get("token_ids").forEach(id -> ids.add(id.asInt()));
      choices.add(ids);
    }
    return choices;
  }

  /** The same with the key of an operator. */
  Answer post(String path, String body, String adminKey) {
    return send(
        HttpRequest.newBuilder(URI.create(baseUrl + path))
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer " + adminKey)
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build());
  }

  Answer post(String path, Map<String, ?> body, String adminKey) {
    try {
      return post(path, JSON.writeValueAsString(body), adminKey);
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
  }

  /** An operator's wish, without a body. */
  Answer wish(String path, String adminKey) {
    return send(
        HttpRequest.newBuilder(URI.create(baseUrl + path))
            .header("Authorization", "Bearer " + adminKey)
            .POST(HttpRequest.BodyPublishers.noBody())
            .build());
  }

  private Answer send(HttpRequest request) {
    try {
      var response = http.send(request, HttpResponse.BodyHandlers.ofString());
      return new Answer(response.statusCode(), response.body(), response.headers());
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }

  /** The data of each event of a streamed answer, {@code [DONE]} left out. */
  static List<JsonNode> events(Answer answer) {
    Stream<String> data =
        answer
            .body()
            .lines()
            .filter(line -> line.startsWith("data: "))
            .map(line -> line.substring(6));
    return data.filter(text -> !text.equals("[DONE]"))
        .map(text -> new Answer(200, text).json())
        .toList();
  }
}
