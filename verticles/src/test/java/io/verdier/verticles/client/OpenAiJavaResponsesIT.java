package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.NotFoundException;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.responses.FunctionTool;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseFunctionToolCall;
import com.openai.models.responses.ResponseInputItem;
import com.openai.models.responses.ResponseOutputItem;
import com.openai.models.responses.ResponseStatus;
import com.openai.models.responses.ResponseStreamEvent;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/** The Responses API through the official {@code openai-java} client. */
@ExtendWith(DemoServer.class)
@Timeout(60)
class OpenAiJavaResponsesIT {
  private static final String CAR_ANSWER =
      "A car, or a motor car, is a road-connected human-transportation system used to move people"
          + " or goods from one place to another.";
  private static final String QUESTION = "What is the weather in Paris?";

  private static OpenAIClient client;

  @BeforeAll
  static void connect(OpenAIClient connected) {
    client = connected;
  }

  private static ResponseCreateParams.Builder ask() {
    return ResponseCreateParams.builder()
        .model(client.models().list().data().getFirst().id())
        .temperature(0.0)
        .maxOutputTokens(64);
  }

  private static String text(Response response) {
    StringBuilder text = new StringBuilder();
    response.output().stream()
        .flatMap(item -> item.message().stream())
        .flatMap(message -> message.content().stream())
        .forEach(content -> text.append(content.asOutputText().text()));
    return text.toString();
  }

  @Test
  void response_greedy_givesTheGoldenAnswer() {
    Response response = client.responses().create(ask().input("What is a car?").build());
    response.validate();
    assertThat(response.status()).hasValue(ResponseStatus.COMPLETED);
    assertThat(text(response)).isEqualTo(CAR_ANSWER);
    assertThat(response.usage().orElseThrow().outputTokens()).isEqualTo(28);
  }

  @Test
  void response_streamed_addsUpToTheSame() {
    ResponseAccumulator accumulator = ResponseAccumulator.create();
    StringBuilder deltas = new StringBuilder();
    try (StreamResponse<ResponseStreamEvent> stream =
        client.responses().createStreaming(ask().input("What is a car?").build())) {
      stream.stream()
          .map(accumulator::accumulate)
          .flatMap(event -> event.outputTextDelta().stream())
          .forEach(event -> deltas.append(event.delta()));
    }
    assertThat(deltas).hasToString(CAR_ANSWER);
    assertThat(text(accumulator.response())).isEqualTo(CAR_ANSWER);
  }

  @Test
  void response_toolNeeded_isCalledAndItsResultIsUsed() {
    ResponseInputItem question =
        ResponseInputItem.ofMessage(
            ResponseInputItem.Message.builder()
                .role(ResponseInputItem.Message.Role.USER)
                .addInputTextContent(QUESTION)
                .build());
    Response asked =
        client.responses().create(ask().inputOfResponse(List.of(question)).addTool(tool()).build());
    ResponseFunctionToolCall call =
        asked.output().stream()
            .flatMap((ResponseOutputItem item) -> item.functionCall().stream())
            .findFirst()
            .orElseThrow();
    assertThat(call.name()).isEqualTo("get_weather");
    assertThat(call.arguments()).isEqualTo("{\"city\": \"Paris\"}");
    ResponseInputItem result =
        ResponseInputItem.ofFunctionCallOutput(
            ResponseInputItem.FunctionCallOutput.builder()
                .callId(call.callId())
                .output("{\"temperature\": 21, \"condition\": \"sunny\"}")
                .build());
    Response answer =
        client
            .responses()
            .create(
                ask()
                    .inputOfResponse(
                        List.of(question, ResponseInputItem.ofFunctionCall(call), result))
                    .addTool(tool())
                    .build());
    assertThat(text(answer)).contains("Paris", "21");
  }

  @Test
  void response_stored_isRetrievedAndGoneOnFrom() {
    Response first =
        client.responses().create(ask().input("What is the capital of Spain?").build());
    Response again = client.responses().retrieve(first.id());
    assertThat(text(again)).isEqualTo(text(first)).isEqualTo("The capital of Spain is Madrid.");
    Response second =
        client
            .responses()
            .create(ask().input("And of Italy?").previousResponseId(first.id()).build());
    assertThat(text(second)).isEqualTo("The capital of Italy is Rome."); // it knows what was asked
    assertThat(second.previousResponseId()).hasValue(first.id());
  }

  @Test
  void response_notStored_isNotFound() {
    Response response =
        client.responses().create(ask().input("What is a car?").store(false).build());
    assertThatExceptionOfType(NotFoundException.class)
        .isThrownBy(() -> client.responses().retrieve(response.id()));
  }

  private static FunctionTool tool() {
    return FunctionTool.builder()
        .name("get_weather")
        .description("Get the weather of a city.")
        .strict(false)
        .parameters(
            FunctionTool.Parameters.builder()
                .putAdditionalProperty("type", JsonValue.from("object"))
                .putAdditionalProperty(
                    "properties", JsonValue.from(Map.of("city", Map.of("type", "string"))))
                .putAdditionalProperty("required", JsonValue.from(List.of("city")))
                .build())
        .build();
  }
}
