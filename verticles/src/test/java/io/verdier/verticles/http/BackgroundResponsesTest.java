package io.verdier.verticles.http;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.BackgroundResponse;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Responses that nobody waits for: asked for again, followed, cancelled. */
class BackgroundResponsesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String BACKGROUND = "{\"input\":\"Hi\",\"background\":true";

  private HttpFixture server;

  @BeforeEach
  void start() throws Exception {
    server =
        HttpFixture.start(
            options -> {
              options.storeResponses = true;
              options.queued = 2;
            });
  }

  @AfterEach
  void stop() {
    HttpFixture.await(() -> server.admission.taken() == 0);
    server.close();
  }

  private JsonNode ok(HttpResponse<String> response) throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JSON.readTree(response.body());
  }

  private JsonNode post(String body) throws Exception {
    return ok(server.post("/v1/responses", body));
  }

  private static String path(JsonNode response) {
    return "/v1/responses/" + response.get("id").asText();
  }

  private JsonNode get(JsonNode response) throws Exception {
    return ok(server.get(path(response)));
  }

  private static String status(JsonNode response) {
    return response.get("status").asText();
  }

  private JsonNode awaitStatus(JsonNode response, String status) throws Exception {
    long end = System.nanoTime() + SECONDS.toNanos(5);
    JsonNode now = get(response);
    while (!status(now).equals(status)) {
      assertThat(System.nanoTime()).as(now.toString()).isLessThan(end);
      now = get(response);
    }
    return now;
  }

  private void say(Submit submit, String text, Delta.@Nullable End end) {
    server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, text, end));
  }

  /** Without what differs from one answer to the next. */
  private static JsonNode timeless(JsonNode response) throws Exception {
    String id = response.get("id").asText().substring("resp_".length());
    ObjectNode object = (ObjectNode) JSON.readTree(response.toString().replace(id, "ID"));
    return object.put("created_at", 0).put("background", false);
  }

  private static List<JsonNode> events(String body) throws Exception {
    List<JsonNode> events = new ArrayList<>();
    for (String event : body.split("\n\n")) {
      String[] lines = event.split("\n");
      JsonNode data = JSON.readTree(lines[1].substring("data: ".length()));
      assertThat(lines[0]).isEqualTo("event: " + data.get("type").asText());
      events.add(data);
    }
    return events;
  }

  @Test
  void created_isQueuedThenInProgressThenWhatTheClientWouldHaveWaitedFor() throws Exception {
    server.engine.hold();
    JsonNode queued = post(BACKGROUND + "}");
    assertThat(status(queued)).isEqualTo("queued");
    assertThat(queued.get("background").asBoolean()).isTrue();
    assertThat(queued.get("output")).isEmpty();
    assertThat(get(queued)).isEqualTo(queued);
    Submit submit = server.engine.awaitSubmit();
    say(submit, "Hello", null);
    assertThat(awaitStatus(queued, "in_progress").get("output")).isEmpty();
    HttpResponse<String> early =
        server.post(
            "/v1/responses",
            "{\"input\":\"So?\",\"previous_response_id\":\"" + queued.get("id").asText() + "\"}");
    assertThat(early.statusCode()).isEqualTo(400);
    assertThat(early.body()).contains("still being made");
    say(submit, " world", FakeEngine.end(FinishReason.STOP, 2));
    JsonNode whole = awaitStatus(queued, "completed");
    assertThat(whole.at("/output/0/content/0/text").asText()).isEqualTo("Hello world");
    server.engine.behave(it -> server.engine.say(it, "Hello", " world"));
    assertThat(timeless(post("{\"input\":\"Hi\"}"))).isEqualTo(timeless(whole));

    server.engine.submitted.clear();
    post("{\"input\":\"So?\",\"previous_response_id\":\"" + queued.get("id").asText() + "\"}");
    assertThat(server.engine.awaitSubmit().prompt().toString()).contains("Hello world");
  }

  @Test
  void cancelled_endsWithWhatThereIs() throws Exception {
    server.engine.hold();
    JsonNode queued = post(BACKGROUND + "}");
    Submit submit = server.engine.awaitSubmit();
    say(submit, "Hello", null);
    awaitStatus(queued, "in_progress");
    JsonNode cancelled = ok(server.post(path(queued) + "/cancel", "{}"));
    assertThat(server.engine.awaitCancel().keys()).isEqualTo(submit.keys());
    assertThat(status(cancelled)).isEqualTo("cancelled");
    assertThat(cancelled.at("/output/0/content/0/text").asText()).isEqualTo("Hello");
    assertThat(cancelled.at("/output/0/status").asText()).isEqualTo("incomplete");
    assertThat(cancelled.get("incomplete_details").isNull()).isTrue();
    assertThat(get(queued)).isEqualTo(cancelled);
    assertThat(ok(server.post(path(queued) + "/cancel", "{}"))).as("again").isEqualTo(cancelled);
  }

  @Test
  void cancelled_beforeItsFirstToken_isEmpty() throws Exception {
    server.engine.hold();
    JsonNode queued = post(BACKGROUND + ",\"stream\":false}");
    JsonNode cancelled = ok(server.post(path(queued) + "/cancel", "{}"));
    assertThat(status(cancelled)).isEqualTo("cancelled");
    assertThat(cancelled.get("output")).isEmpty();
  }

  @Test
  void failed_saysWhy() throws Exception {
    server.engine.behave(
        submit ->
            server.engine.send(
                Delta.refused(submit.keys()[0], ErrorCode.INVALID_ARGUMENT, "Too long.", "input")));
    JsonNode failed = awaitStatus(post(BACKGROUND + "}"), "failed");
    assertThat(failed.at("/error/message").asText()).isEqualTo("Too long.");
    assertThat(failed.at("/error/code").asText()).isEqualTo("invalid_prompt");
    HttpResponse<String> next =
        server.post(
            "/v1/responses",
            "{\"input\":\"So?\",\"previous_response_id\":\"" + failed.get("id").asText() + "\"}");
    assertThat(next.statusCode()).isEqualTo(400);
    assertThat(next.body()).contains("has failed");
  }

  @Test
  void failed_beforeAnyNews_isAStreamOfItsOwn() throws Exception {
    server.engine.behave(
        submit ->
            server.engine.send(
                Delta.refused(submit.keys()[0], ErrorCode.INTERNAL, "It broke.", null)));
    List<JsonNode> events =
        events(server.post("/v1/responses", BACKGROUND + ",\"stream\":true}").body());
    assertThat(events.getFirst().get("type").asText()).isEqualTo("response.created");
    assertThat(events.getLast().get("type").asText()).isEqualTo("response.failed");
    assertThat(events.getLast().at("/response/error/message").asText()).isEqualTo("It broke.");
  }

  @Test
  void streamed_isTheStreamOfOneThatIsWaitedFor_andCanBeToldAgain() throws Exception {
    server.engine.behave(submit -> server.engine.say(submit, "Hello", " world"));
    List<JsonNode> waited =
        events(server.post("/v1/responses", "{\"input\":\"Hi\",\"stream\":true}").body());
    HttpResponse<String> streamed = server.post("/v1/responses", BACKGROUND + ",\"stream\":true}");
    assertThat(streamed.headers().firstValue("Content-Type").orElseThrow())
        .startsWith("text/event-stream");
    List<JsonNode> events = events(streamed.body());
    assertThat(events.stream().map(it -> it.get("type")).toList())
        .isEqualTo(waited.stream().map(it -> it.get("type")).toList());
    JsonNode whole = events.getLast().get("response");
    assertThat(timeless(whole)).isEqualTo(timeless(waited.getLast().get("response")));
    assertThat(get(whole)).isEqualTo(whole);

    String again = path(whole) + "?stream=true";
    assertThat(server.get(again).body()).isEqualTo(streamed.body());
    for (int after = 0; after < events.size(); after++) {
      assertThat(server.get(again + "&starting_after=" + after).body())
          .isEqualTo(streamed.body().substring(endOf(streamed.body(), after)));
    }
    assertThat(server.get(again + "&starting_after=99").body()).isEmpty();
    assertThat(server.get(again + "&starting_after=-1").statusCode()).isEqualTo(400);
    assertThat(server.get(again + "&starting_after=x").body()).contains("starting_after");
  }

  private static int endOf(String body, int event) {
    int end = 0;
    for (int i = 0; i <= event; i++) {
      end = body.indexOf("\n\n", end) + 2;
    }
    return end;
  }

  /** One that is under way, and the lines of it that have come. */
  private record Following(JsonNode response, Stream<String> all, Iterator<String> lines) {
    /** Everything from here on. */
    String rest(StringBuilder soFar) {
      lines.forEachRemaining(line -> soFar.append(line).append('\n'));
      return soFar.toString();
    }
  }

  private Following following(StringBuilder told) throws Exception {
    HttpRequest request =
        server
            .request("/v1/responses", "Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(BACKGROUND + ",\"stream\":true}"))
            .build();
    CompletableFuture<HttpResponse<Stream<String>>> answer =
        server.client.sendAsync(request, HttpResponse.BodyHandlers.ofLines());
    Submit submit = server.engine.awaitSubmit();
    say(submit, "Hello", null);
    server.engine.submitted.add(submit);
    Stream<String> all = answer.get(5, SECONDS).body();
    Iterator<String> lines = all.iterator();
    told.append(lines.next()).append('\n');
    String data = lines.next();
    told.append(data).append('\n');
    JsonNode created = JSON.readTree(data.substring("data: ".length()));
    return new Following(created.get("response"), all, lines);
  }

  private CompletableFuture<String> follow(JsonNode response, String more) {
    HttpRequest request = server.request(path(response) + "?stream=true" + more).build();
    return server
        .client
        .sendAsync(request, HttpResponse.BodyHandlers.ofString())
        .thenApply(HttpResponse::body);
  }

  @Test
  void followed_whileItIsMade_goesOnLive() throws Exception {
    server.engine.hold();
    StringBuilder told = new StringBuilder();
    Following first = following(told);
    CompletableFuture<String> late = follow(first.response(), "");
    CompletableFuture<String> later = follow(first.response(), "&starting_after=4");
    CompletableFuture<String> ahead = follow(first.response(), "&starting_after=1000");
    say(server.engine.awaitSubmit(), " world", FakeEngine.end(FinishReason.STOP, 2));
    String whole = first.rest(told);
    assertThat(whole).contains("Hello world", "response.completed");
    assertThat(late.get(5, SECONDS)).isEqualTo(whole);
    assertThat(later.get(5, SECONDS)).isEqualTo(whole.substring(endOf(whole, 4)));
    assertThat(ahead.get(5, SECONDS)).isEmpty();
  }

  @Test
  void clientThatLeaves_isNotWaitedFor() throws Exception {
    server.engine.hold();
    Following first = following(new StringBuilder());
    first.all().close();
    Submit submit = server.engine.awaitSubmit();
    for (int i = 0; i < 20; i++) {
      say(submit, " more", null); // what is written to it fails
    }
    say(submit, " world", FakeEngine.end(FinishReason.STOP, 22));
    assertThat(awaitStatus(first.response(), "completed").at("/output/0/content/0/text").asText())
        .startsWith("Hello more")
        .endsWith(" world");
    assertThat(server.engine.cancelled).isEmpty();
  }

  /** Nothing has come of the response since, so that nothing else would tell the store. */
  @Test
  void clientThatFollowsAndLeaves_isTakenOffTheList() throws Exception {
    server.engine.hold();
    BlockingQueue<BackgroundResponse> told = new LinkedBlockingQueue<>();
    server
        .vertx
        .eventBus()
        .addOutboundInterceptor(
            delivery -> {
              if (delivery.body() instanceof BackgroundResponse message) {
                told.add(message);
              }
              delivery.next();
            });
    Following first = following(new StringBuilder());
    first.all().close();
    String id = first.response().get("id").asText();
    Set<String> waiters = new HashSet<>();
    while (true) {
      BackgroundResponse message = told.poll(5, SECONDS);
      assertThat(message).as("somebody leaves").isNotNull();
      if (message instanceof BackgroundResponse.Follow follow) {
        waiters.add(follow.waiter());
      } else if (message instanceof BackgroundResponse.Leave leave) {
        assertThat(leave.id()).isEqualTo(id);
        assertThat(waiters).containsExactly(leave.waiter());
        break;
      }
    }
    ok(server.post(path(first.response()) + "/cancel", "{}"));
  }

  @Test
  void cancelled_whileItIsFollowed_endsTheStream() throws Exception {
    server.engine.hold();
    StringBuilder told = new StringBuilder();
    Following first = following(told);
    ok(server.post(path(first.response()) + "/cancel", "{}"));
    List<JsonNode> events = events(first.rest(told));
    assertThat(events.getLast().get("type").asText()).isEqualTo("response.incomplete");
    assertThat(status(events.getLast().get("response"))).isEqualTo("cancelled");
  }

  @Test
  void underWay_holdItsPlace() throws Exception {
    server.engine.hold();
    JsonNode one = post(BACKGROUND + "}");
    JsonNode two = post(BACKGROUND + "}");
    assertThat(server.post("/v1/responses", BACKGROUND + "}").statusCode()).isEqualTo(503);
    assertThat(server.admission.taken()).isEqualTo(2);
    ok(server.post(path(one) + "/cancel", "{}"));
    ok(server.post(path(two) + "/cancel", "{}"));
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  @Test
  void notStreamed_cannotBeFollowed() throws Exception {
    JsonNode queued = post(BACKGROUND + "}");
    awaitStatus(queued, "completed");
    HttpResponse<String> refused = server.get(path(queued) + "?stream=true");
    assertThat(refused.statusCode()).isEqualTo(400);
    assertThat(JSON.readTree(refused.body()).at("/error/param").asText()).isEqualTo("stream");
    assertThat(server.get("/v1/responses/resp_none?stream=true").statusCode()).isEqualTo(404);
    assertThat(ok(server.get(path(queued) + "?stream=false")).get("id"))
        .isEqualTo(queued.get("id"));
  }
}
