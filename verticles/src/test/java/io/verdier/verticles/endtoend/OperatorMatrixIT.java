package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.JsonExcerpt;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.endtoend.FieldTrials.Trial;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.ApiType.Kind;
import io.verdier.verticles.http.api.ApiType.Shape;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.api.Status;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** As {@link FieldMatrixIT}, for the routes of operators and of adapters, and for all queries. */
class OperatorMatrixIT {
  static final Set<Body> BODIES =
      EnumSet.of(
          Body.LOAD_ADAPTER,
          Body.UNLOAD_ADAPTER,
          Body.UPDATE_MODELS,
          Body.ABORT,
          Body.SLEEP,
          Body.WAKE_UP,
          Body.PAUSE,
          Body.RESET,
          Body.RETRIEVE);

  private static final String KEY = "key";

  /** What is well formed; what it names is not there. */
  private static final Map<Body, String> BASES =
      Map.of(
          Body.LOAD_ADAPTER, "\"lora_name\":\"a\",\"lora_path\":\"/nowhere\"",
          Body.UNLOAD_ADAPTER, "\"lora_name\":\"a\"",
          Body.UPDATE_MODELS, "\"model_config_path\":\"/nowhere.yaml\"",
          Body.ABORT, "\"request_ids\":[\"nobodys\"]");

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "--admin-api-key=" + KEY, "--enable-lora", "--allow-runtime-lora-updating");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @AfterEach
  void stillServes() {
    assertThat(client.post("/v1/completions", Map.of("prompt", "Hi", "max_tokens", 1)).status())
        .isEqualTo(200);
  }

  @Test
  void bodies_ofAnything_takenOrRefusedByName() {
    List<String> faults = new ArrayList<>();
    int trials = 0;
    for (ApiField field : ApiTable.fields()) {
      for (Body body : field.bodies()) {
        if (BODIES.contains(body) && body.place() == Body.Place.BODY) {
          for (Trial trial : trials(field)) {
            Answer answer = client.post(body.path(), sent(body, field, trial), KEY);
            if (!isRight(answer, field, trial)) {
              faults.add(body + " " + field.name() + " " + trial.json() + ": " + answer.body());
            }
            trials++;
          }
        }
      }
    }
    assertThat(faults).isEmpty();
    assertThat(trials).isGreaterThan(80);
  }

  private static List<Trial> trials(ApiField field) {
    List<Trial> trials = new ArrayList<>();
    for (String json : FieldTrials.VALUES) {
      trials.add(new Trial(json, field.type().fits(FieldTrials.decoded(json))));
    }
    Shape shape = field.type().shapes().getFirst();
    if (shape.kind() == Kind.INT) {
      trials.addAll(FieldTrials.of(field, shape));
    }
    trials.add(new Trial("null", true));
    trials.add(new Trial("\"\\u0000\"", field.type().fits("")));
    return trials;
  }

  private static String sent(Body body, ApiField field, Trial trial) {
    String others =
        BASES.get(body).replaceFirst("\"" + field.name() + "\":(\"[^\"]*\"|\\[.*\\]),?", "");
    String own = "\"" + field.name() + "\":" + trial.json();
    return "{" + (others.isEmpty() ? own : others.replaceFirst(",$", "") + "," + own) + "}";
  }

  /** What fits may still be refused for what it says, but is no fault. */
  private static boolean isRight(Answer answer, ApiField field, Trial trial) {
    boolean anyValue = field.status().kind() == Status.Kind.REFUSED; // whatever it is
    return trial.fits()
        ? Set.of(200, 400, 404).contains(answer.status())
        : isRefusedByName(answer, field.name())
            && (anyValue
                || FieldTrials.tells(answer.json().at("/error/message").asText(), trial.json()));
  }

  private static boolean isRefusedByName(Answer answer, String name) {
    return answer.status() == 400
        && answer.json().at("/error/message").asText().contains(name)
        && answer.json().at("/error/param").asText().equals(name);
  }

  @Test
  void queries_ofAnything_takenOrRefusedByName() {
    List<String> faults = new ArrayList<>();
    for (ApiField field : ApiTable.fields()) {
      for (Body body : field.bodies()) {
        if (BODIES.contains(body) && body.place() == Body.Place.QUERY) {
          for (Trial trial : queryTrials(field)) {
            String value = URLEncoder.encode(trial.json(), StandardCharsets.UTF_8);
            String query = "?" + field.name() + "=" + value;
            boolean isGet = body == Body.RETRIEVE; // of a response that is not there
            Answer answer =
                isGet
                    ? client.get(body.path().replace("*", "resp_x") + query)
                    : client.wish(body.path() + query, KEY);
            boolean right =
                trial.fits()
                    ? answer.status() == (isGet ? 404 : 200)
                    : isRefusedByName(answer, field.name()) && tellsOfQuery(answer, trial.json());
            if (!right) {
              faults.add(body + " " + field.name() + "=" + trial.json() + ": " + answer);
            }
            assertThat(client.wish("/wake_up", KEY).status()).isEqualTo(200);
            assertThat(client.wish("/resume", KEY).status()).isEqualTo(200);
          }
        }
      }
    }
    assertThat(faults).isEmpty();
  }

  /** What is no number is told as the text that it is. */
  private static boolean tellsOfQuery(Answer answer, String value) {
    String message = answer.json().at("/error/message").asText();
    return message.contains(" is " + JsonExcerpt.of(value) + ";")
        || message.contains(" is " + value + ";");
  }

  private static List<Trial> queryTrials(ApiField field) {
    Shape shape = field.type().shapes().getFirst();
    List<String> good =
        switch (shape.kind()) {
          case INT -> List.of(whole(shape.min()), whole(shape.max()));
          case BOOL -> List.of("true", "false", "1", "0", "True");
          case CHOICE -> shape.words();
          default -> List.of("x", "", "null");
        };
    List<String> bad =
        switch (shape.kind()) {
          case INT -> List.of(whole(shape.min() - 1), whole(shape.max() + 1), "1.5", "1e300");
          case BOOL, CHOICE -> List.of("2", "yes");
          default -> List.of();
        };
    List<Trial> trials = new ArrayList<>();
    good.forEach(value -> trials.add(new Trial(value, true)));
    bad.forEach(value -> trials.add(new Trial(value, false)));
    if (!bad.isEmpty()) {
      for (String other : List.of("", "null", "NaN", "99999999999999999999", "[1]", "\u0000")) {
        trials.add(new Trial(other, false));
      }
    }
    return trials;
  }

  private static String whole(double value) {
    return Long.toString((long) value);
  }

  @Test
  void queries_withWhatNobodyKnows_nameIt() {
    Answer answer = client.wish("/reset_prefix_cache?device=gpu&reset_runing=true", KEY);
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.header("X-Verdier-Ignored-Fields")).hasValue("device, reset_runing");
  }

  @Test
  void queries_malformed_areRefused() throws IOException {
    URI uri = URI.create(server.baseUrl());
    try (Socket socket = new Socket(uri.getHost(), uri.getPort())) {
      socket.setSoTimeout(10_000);
      String request =
          "POST /sleep?level=%zz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
              + KEY
              + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(answer).startsWith("HTTP/1.1 400 ").contains("malformed");
    }
  }
}
